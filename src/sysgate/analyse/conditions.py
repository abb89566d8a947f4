"""A set of calls as the condition a person would write: the argument part of a diagram turned back into text.

As with the tests of one register, what is wanted is two sets: `inner` must pass, nothing outside `outer` may. A block
of variables (a register; in a braided space one bit of every register) is looked at at a time: its exits are the
nodes that its values lead on to.
"""

from __future__ import annotations

from functools import partial
from itertools import combinations

from sysgate.analyse import said
from sysgate.analyse.forest import FALSE, LEAF, TRUE, Overgrown
from sysgate.analyse.said import NEVER, Said
from sysgate.analyse.space import POINTER
from sysgate.analyse.tests import Tests
from sysgate.errors import BpfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sysgate.analyse.space import Space
    from sysgate.analyse.view import View

_LONGEST = 60_000  # characters of one condition
_MOST_SETS = 1500  # sets that one condition may be taken apart into, tried in all ways


class Conditions:
    """Writes conditions on the arguments of one call. views: by register, the argument's first, the raw word last."""

    def __init__(self, space: Space, views: Mapping[int, tuple[View, ...]]) -> None:
        self.space = space
        self.tests = {register: Tests(space, seen) for register, seen in views.items()}
        self._known: dict[tuple[int, int], Said] = {}
        self._exact: dict[int, Said | None] = {}

    def between(self, inner: int, outer: int) -> Said:
        """The condition found easiest to read. Raises BpfError where no reasonable one was found."""
        if inner == FALSE:
            return said.NEVER
        if outer == TRUE:
            return said.ALWAYS
        key = inner, outer
        found = self._known.get(key)
        if found is None:
            try:
                ways = [one for one in map(self.exactly, self.choices(inner, outer)) if one is not None]
                if inner != outer:
                    ways += self.of_one_register(inner, outer)
            except Overgrown:
                ways = []
            found = min(ways, key=_reading, default=None)
            if found is None or len(found.text) > _LONGEST:
                if POINTER in self.registers(inner):
                    raise BpfError("the answer depends on the instruction pointer, which no rule can look at")
                raise BpfError("what is asked of the arguments is too intricate for a rule")
            self._known[key] = found
        return found

    def exactly(self, members: int) -> Said | None:
        """The condition that holds for just these calls; None where none was found."""
        if members in (FALSE, TRUE):
            return said.ALWAYS if members else said.NEVER
        if members not in self._exact:
            if len(self._exact) > _MOST_SETS:
                return None
            self._exact[members] = None  # what leads back here has no simpler form
            self._exact[members] = self.found(members)
        return self._exact[members]

    def found(self, members: int) -> Said | None:
        registers = self.registers(members)
        if POINTER in registers:
            return None
        if len(registers) == 1:
            return self.tests[registers[0]].between(members, members) or self.in_parts(members)
        ways = [*self.independent(members, registers)]
        if not ways:
            ways = self.by_exits(members, self.space.block)
        return min(ways, key=_reading, default=None)

    def in_parts(self, members: int) -> Said | None:
        """A set of one register that no test can say: half by half, or in smaller parts."""
        space = self.space
        for width in (32, 16, 8):
            at = {space.place(variable)[1] // width for variable in space.support(members)}
            ways = self.by_exits(members, partial(self.part, width)) if len(at) > 1 else []
            if ways:
                return min(ways, key=_reading)
        return None

    def part(self, width: int, variable: int) -> int:
        return self.space.place(variable)[1] // width

    def registers(self, members: int) -> list[int]:
        """The registers a set depends on, in order."""
        return sorted({self.space.place(variable)[0] for variable in self.space.support(members)})

    # ---- what does not matter

    def choices(self, inner: int, outer: int) -> list[int]:
        """Sets between the two, worth writing down."""
        if inner == outer:
            return [inner]
        space = self.space
        found = [inner, outer]
        for register in dict.fromkeys([*self.registers(inner), *self.registers(outer)]):
            variables = self.variables(register)
            less = space.without(inner, variables), space.without(outer, variables, all_of=True)
            if space.within(*less):
                inner, outer = less
        found += [inner, outer]
        return list(dict.fromkeys(found))

    def of_one_register(self, inner: int, outer: int) -> Iterator[Said]:
        """The condition on one register alone, where the two sets leave room for one."""
        space = self.space
        registers = sorted({*self.registers(inner), *self.registers(outer)} - {POINTER})
        for register in registers:
            others = [variable for other in registers if other != register for variable in self.variables(other)]
            less = space.without(inner, others), space.without(outer, others, all_of=True)
            if space.within(*less):
                one = self.tests[register].between(*less)
                if one is not None:
                    yield one

    def variables(self, register: int) -> list[int]:
        return [self.space.variable_of(register, bit) for bit in range(64)]

    # ---- several registers

    def independent(self, members: int, registers: list[int]) -> Iterator[Said]:
        """Where one register's part stands by itself: `a && b`, or `a || b`."""
        space = self.space
        outside = space.negated(members)
        for which, join in ((members, said.all_of), (outside, said.any_of)):
            for register in registers:
                own = self.variables(register)
                others = [variable for other in registers if other != register for variable in self.variables(other)]
                alone, rest = space.without(which, others), space.without(which, own)
                if space.both(alone, rest) != which or TRUE in (alone, rest):
                    continue
                if which == outside:
                    alone, rest = space.negated(alone), space.negated(rest)
                first, second = (alone, rest) if register < min(self.registers(rest)) else (rest, alone)
                yield from self.joined(first, second, join)
                return
            # Two of them do not meet: `a == c && b == c`.
            for one, other in combinations(registers, 2):
                first, second = (space.without(which, self.variables(register)) for register in (one, other))
                if space.both(first, second) == which and which not in (first, second):
                    if which == outside:
                        first, second = space.negated(first), space.negated(second)
                    yield from self.joined(first, second, join)
                    return

    def joined(self, one: int, other: int, join: Callable[[list[Said]], Said]) -> Iterator[Said]:
        first, second = self.exactly(one), self.exactly(other)
        if first is not None and second is not None:
            yield join([first, second])

    def by_exits(self, members: int, block: Callable[[int], int]) -> list[Said]:
        """The condition part by part, one for each exit of the first block; block: variable → which one it is in."""
        exits = self.exits(members, block)
        first = block(self.space.variable[members])
        own = [variable for variable in self.space.support(members) if block(variable) == first]
        ways = self.as_any(members, exits, own), self.as_all(members, exits, own)
        return [one for one in ways if one is not None]

    def as_any(self, members: int, exits: dict[int, int], block: list[int]) -> Said | None:
        """`in this && …  ||  in that && …`"""
        space = self.space
        parts: list[tuple[Said, int, int]] = []
        for node, guard in exits.items():
            if node == FALSE:
                continue
            # Wider is allowed where what follows is no more than what is wanted there anyway.
            wider = guard
            for other, where in exits.items():
                if other != node and node != TRUE and space.within(node, other):
                    wider = space.either(wider, where)
            test = self.guarded(guard, wider)
            if test is None:
                return None
            parts.append((*test, node))
        said_parts = self.needed(parts, members, block)
        return None if said_parts is None else said.any_of(map(said.all_of, said_parts))

    def as_all(self, members: int, exits: dict[int, int], block: list[int]) -> Said | None:
        """`(elsewhere || …) && (elsewhere || …)`: the same of what is not wanted, turned round."""
        space = self.space
        parts: list[tuple[Said, int, int]] = []
        for node, guard in exits.items():
            if node == TRUE:
                continue
            wider = guard
            for other, where in exits.items():
                if other != node and node != FALSE and space.within(other, node):
                    wider = space.either(wider, where)
            test = self.guarded(space.negated(wider), space.negated(guard))
            if test is None:
                return None
            parts.append((test[0], space.negated(test[1]), space.negated(node)))
        said_parts = self.needed(parts, space.negated(members), block, negated=True)
        return None if said_parts is None else said.all_of(map(said.any_of, said_parts))

    def guarded(self, inner: int, outer: int) -> tuple[Said, int] | None:
        """The cheaper of two tests on one block, and the set it stands for."""
        ways = [(test, which) for which in dict.fromkeys((inner, outer)) if (test := self.of_block(which)) is not None]
        return min(ways, key=lambda way: _reading(way[0]), default=None)

    def needed(
        self, parts: list[tuple[Said, int, int]], whole: int, block: list[int], *, negated: bool = False
    ) -> list[list[Said]] | None:
        """Each part's test and what follows it, without parts that the others cover, and with no more than is needed.

        parts: (test, the set it stands for, the set that follows); together they are `whole`. block: the variables that
        the tests look at. negated: test and what follows are to be said of the complement.
        """
        space = self.space
        left = sorted(parts, key=lambda part: (_reading(part[0]), space.size(part[2])), reverse=True)
        sets = {id(part): space.both(part[1], part[2]) for part in left}
        for part in list(left):
            if self.others(left, part, sets) == whole and len(left) > 1:
                left.remove(part)
        made: dict[int, list[Said]] = {}
        for part in left:
            test, guard, then = part
            wanted = space.minus(sets[id(part)], self.others(left, part, sets))
            least = space.without(wanted, block)
            follows = self.maybe_between(least, then, negated=negated)
            if follows is None:
                return None
            sets[id(part)] = space.both(guard, least)  # at least this much is said
            made[id(part)] = [test, follows]
        return [made[id(part)] for part in parts if id(part) in made]

    def others(self, parts: list[tuple[Said, int, int]], own: tuple[Said, int, int], sets: dict[int, int]) -> int:
        """What the other parts cover."""
        found = FALSE
        for part in parts:
            if part is not own:
                found = self.space.either(found, sets[id(part)])
        return found

    def maybe_between(self, inner: int, outer: int, *, negated: bool) -> Said | None:
        if negated:
            inner, outer = self.space.negated(outer), self.space.negated(inner)
        if inner == outer:
            return self.exactly(inner)
        ways = [one for one in map(self.exactly, (inner, outer)) if one is not None]
        return min(ways, key=_reading, default=None)

    # ---- one block

    def exits(self, members: int, block: Callable[[int], int]) -> dict[int, int]:
        """Where the first block leads: node → the set of the block's values that go there, in order of appearance."""
        space = self.space
        first = block(space.variable[members])
        found: dict[int, dict[int, int]] = {}

        def outside(node: int) -> bool:
            return space.variable[node] == LEAF or block(space.variable[node]) != first

        def walk(node: int) -> dict[int, int]:
            if outside(node):
                return {node: TRUE}
            if node not in found:
                low, high = walk(space.low[node]), walk(space.high[node])
                found[node] = {
                    out: space.node(space.variable[node], low.get(out, FALSE), high.get(out, FALSE))
                    for out in dict.fromkeys([*low, *high])
                }
            return found[node]

        return walk(members)

    def of_block(self, members: int) -> Said | None:
        """The condition for a set that looks at one block alone."""
        if members in (FALSE, TRUE):
            return said.ALWAYS if members else said.NEVER
        registers = self.registers(members)
        if POINTER in registers:
            return None
        return self.exactly(members) if len(registers) == 1 else self.bit_by_bit(members)

    def bit_by_bit(self, members: int) -> Said:
        """A set over single bits of several registers, apart by its first bit."""
        space = self.space
        if members in (FALSE, TRUE):
            return said.ALWAYS if members else said.NEVER
        variable = space.variable[members]
        register, _ = space.place(variable)
        bit = space.node(variable, FALSE, TRUE)
        on = self.tests[register].between(bit, bit)
        assert on is not None  # one bit always has its test
        low, high = self.bit_by_bit(space.low[members]), self.bit_by_bit(space.high[members])
        if low == NEVER:
            return said.all_of([on, high])
        if high == NEVER:
            return said.all_of([said.negation(on), low])
        if high == said.ALWAYS:
            return said.any_of([on, low])
        if low == said.ALWAYS:
            return said.any_of([said.negation(on), high])
        return said.any_of([said.all_of([on, high]), said.all_of([said.negation(on), low])])


def _reading(one: Said) -> tuple[float, int, str]:
    return one.cost, len(one.text), one.text
