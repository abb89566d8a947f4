"""Calls that the kernel makes a program do without its knowing."""

from __future__ import annotations

from sysgate.facts import calls
from sysgate.lint.finding import Finding, Subject, refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CHECK = "missing-restart"

_WHY = {
    "restart_syscall": "a sleep that is interrupted (SIGSTOP and SIGCONT, an attach) cannot go on",
    "rt_sigreturn": "a program that handles a signal cannot come back from the handler",
}


def check(subject: Subject) -> Iterator[Finding]:
    """`restart_syscall` or `rt_sigreturn` refused, on the first architecture compiled for."""
    if not subject.rulesets:
        return
    first = subject.rulesets[0].arch
    for arch, call, segment in subject.named():
        if arch == first and call in _WHY and refused(segment) and calls.number(arch, call) is not None:
            yield Finding(CHECK, "", 0, f"{call} is refused: {_WHY[call]}", f'add `{call}: 1`, or include "@startup"')
