"""A goal asked about a whole box of calls at once: does every call in it get this answer?

Three-valued: True and False are certain; None says that it depends on the call, or cannot be told from the box,
which knows of each masked word apart.
"""

from __future__ import annotations

from sysgate.proof.spec import NO_WORD, Both, Either, Formula, Goal, Test

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.proof.space import Space

    Box = list[int]


class Single:
    """A test of one masked word."""

    def __init__(self, slot: int, bits: int) -> None:
        self.slot, self.bits = slot, bits

    def holds(self, box: Box) -> bool | None:
        """Does the test hold in the whole box (True), nowhere in it (False)?"""
        had = box[self.slot]
        shared = had & self.bits
        return False if not shared else True if shared == had else None


class Double:
    """A test of two masked words: rectangles (values of the high word, of the low word), apart in the high word."""

    def __init__(self, high: int, low: int, rectangles: Sequence[tuple[int, int]]) -> None:
        self.high, self.low, self.rectangles = high, low, rectangles
        self.all_high = self.all_low = 0
        # By the one piece that a half lies in, what the other half may be; and the rectangles of several pieces.
        self.by_high: dict[int, int] = {}
        self.by_low: dict[int, int] = {}
        self.wide_low: list[tuple[int, int]] = []
        for highs, lows in rectangles:
            self.all_high |= highs
            self.all_low |= lows
            self.by_high[highs] = lows
            if lows & lows - 1:
                self.wide_low.append((highs, lows))
            else:
                self.by_low[lows] = self.by_low.get(lows, 0) | highs

    def holds(self, box: Box) -> bool | None:
        """As Single.holds."""
        low, high = box[self.low], box[self.high]
        if not low & self.all_low or not high & self.all_high:
            return False
        if not low & low - 1:
            had, allowed = high, self.by_low.get(low, 0)
            for highs, lows in self.wide_low:
                if lows & low:
                    allowed |= highs
        elif high in self.by_high:
            had, allowed = low, self.by_high[high]
        else:
            return self._holds(low, high)
        shared = had & allowed
        return False if not shared else True if shared == had else None

    def _holds(self, low: int, high: int) -> bool | None:
        nowhere, everywhere = True, not high & ~self.all_high
        for highs, lows in self.rectangles:
            if highs & high:
                shared = low & lows
                nowhere = nowhere and not shared
                everywhere = everywhere and shared == low
        return False if nowhere else True if everywhere else None


class Several:
    """Formulas under one and, or one or (either)."""

    def __init__(self, parts: Sequence[Asked], either: bool) -> None:
        self.parts, self.either = parts, either

    def holds(self, box: Box) -> bool | None:
        """As Single.holds."""
        result: bool | None = not self.either
        for part in self.parts:
            one = part.holds(box)
            if one is self.either:
                return one
            if one is None:
                result = None
        return result


class Always:
    """The formula True."""

    def holds(self, box: Box) -> bool | None:
        """As Single.holds."""
        return True


Asked = Single | Double | Several | Always


def meets(goal: Sequence[tuple[Asked, tuple[int, ...]]], box: Box, answer: int) -> bool:
    """Is the answer right for every call in the box? False also where that cannot be told."""
    for formula, right in goal:
        holds = formula.holds(box)
        if holds is not False:
            if answer not in right:
                return False
            if holds:
                return True
    return True


def mark(space: Space, goal: Goal) -> None:
    """Cut the space where the goal's tests begin and end."""
    todo = [formula for formula, _ in goal]
    while todo:
        formula = todo.pop()
        if isinstance(formula, (Both, Either)):
            todo += formula.parts
        elif isinstance(formula, Test):
            (low, low_mask, high, high_mask), rectangles = formula.words()
            for highs, lows in rectangles:
                space.marked(low, low_mask, lows)
                if high != NO_WORD:
                    space.marked(high, high_mask, highs)


def asked(space: Space, goal: Goal) -> list[tuple[Asked, tuple[int, ...]]]:
    """The goal over a space that has been cut."""
    return [(_asked(space, formula), right) for formula, right in goal]


def _asked(space: Space, formula: Formula) -> Asked:
    if isinstance(formula, bool):
        return Always()
    if isinstance(formula, (Both, Either)):
        return Several([_asked(space, part) for part in formula.parts], isinstance(formula, Either))
    (low, low_mask, high, high_mask), rectangles = formula.words()
    if not rectangles:
        return Several((), either=True)
    low_slot = space.slots[low, low_mask]
    if high == NO_WORD:
        return Single(low_slot, space.bits(low_slot, rectangles[0][1]))
    high_slot = space.slots[high, high_mask]
    parts = [(space.bits(high_slot, highs), space.bits(low_slot, lows)) for highs, lows in rectangles]
    return Double(high_slot, low_slot, [(highs, lows) for highs, lows in parts if highs and lows])
