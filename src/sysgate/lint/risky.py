"""Calls that undo a confinement, allowed by name."""

from __future__ import annotations

from sysgate.facts import risks
from sysgate.lint.finding import Finding, Subject, allowed, at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CHECK = "risky"

# The categories of the table that are about leaving the filter or the process, not about power in general.
_GRAVE = ("filter-bypass", "kernel-code", "escape", "sandbox")


def check(subject: Subject) -> Iterator[Finding]:
    """A rule that allows ptrace, bpf, io_uring and their like whatever the arguments."""
    for _, call, segment in subject.named():
        if not segment.rules or not allowed(segment):
            continue
        for risk in risks.risks(call):
            if risk.category in _GRAVE:
                message = f"{call} is allowed: {risk.reason}"
                yield at(segment.rules[-1].origin, CHECK, message, "leave it out if the program runs without")
