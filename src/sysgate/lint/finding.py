"""What a check looks at, and what it says."""

from __future__ import annotations

from sysgate.action import Action
from sysgate.facts import calls, constants
from sysgate.policy import ruleset
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sysgate.decision import Origin
    from sysgate.policy.ast import Policy
    from sysgate.policy.ruleset import Bound, Ruleset, Segment


class Finding(Value):
    """Something that is allowed but looks wrong.

    check: the check's name. file, line: where ("" and 0: the policy as a whole). message: what; hint: what to do.
    """

    check: str
    file: str
    line: int
    message: str
    hint: str


class Subject(Value):
    """A policy as a check sees it: as written, and as it holds on each architecture it is compiled for."""

    policy: Policy
    rulesets: tuple[Ruleset, ...]

    def named(self) -> Iterator[tuple[str, str, Segment]]:
        """(architecture, call, its segment) for every call the tables know, by number."""
        for rules in self.rulesets:
            for name, segment in segments(rules).items():
                yield rules.arch, name, segment

    def bounds(self) -> Iterator[tuple[str, str, Bound]]:
        """(architecture, first call it is for, rule) for every written rule that some call has, once each."""
        seen = set()
        for arch, call, segment in self.named():
            for bound in segment.rules:
                if bound.origin is not None and id(bound) not in seen:
                    seen.add(id(bound))
                    yield arch, call, bound


def segments(rules: Ruleset) -> dict[str, Segment]:
    """The segment of every call that an architecture's table knows, by number."""
    numbers = sorted((nr & 0xFFFF_FFFF, name) for name, nr in calls.table(rules.arch).items())
    found = {}
    rest = iter(rules.segments)
    segment = next(rest)
    for nr, name in numbers:
        while segment.high < nr:
            segment = next(rest)
        found[name] = segment
    return found


def at(origin: Origin | None, check: str, message: str, hint: str) -> Finding:
    """A finding at a rule."""
    if origin is None:
        return Finding(check, "", 0, message, hint)
    return Finding(check, origin.file, origin.line, message, hint)


def allowed(segment: Segment) -> bool:
    """Whether a call is allowed whatever its arguments."""
    if not segment.rules:
        return segment.answer.kind == "allow"
    return all(always(bound) == "allow" for bound in segment.rules)


def refused(segment: Segment) -> bool:
    """Whether a call is refused whatever its arguments."""
    if not segment.rules:
        return segment.answer.kind != "allow"
    return any(always(bound) not in (None, "allow", "log") for bound in segment.rules)


def answers_enosys(segment: Segment, arch: str) -> bool:
    """Whether a call is answered as if the kernel did not have it, so that programs fall back."""
    enosys = Action("errno", constants.value("ENOSYS", arch) or 0)
    if not segment.rules:
        return segment.answer == enosys
    return any(bound.otherwise == enosys for bound in segment.rules)


def always(bound: Bound) -> str | None:
    """The kind of action that a rule gives whatever the arguments; None where it depends."""
    kinds = set()
    for expr, action in bound.cases:
        if isinstance(expr, ruleset.Constant):
            if not expr.holds:
                continue
            kinds.add(action.kind)
            break
        kinds.add(action.kind)
    else:
        kinds.add(bound.otherwise.kind)
    return kinds.pop() if len(kinds) == 1 else None
