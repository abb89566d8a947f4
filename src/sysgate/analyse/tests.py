"""A set of one register's values as the test a person would write for it.

What is wanted is given as two sets: every value of `inner` must pass, none outside `outer` may; what lies between
does not matter, and the test that is easiest to read is taken.
"""

from __future__ import annotations

from sysgate.analyse import said, spelled, values
from sysgate.analyse.forest import FALSE, TRUE
from sysgate.analyse.said import Said

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sysgate.analyse.space import Space
    from sysgate.analyse.view import View

_MOST_LISTED = 2048  # values or ranges in one set
_CUBE = 2.0  # what a pattern costs at least
_MOST_CUBES = 64
_CHEAP = 4.0  # a single test up to this needs no rival
_DEAR = 8.0  # what costs more is worth the search for two tests that do together
_REGULAR_START, _REGULAR = 40, 6  # nodes of a set, and for each unit of cost, that may still be a pattern


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
                for members in dict.fromkeys([inner, outer]):
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
        support = values.mask_of(self.space, members, self.register)
        seen = self.seen_as(support)
        outside = self.space.negated(members)
        ways = []
        for mask in _masks(support, seen):
            for which, holds in ((members, True), (outside, False)):
                length = self.counts.intervals(which, mask)
                # `x == 0` is not better said as `x < 1`.
                if holds or not self.is_one(members, mask):
                    ways.append((length, mask, which, holds))
        shortest = min(way[0] for way in ways)
        for length, mask, which, holds in ways:
            if length <= min(_MOST_LISTED, 2 * shortest + 2):
                found = values.intervals(self.space, which, self.register, mask)
                yield spelled.test(found, mask, seen, holds)

    def is_one(self, members: int, mask: int) -> bool:
        """Whether all members have the same value under a mask, which covers all that the set depends on."""
        if self.counts.intervals(members, mask) > 1:
            return False
        low, high = values.intervals(self.space, members, self.register, mask)[0]
        return low == high

    def seen_as(self, mask: int) -> View:
        """The first view that has all these bits."""
        return next(one for one in self.seen if mask <= one.full)

    # ---- two tests, each on its own simpler

    def as_two(self, members: int) -> Iterator[Said]:
        space = self.space
        if members in (FALSE, TRUE):
            return
        seen = self.seen_as(values.mask_of(space, members, self.register))
        outside = space.negated(members)
        for which, holds in ((members, True), (outside, False)):
            around = values.hull(space, which)
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
            yield spelled.test([(0, 0)], shared, self.seen_as(shared), False)
        for mask in sorted(by_mask):
            yield spelled.test([(value, value) for value in sorted(by_mask[mask])], mask, self.seen_as(mask), True)


def _masks(support: int, seen: View) -> list[int]:
    """What to look at a set under that depends on these bits: all the view's, its own, and those of a round width."""
    wide = next(width for width in (8, 16, 32, 64) if support.bit_length() <= width)
    return list(dict.fromkeys([seen.full, support, min(seen.full, (1 << wide) - 1)]))


def _reading(one: Said) -> tuple[float, int, str]:
    return one.cost, len(one.text), one.text
