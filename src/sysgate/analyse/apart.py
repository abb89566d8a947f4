"""Two policies number by number: where they have the same rules, and where these are too intricate for diagrams.

The first need not be compared. Of the second, compiler and proof can tell whether two answers ever come together.
"""

from __future__ import annotations

from sysgate.action import ALLOW, KILL_PROCESS
from sysgate.analyse import ruled
from sysgate.analyse.forest import Overgrown
from sysgate.analyse.space import Space
from sysgate.errors import CompileError, ProofError
from sysgate.policy.ruleset import Bound, Gate, Segment
from sysgate.value import Value, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sysgate.action import Action
    from sysgate.policy.ruleset import Expr

    Segments = tuple[Segment, ...]

_LAST = 0xFFFF_FFFF
_LEAST_BUDGET = 20_000
_MOST_TESTS = 4096  # in one condition: what has more is too long for a program, too


class Intricate(Value):
    """Numbers whose rules no diagram puts together. audit: of which architecture."""

    audit: int
    one: Segment
    other: Segment


def differing(one: Gate, other: Gate) -> tuple[Gate, Gate]:
    """The gates, the numbers cut alike; those with the same rules in both are all allowed."""
    known: dict[tuple[int, Action, int, Action], bool] = {}

    def same(_: int, first: Segment, second: Segment) -> bool:
        key = id(first.rules), first.answer, id(second.rules), second.answer
        if key not in known:
            known[key] = _asked(first) == _asked(second)
        return known[key]

    return _left_out(one, other, same)


def plain(one: Gate, other: Gate, budget: int) -> tuple[Gate, Gate, list[Intricate]]:
    """The gates, cut alike, without the numbers whose rules outgrow their budget; and those."""
    found: list[Intricate] = []
    known: dict[tuple[int, int], bool] = {}
    left, most = budget // 2, budget // 4  # nodes: for all numbers, for those that have the same rules

    def intricate(audit: int, first: Segment, second: Segment) -> bool:
        nonlocal left, most
        key = id(first.rules), id(second.rules)
        if key not in known:
            size = _size(first, second, min(left, most))
            known[key] = size is None
            if size is None:
                most = max(_LEAST_BUDGET, most // 4)  # not even a hundred such calls keep anybody waiting
            else:
                left -= size
        if known[key]:
            found.append(Intricate(audit, first, second))
        return known[key]

    return *_left_out(one, other, intricate), found


def ever(expr: Expr, audit: int, *, big_endian: bool) -> bool:
    """Whether an expression holds for some call. Raises CompileError where that takes too long to find out."""
    from sysgate.compiler import compile
    from sysgate.compiler.limit import tests
    from sysgate.proof import prove

    def gate(*rules: Bound) -> Gate:
        return Gate(((audit, (Segment(0, _LAST, rules, ALLOW, None),)),), ALLOW, big_endian)

    try:
        if tests(expr) > _MOST_TESTS:
            raise CompileError("")
        prove(gate(), compile(gate(Bound(((expr, KILL_PROCESS),), ALLOW, None)), optimize="fast"))
    except ProofError:
        return True
    except CompileError:
        raise CompileError("what the rules decide is too intricate to be compared") from None
    return False


# What decides, without the places that say it.
def _asked(segment: Segment) -> object:
    return [(rule.cases, rule.otherwise) for rule in segment.rules] or segment.answer


# Nodes for what two segments decide; None where there are too many.
def _size(first: Segment, second: Segment, budget: int) -> int | None:
    space = Space(budget=budget)
    try:
        space.combined(ruled.call(space, first), ruled.call(space, second), lambda one, other: (one, other))
    except (CompileError, Overgrown):
        return None
    return len(space.variable)


def _left_out(one: Gate, other: Gate, which: Callable[[int, Segment, Segment], bool]) -> tuple[Gate, Gate]:
    made: tuple[list[tuple[int, Segments]], ...] = ([], [])
    beside = dict(other.entries)
    for audit, segments in one.entries:
        if audit not in beside:
            made[0].append((audit, segments))
            continue
        sides: tuple[list[Segment], ...] = ([], [])
        for pair in _cut_alike(segments, beside[audit]):
            out = which(audit, *pair)
            for side, segment in zip(sides, pair, strict=True):
                side.append(replace(segment, rules=(), answer=ALLOW) if out else segment)
        for entries, side in zip(made, sides, strict=True):
            entries.append((audit, tuple(side)))
    covered = {audit for audit, _ in one.entries}
    made[1].extend((audit, segments) for audit, segments in other.entries if audit not in covered)
    return replace(one, entries=tuple(made[0])), replace(other, entries=tuple(made[1]))


def _cut_alike(one: Sequence[Segment], other: Sequence[Segment]) -> list[tuple[Segment, Segment]]:
    found = []
    first = second = low = 0
    while low <= _LAST:
        high = min(one[first].high, other[second].high)
        found.append((replace(one[first], low=low, high=high), replace(other[second], low=low, high=high)))
        first, second = first + (one[first].high == high), second + (other[second].high == high)
        low = high + 1
    return found
