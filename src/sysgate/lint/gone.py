"""Rules for calls that no kernel has any more."""

from __future__ import annotations

from sysgate.facts import calls
from sysgate.lint.finding import Finding, Subject
from sysgate.policy import ast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CHECK = "gone"


def check(subject: Subject) -> Iterator[Finding]:
    """Names of 2011 that are still known and never match (`sys_vm`)."""
    for rule in subject.policy.rules:
        for head in rule.heads:
            if isinstance(head, ast.Name) and calls.gone(head.name):
                place = rule.source.place(head.at)
                message = f"{head.name} is no system call any more: the rule never matches"
                yield Finding(CHECK, rule.source.name, place.line, message, "")
