"""A deny-list that takes a call away and leaves another that does the same."""

from __future__ import annotations

from sysgate.facts import relations
from sysgate.lint.finding import Finding, Subject, allowed, answers_enosys, at, refused, segments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CHECK = "twin-left-open"


def check(subject: Subject) -> Iterator[Finding]:
    """`rename: 0` without `renameat2`, in a policy whose default lets calls through."""
    for rules in subject.rulesets:
        named = segments(rules)
        for call, segment in named.items():
            if not segment.rules or not refused(segment) or answers_enosys(segment, rules.arch):
                continue  # ENOSYS is said to make a program fall back to the twin
            # A twin that has no rule at all was probably forgotten; one that has was thought of.
            open_ones = [
                twin
                for twin in _alike(call, rules.arch)
                if twin in named and not named[twin].rules and allowed(named[twin])
            ]
            if open_ones:
                names = ", ".join(open_ones)
                message = f"{call} is refused, but {names} does much the same and is allowed"
                yield at(segment.rules[-1].origin, CHECK, message, f"name it in the rule too: `{call}, {names}: …`")


def _alike(call: str, arch: str) -> tuple[str, ...]:
    found = dict.fromkeys(relations.twins(call, arch))
    for operation, members in relations.families(call):
        # Names of one stem (rename, renameat2); families also hold what only can stand in (kill and pidfd_send_signal).
        if call.startswith(operation):
            found.update(dict.fromkeys(member for member in members if member.startswith(operation)))
    found.pop(call, None)
    return tuple(found)
