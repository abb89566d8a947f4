"""A set of one register's values as the test a person would write for it.

What is wanted is given as two sets: every value of `inner` must pass, none outside `outer` may; what lies between
does not matter, and the test that is easiest to read is taken.
"""

from __future__ import annotations

from functools import partial

from sysgate.analyse import said, values, view
from sysgate.analyse.forest import FALSE, TRUE
from sysgate.analyse.said import Said

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sysgate.analyse.space import Space
    from sysgate.analyse.view import View

_MOST_LISTED = 256  # values or ranges in one set
_FEW = 7  # neighbouring values are named one by one up to this distance
_CUBE = 2.0  # what a pattern costs at least
_MOST_CUBES = 64
_CHEAP = 4.0  # a single test up to this needs no rival
_DEAR = 8.0  # what costs more is worth the search for two tests that do together
_REGULAR_START, _REGULAR = 40, 6  # nodes of a set, and for each unit of cost, that may still be a pattern
_ODD = 2.0  # what a range of flags costs more
_MASKED = 1.0  # what `( & )` costs beside the mask itself


class Tests:
    """Writes tests on one register. seen: its views, the argument's first, the raw word last."""

    def __init__(self, space: Space, seen: Sequence[View]) -> None:
        self.space, self.seen, self.register = space, seen, seen[0].register
        self.counts = values.Counts(space, self.register)
        self._known: dict[tuple[int, int], Said | None] = {}
        self._simple: dict[tuple[int, int], Said | None] = {}

    def between(self, inner: int, outer: int) -> Said | None:
        """The cheapest test found; None where there is none of a reasonable length."""
        key = inner, outer
        if key not in self._known:
            best = self.simple(inner, outer)
            if best is None or (best.cost > _DEAR and self.looks_regular(inner, best)):
                found = [] if best is None else [best]
                for members in self.choices(inner, outer):
                    found += self.as_two(members)
                best = min(found, key=_reading, default=None)
            self._known[key] = best
        return self._known[key]

    def simple(self, inner: int, outer: int) -> Said | None:
        """The cheapest single test, or patterns of bits."""
        if inner == FALSE:
            return said.NEVER
        if outer == TRUE:
            return said.ALWAYS
        key = inner, outer
        if key not in self._simple:
            found = [one for members in self.choices(inner, outer) for one in self.single(members)]
            best = min(found, key=_reading, default=None)
            if best is None or (best.cost > _CHEAP and self.looks_regular(inner, best)):
                most = _MOST_CUBES if best is None else min(_MOST_CUBES, int(best.cost / _CUBE))
                found += self.as_cubes(inner, outer, most)
                best = min(found, key=_reading, default=None)
            self._simple[key] = best
        return self._simple[key]

    def looks_regular(self, members: int, best: Said) -> bool:
        """Whether a set is simpler than its best single test: a list of odd values has many nodes, a pattern few."""
        return self.space.size(members) < _REGULAR_START + _REGULAR * best.cost

    def choices(self, inner: int, outer: int) -> list[int]:
        """Sets between the two, worth writing down."""
        if inner == outer:
            return [inner]
        found = [inner, outer]
        for bits in dict.fromkeys(one.bits for one in self.seen):
            if bits < 64:
                found += self.narrowed(inner, outer, range(bits, 64))
        # Between the smallest and the largest, if nothing in between is forbidden.
        space = self.space
        low, high = values.ends(space, inner, self.register, 64)
        found.append(values.between(space, low, high, self.register, 64))
        return [one for one in dict.fromkeys(found) if space.within(inner, one) and space.within(one, outer)]

    def narrowed(self, inner: int, outer: int, bits: range) -> list[int]:
        """The two sets without regard to some bits, where they allow that."""
        space = self.space
        variables = [space.variable_of(self.register, bit) for bit in bits]
        less = space.without(inner, variables), space.without(outer, variables, all_of=True)
        return list(less) if space.within(*less) else []

    def single(self, members: int) -> Iterator[Said]:
        """Single tests that hold for just these values: the lists that are not much longer than the shortest."""
        if members in (FALSE, TRUE):
            yield said.ALWAYS if members else said.NEVER
            return
        mask = values.mask_of(self.space, members, self.register)
        seen = self.seen_as(mask)
        outside = self.space.negated(members)
        ways: list[tuple[int, Callable[[int, bool], Said], int, bool]] = []
        for which, holds in ((members, True), (outside, False)):
            # `x == 0` is not better said as `x < 1`.
            if holds or self.counts.masked(members, seen.full) > 1:
                ways.append((self.counts.intervals(which, seen.bits), partial(self.ranges, seen), which, holds))
            if mask != seen.full:
                ways.append((self.counts.masked(which, mask), partial(self.masked, seen, mask), which, holds))
        shortest = min(way[0] for way in ways)
        for length, spelled, which, holds in ways:
            if length <= min(_MOST_LISTED, 2 * shortest + 2):
                yield spelled(which, holds)

    def seen_as(self, mask: int) -> View:
        """The first view that has all these bits."""
        return next(one for one in self.seen if mask <= one.full)

    # ---- one test

    def ranges(self, seen: View, which: int, holds: bool) -> Said:
        found = values.intervals(self.space, which, self.register, seen.bits)
        one = _ranges(_in_order(found, seen), seen, holds)
        # Flags are not ordered: a range of them is a mask that nobody would recognise.
        odd = seen.kind == "flags" and any(low != high for low, high in found)
        return said.test(one.text, one.cost + _ODD) if odd else one

    def masked(self, seen: View, mask: int, which: int, holds: bool) -> Said:
        return _masked(values.masked(self.space, which, self.register, mask), mask, seen, holds)

    # ---- two tests, each on its own simpler

    def as_two(self, members: int) -> Iterator[Said]:
        space = self.space
        if members in (FALSE, TRUE):
            return
        seen = self.seen_as(values.mask_of(space, members, self.register))
        outside = space.negated(members)
        for which, holds in ((members, True), (outside, False)):
            around = values.hull(space, which, self.register)
            low, high = values.ends(space, which, self.register, seen.bits)
            covers = [
                values.cube(space, around, self.register) if around.mask else TRUE,
                values.between(space, low, high, self.register, seen.bits),
            ]
            for cover in dict.fromkeys(covers):
                if cover not in (TRUE, which):
                    yield from self.split(which, cover, holds)

    def split(self, which: int, cover: int, holds: bool) -> Iterator[Said]:
        """`which` lies in cover: in cover and in which, or for its complement outside cover or outside which."""
        space = self.space
        if holds:
            first = self.simple(cover, cover)
            second = self.simple(which, space.either(which, space.negated(cover)))
            join: Callable[[list[Said]], Said] = said.all_of
        else:
            members, beyond = space.negated(which), space.negated(cover)
            first, second = self.simple(beyond, beyond), self.simple(space.minus(members, beyond), members)
            join = said.any_of
        if first is not None and second is not None:
            yield join([first, second])

    def as_cubes(self, inner: int, outer: int, most: int) -> Iterator[Said]:
        """As few patterns of bits as cover the set, or its complement, if that takes no more than `most`."""
        space = self.space
        for least, all_of, holds in ((inner, outer, True), (space.negated(outer), space.negated(inner), False)):
            found = values.cubes(space, least, all_of, most)
            if found is not None:
                whole = said.any_of(self.patterns(found))
                yield whole if holds else said.negation(whole)

    def patterns(self, cubes: list[values.Cube]) -> Iterator[Said]:
        """Tests for cubes, those that differ in their values alone together."""
        by_mask: dict[int, list[int]] = {}
        shared = 0
        for one in cubes:
            if one.mask == one.value and one.mask.bit_count() == 1:
                shared |= one.mask  # a && b is several bits; a || b is one test of both
            else:
                by_mask.setdefault(one.mask, []).append(one.value)
        if shared:
            yield _masked([0], shared, self.seen_as(shared), False)
        for mask in sorted(by_mask):
            seen = self.seen_as(mask)
            members = sorted(by_mask[mask])
            yield (
                _ranges([(value, value) for value in members], seen, True)
                if mask == seen.full
                else _masked(members, mask, seen, True)
            )


