"""One test, spelled: intervals of a register's values under a mask as the words of the policy language."""

from __future__ import annotations

from sysgate.analyse import said, view
from sysgate.analyse.said import Said
from sysgate.analyse.values import after
from sysgate.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.analyse.view import View

_TEST = 2.0  # what a test costs beside its constants
_MASKED = 1.0  # what `( & )` costs beside the mask itself
_ODD = 3.5  # what a range costs more that nobody would recognise
_NOT = 0.2  # what != costs more than ==
_BOUND = 0.3  # what < costs more than ==
_FEW = 8  # neighbouring values are named one by one up to this number


def test(found: Sequence[tuple[int, int]], mask: int, seen: View, holds: bool) -> Said:
    """The test for values in some intervals, or (holds=False) for all others.

    found: intervals of the values under mask, unsigned and in order, none of them touching. mask: in the view's bits;
    all of them where the value is taken as it is.
    """
    if mask == seen.full:
        return _Spelling(seen.name, _TEST, None, seen).test(_as_read(found, seen), holds)
    # A field of flags whose zero has a name is compared with it: (flags & O_ACCMODE) == O_RDONLY.
    if list(found) == [(0, 0)] and not view.is_field(seen, mask):
        return _no_bits(mask, seen, holds)
    text, cost = view.mask(seen, mask)
    masked = replace(seen, signed=False)  # a masked value is unsigned
    return _Spelling(f"({seen.name} & {grouped(text)})", _TEST + _MASKED + cost, mask, masked).test(found, holds)


def _no_bits(mask: int, seen: View, holds: bool) -> Said:
    """`!(flags & these)`, or where nearly all are meant `(flags & ~those) == 0`."""
    text, cost = view.mask(seen, mask)
    if mask.bit_count() * 2 > seen.bits:
        return said.test(f"({seen.name} & {grouped(text)}) {'==' if holds else '!='} 0", _TEST + _MASKED + cost + 1)
    shares = said.test(f"{seen.name} & {grouped(text)}", _TEST + cost + 0.1)
    return said.negation(shares) if holds else shares


def grouped(text: str) -> str:
    """A constant as it stands behind an operator."""
    return f"({text})" if "|" in text and not text.startswith("~(") else text


class _Spelling:
    """value: what is compared, and its cost with the test around it. mask: under which; None without."""

    def __init__(self, value: str, cost: float, mask: int | None, seen: View) -> None:
        self.value, self.cost, self.mask, self.seen = value, cost, mask, seen
        every = seen.full if mask is None else mask
        self.ends = (-(1 << seen.bits - 1), (1 << seen.bits - 1) - 1) if seen.signed else (0, every)

    def test(self, found: Sequence[tuple[int, int]], holds: bool) -> Said:
        if len(found) == 1:
            low, high = found[0]
            if low == high:
                text, cost = self.equal(low)
                operator = "==" if holds else "!="
                return said.test(f"{self.value} {operator} {grouped(text)}", self.cost + cost + (0 if holds else _NOT))
            # The bound that is written shorter: < 4 rather than <= 3, >= 0 rather than > -1.
            if low == self.ends[0]:
                return self.bound(("<", high + 1), ("<=", high)) if holds else self.bound((">", high), (">=", high + 1))
            if high == self.ends[1]:
                return self.bound((">=", low), (">", low - 1)) if holds else self.bound(("<", low), ("<=", low - 1))
        items, cost = [], self.cost
        for low, high in found:
            texts, more = self.item(low, high)
            items += texts
            cost += more
        inside = said.test(f"{self.value} in {{{', '.join(items)}}}", cost + (self.odd() if _spans(found) else 0))
        return inside if holds else said.negation(inside)

    def item(self, low: int, high: int) -> tuple[list[str], float]:
        """One interval in a set: two values, or a few that all have names, one by one; else a range."""
        each = [low]
        while each[-1] < high and len(each) <= _FEW:
            each.append(each[-1] + 1 if self.mask is None else after(each[-1], self.mask))
        texts = [self.equal(value) for value in each]
        if each[-1] == high and (len(each) <= 2 or all(text[0].isalpha() for text, _ in texts)):
            return [text for text, _ in texts], sum(cost for _, cost in texts)
        first, second = view.number(self.seen, low), view.number(self.seen, high)
        return [f"{first[0]}..{second[0]}"], first[1] + second[1]

    def equal(self, value: int) -> tuple[str, float]:
        return view.equal(self.seen, value & self.seen.full, self.mask)

    def bound(self, *ways: tuple[str, int]) -> Said:
        found = []
        for order, (operator, value) in enumerate(ways):
            text, cost = view.number(self.seen, value)
            # A power of two is the bound somebody meant.
            round_one = value & (value - 1) == 0 and value > 1
            found.append((cost - 0.25 * round_one, order, f"{self.value} {operator} {text}", cost))
        _, _, text, cost = min(found)
        return said.test(text, self.cost + cost + _BOUND + self.odd())

    def odd(self) -> float:
        """What a range costs more: flags are not ordered, nor are bits out of the middle of a number."""
        whole = self.mask is None or self.mask & (self.mask + 1) == 0
        return _ODD if self.seen.kind == "flags" or not whole else 0


def _spans(found: Sequence[tuple[int, int]]) -> bool:
    return any(low != high for low, high in found)


def _as_read(found: Sequence[tuple[int, int]], seen: View) -> Sequence[tuple[int, int]]:
    """Intervals of unsigned numbers as those of the integers that the view reads."""
    if not seen.signed:
        return found
    half, size = 1 << seen.bits - 1, 1 << seen.bits
    parts: list[tuple[int, int]] = []
    for low, high in found:
        if low < half:
            parts.append((low, min(high, half - 1)))
        if high >= half:
            parts.append((max(low, half) - size, high - size))
    parts.sort()
    joined: list[tuple[int, int]] = []
    for low, high in parts:
        if joined and joined[-1][1] == low - 1:
            joined[-1] = joined[-1][0], high
        else:
            joined.append((low, high))
    return joined
