"""A set of calls as the condition a person would write: the argument part of a diagram turned back into text.

As with the tests of one register, what is wanted is two sets: `inner` must pass, nothing outside `outer` may. A block
of variables (a register; in a braided space one bit of every register) is looked at at a time: its exits are the
nodes that its values lead on to.
"""

from __future__ import annotations

from itertools import combinations

from sysgate.analyse import said
from sysgate.analyse.forest import FALSE, LEAF, TRUE
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
            ways = [one for one in map(self.exactly, self.choices(inner, outer)) if one is not None]
            if inner != outer:
                ways += self.of_one_register(inner, outer)
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
            self._exact[members] = None  # what leads back here has no simpler form
            self._exact[members] = self.found(members)
        return self._exact[members]

    def found(self, members: int) -> Said | None:
        registers = self.registers(members)
        if POINTER in registers:
            return None
        if len(registers) == 1:
            return self.tests[registers[0]].between(members, members)
        ways = [*self.independent(members, registers)]
        if not ways:
            ways = [one for one in (self.as_any(members), self.as_all(members)) if one is not None]
        return min(ways, key=_reading, default=None)

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
                yield from self.joined(alone, rest, join)
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

    def as_any(self, members: int) -> Said | None:
        """`in this && …  ||  in that && …`, one part for each exit of the first block."""
        space = self.space
        exits = self.exits(members)
        parts: list[tuple[Said, int]] = []
        for node, guard in exits.items():
            if node == FALSE:
                continue
            # Wider is allowed where what follows is no more than what is wanted there anyway.
            wider = guard
            for other, where in exits.items():
                if other != node and node != TRUE and space.within(node, other):
                    wider = space.either(wider, where)
            test, then = self.guarded(guard, wider), self.exactly(node)
            if test is None or then is None:
                return None
            parts.append((said.all_of([test[0], then]), space.both(test[1], node)))
        return said.any_of(self.needed(parts, members))

    def as_all(self, members: int) -> Said | None:
        """`(elsewhere || …) && (elsewhere || …)`, one part for each exit of the first block."""
        space = self.space
        exits = self.exits(members)
        parts: list[tuple[Said, int]] = []
        for node, guard in exits.items():
            if node == TRUE:
                continue
            elsewhere = space.negated(guard)
            fewer = elsewhere
            for other, where in exits.items():
                if other != node and node != FALSE and space.within(other, node):
                    fewer = space.minus(fewer, where)
            test, then = self.guarded(fewer, elsewhere), self.exactly(node)
            if test is None or then is None:
                return None
            parts.append((said.any_of([test[0], then]), space.negated(space.either(test[1], node))))
        return said.all_of(self.needed(parts, space.negated(members)))

    def guarded(self, inner: int, outer: int) -> tuple[Said, int] | None:
        """The cheaper of two tests on one block, and the set it stands for."""
        ways = [(test, which) for which in dict.fromkeys((inner, outer)) if (test := self.of_block(which)) is not None]
        return min(ways, key=lambda way: _reading(way[0]), default=None)

    def needed(self, parts: list[tuple[Said, int]], whole: int) -> list[Said]:
        """The parts without those that the others cover, the dearest tried first."""
        left = list(parts)
        for part in sorted(parts, key=lambda one: _reading(one[0]), reverse=True):
            rest = FALSE
            for other in left:
                if other is not part:
                    rest = self.space.either(rest, other[1])
            if rest == whole and len(left) > 1:
                left.remove(part)
        return [test for test, _ in left]

    # ---- one block

    def exits(self, members: int) -> dict[int, int]:
        """Where the first block leads: node → the set of the block's values that go there, in order of appearance."""
        space = self.space
        block = space.block(space.variable[members])
        found: dict[int, dict[int, int]] = {}

        def outside(node: int) -> bool:
            return space.variable[node] == LEAF or space.block(space.variable[node]) != block

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
        if len(registers) == 1:
            return self.tests[registers[0]].between(members, members)
        return self.bit_by_bit(members)

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