def _reading(one: Said) -> tuple[float, int, str]:
    return one.cost, len(one.text), one.text


# Intervals of unsigned numbers as those of the integers that the view reads.
def _in_order(found: list[tuple[int, int]], seen: View) -> list[tuple[int, int]]:
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


def _ranges(found: list[tuple[int, int]], seen: View, holds: bool) -> Said:
    """`value in` these intervals, or not in them."""
    name = seen.name
    least, most = (-(1 << seen.bits - 1), (1 << seen.bits - 1) - 1) if seen.signed else (0, seen.full)
    if len(found) == 1:
        low, high = found[0]
        if low == high:
            text, cost = view.equal(seen, low & seen.full)
            return said.test(f"{name} {'==' if holds else '!='} {_grouped(text)}", 2 + cost)
        # The bound that is written shorter: < 4 rather than <= 3, >= 0 rather than > -1.
        if low == least:
            return _bound(seen, ("<", high + 1), ("<=", high)) if holds else _bound(seen, (">", high), (">=", high + 1))
        if high == most:
            return _bound(seen, (">=", low), (">", low - 1)) if holds else _bound(seen, ("<", low), ("<=", low - 1))
    items, cost = [], 2.0
    for low, high in found:
        texts = [view.equal(seen, value & seen.full) for value in range(low, min(high, low + _FEW) + 1)]
        if high <= low + 1 or (high - low <= _FEW and all(_is_name(text) for text, _ in texts)):
            items += [text for text, _ in texts]
            cost += sum(more for _, more in texts)
        else:
            first, second = view.number(seen, low), view.number(seen, high)
            items.append(f"{first[0]}..{second[0]}")
            cost += first[1] + second[1]
    inside = said.test(f"{name} in {{{', '.join(items)}}}", cost)
    return inside if holds else said.negation(inside)


