"""A newer call whose flags lie in memory, beside an older one whose flags are filtered."""

from __future__ import annotations

from sysgate.lint.finding import Finding, Subject, always, answers_enosys, at, refused, segments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sysgate.policy.ruleset import Segment

CHECK = "flags-in-memory"

# The newer call, whose flags are in a structure, and the older ones that have them in registers (openat2(2), clone(2)).
_MOVED = {"openat2": ("openat", "open"), "clone3": ("clone",)}


def check(subject: Subject) -> Iterator[Finding]:
    """openat2 and clone3 allowed, or refused other than with ENOSYS, where openat's or clone's arguments decide."""
    for rules in subject.rulesets:
        named = segments(rules)
        for newer, olders in _MOVED.items():
            deciding = next((old for old in olders if old in named and _depends(named[old])), None)
            if newer not in named or deciding is None:
                continue
            origin = next((bound.origin for bound in named[deciding].rules if always(bound) is None), None)
            segment = named[newer]
            hint = f"answer ENOSYS, so that libc falls back to {deciding}: `{newer}: 0 else errno(ENOSYS)`"
            if not refused(segment):
                message = f"{deciding}'s arguments are filtered, but {newer} has its flags in memory and is allowed"
                yield at(origin, CHECK, message, hint)
            elif not answers_enosys(segment, rules.arch):
                yield at(origin, CHECK, f"{newer} is refused in a way that libc does not fall back from", hint)


def _depends(segment: Segment) -> bool:
    return not refused(segment) and any(always(bound) is None for bound in segment.rules)
