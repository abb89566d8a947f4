"""Is there a call in a box for which an answer is wrong? Exact, where the box alone does not tell."""

from __future__ import annotations

from sysgate.proof.solve import pick
from sysgate.proof.spans import WORD, Spans, complement, intersection
from sysgate.proof.spec import NO_WORD, Both, Either, Test
from sysgate.proof.walk import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sysgate.proof.goals import Box
    from sysgate.proof.space import Space
    from sysgate.proof.spec import Formula, Goal

    # By word and then by mask: word & mask lies in the spans.
    Limits = Mapping[int, Mapping[int, Spans]]
    Words = dict[int, int]


def limits(space: Space, box: Box) -> Limits:
    """What a box says about each word it does not leave free."""
    found: dict[int, dict[int, Spans]] = {}
    for slot, (bits, full) in enumerate(zip(box, space.full)):
        if bits != full:
            word, mask = space.words[slot]
            found.setdefault(word, {})[mask] = space.spans(slot, bits)
    return found


class Refuter:
    """Searches for calls. budget: how many limits it may try in all before it raises Unsupported."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._known: dict[tuple[tuple[int, Spans], ...], int | None] = {}

    def some(self, within: Limits) -> Words | None:
        """The words of some call within the limits, those that they leave free unsaid; None if there is none."""
        words = {}
        for word, masks in within.items():
            value = self._pick(masks)
            if value is None:
                return None
            words[word] = value
        return words

    def against(self, goal: Goal, answer: int, within: Limits) -> Words | None:
        """The words of a call within the limits for which the goal is not met by the answer; None if there is none."""
        if self.some(within) is None:
            return None
        (formula, right), *rest = goal
        if answer not in right:
            for narrowed in self._where(formula, True, within):
                return self.some(narrowed)
        if not any(answer not in other for _, other in rest):
            return None
        for narrowed in self._where(formula, False, within):
            found = self.against(tuple(rest), answer, narrowed)
            if found is not None:
                return found
        return None

    # The limits, apart from each other, within which a formula holds or does not hold; only such as some call meets.
    def _where(self, formula: Formula, holds: bool, within: Limits) -> Iterator[Limits]:
        if isinstance(formula, bool):
            if formula == holds:
                yield within
        elif isinstance(formula, (Both, Either)):
            if isinstance(formula, Both) == holds:
                yield from self._all(formula.parts, holds, within)
            else:
                yield from self._some(formula.parts, holds, within)
        else:
            yield from self._test(formula, holds, within)

    def _all(self, parts: Sequence[Formula], holds: bool, within: Limits) -> Iterator[Limits]:
        if not parts:
            yield within
            return
        for narrowed in self._where(parts[0], holds, within):
            yield from self._all(parts[1:], holds, narrowed)

    def _some(self, parts: Sequence[Formula], holds: bool, within: Limits) -> Iterator[Limits]:
        yield from self._where(parts[0], holds, within)
        if len(parts) > 1:
            for narrowed in self._where(parts[0], not holds, within):
                yield from self._some(parts[1:], holds, narrowed)

    def _test(self, test: Test, holds: bool, within: Limits) -> Iterator[Limits]:
        if not holds:
            test = Test(test.key, complement(test.spans, WORD if test.key[2] == NO_WORD else WORD << 32 | WORD))
        (low, low_mask, high, high_mask), rectangles = test.words()
        for highs, lows in rectangles:
            half = within if high == NO_WORD else self._narrowed(within, high, high_mask, highs)
            narrowed = None if half is None else self._narrowed(half, low, low_mask, lows)
            if narrowed is not None:
                yield narrowed

    def _narrowed(self, within: Limits, word: int, mask: int, spans: Spans) -> Limits | None:
        self._budget -= 1
        if self._budget < 0:
            raise Unsupported
        masks = dict(within.get(word, {}))
        if mask in masks:
            spans = intersection(masks[mask], spans)
        masks[mask] = spans
        if not spans or self._pick(masks) is None:
            return None
        return {**within, word: masks}

    def _pick(self, masks: Mapping[int, Spans]) -> int | None:
        key = tuple(masks.items())
        if key not in self._known:
            self._known[key] = pick(masks)
        return self._known[key]