def _is_name(text: str) -> bool:
    return text[0].isalpha()


def _bound(seen: View, *ways: tuple[str, int]) -> Said:
    found = []
    for order, (operator, value) in enumerate(ways):
        text, cost = view.number(seen, value)
        # A power of two, or a round number, is the bound somebody meant.
        round_one = value & (value - 1) == 0 and value > 1
        found.append((cost - 0.25 * round_one, order, said.test(f"{seen.name} {operator} {text}", 2 + cost)))
    return min(found, key=lambda one: one[:2])[2]


def _masked(found: list[int], mask: int, seen: View, holds: bool) -> Said:
    """The value under a mask is one of these, or none of them."""
    spelled, cost = view.mask(seen, mask)
    mask_text = _grouped(spelled)
    value = f"({seen.name} & {mask_text})"
    if found == [0] and mask.bit_count() * 2 <= seen.bits:
        shares = said.test(f"{seen.name} & {mask_text}", 2 + cost + 0.1)
        return said.negation(shares) if holds else shares
    if len(found) == 1:
        text, more = view.equal(seen, found[0], mask)
        return said.test(f"{value} {'==' if holds else '!='} {_grouped(text)}", 2 + cost + _MASKED + more)
    items = [view.equal(seen, one, mask) for one in found]
    inside = said.test(
        f"{value} in {{{', '.join(text for text, _ in items)}}}", 2 + cost + _MASKED + sum(more for _, more in items)
    )
    return inside if holds else said.negation(inside)


def _grouped(text: str) -> str:
    return f"({text})" if "|" in text and not text.startswith("~(") else text
