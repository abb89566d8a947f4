"""Calls that the kernel makes a program do without its knowing."""

from __future__ import annotations

from sysgate.lint.finding import Finding, Subject, refused, segments

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
    for first in subject.rulesets[:1]:
        for call, segment in segments(first).items():
            if call not in _WHY or not refused(segment):
                continue
            yield Finding(CHECK, "", 0, f"{call} is refused: {_WHY[call]}", f'add `{call}: 1`, or include "@startup"')
