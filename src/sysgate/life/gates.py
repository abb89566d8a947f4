"""Filters call by call → what one seccomp program decides: a whole set, or only what a change takes away."""

from __future__ import annotations

from sysgate.action import ALLOW
from sysgate.policy.ruleset import All, Bound, Constant, Gate, Segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sysgate.action import Action
    from sysgate.facts.arches import Arch
    from sysgate.life.texts import Change, Texts
    from sysgate.policy.ruleset import Expr

_LAST = (1 << 32) - 1


def whole(texts: Texts, arch: Arch, refusal: Action) -> Gate:
    """Calls without a filter are refused, the others where their tests do not hold; other architectures too."""
    tests = {nr: _all(entry.tests) for nr, entry in texts.entries()}
    return _gate(tests, refusal, arch, refusal, refusal)


def narrowing(changes: Iterable[Change], arch: Arch, refusal: Action) -> Gate:
    """Only what the changes take away is refused; whatever else is decided by the filters before."""
    tests: dict[int, Expr] = {}
    for change in changes:
        test = Constant(False) if change.test is None else change.test
        tests[change.nr] = _all((tests[change.nr], test)) if change.nr in tests else test
    return _gate(tests, ALLOW, arch, refusal, ALLOW)


def _gate(tests: Mapping[int, Expr], others: Action, arch: Arch, refusal: Action, foreign: Action) -> Gate:
    segments = tuple(_merged(_segments(tests, others, refusal)))
    return Gate(((arch.audit, segments),), foreign, arch.big_endian)


def _segments(tests: Mapping[int, Expr], others: Action, refusal: Action) -> Iterator[Segment]:
    at = 0
    for nr, test in sorted(tests.items()):
        if at < nr:
            yield Segment(at, nr - 1, (), others, None)
        if isinstance(test, Constant):
            yield Segment(nr, nr, (), ALLOW if test.holds else refusal, None)
        else:
            yield Segment(nr, nr, (Bound(((test, ALLOW),), refusal, None),), refusal, None)
        at = nr + 1
    if at <= _LAST:
        yield Segment(at, _LAST, (), others, None)


def _merged(segments: Iterator[Segment]) -> Iterator[Segment]:
    last = next(segments)
    for segment in segments:
        if not last.rules and not segment.rules and last.answer == segment.answer:
            last = Segment(last.low, segment.high, (), last.answer, None)
        else:
            yield last
            last = segment
    yield last


def _all(tests: tuple[Expr, ...]) -> Expr:
    if not tests:
        return Constant(True)
    return tests[0] if len(tests) == 1 else All(tests)
