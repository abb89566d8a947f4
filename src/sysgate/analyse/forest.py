"""Hash-consed decision diagrams over single bits, with any values as leaves.

A node looks at one variable (an integer; along every path they grow) and goes on to one of two nodes. Equal
functions are equal nodes, so that "do these two mean the same" is a comparison of two integers.

Node 0 is the leaf False, node 1 the leaf True: functions with no other leaves are sets, and `ite`, `both`,
`either` and `negated` work on them. Whatever is asked for, no more than `budget` nodes are made.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

LEAF = 1 << 30
"""What a leaf has for a variable: after all others."""

FALSE, TRUE = 0, 1


class Overgrown(Exception):
    """A diagram that needs more nodes than its budget. Never leaves analyse/: callers say what was too much."""


class Forest:
    """A store of nodes, known by their index.

    variable, low, high: by node, what it looks at and where it goes on to when that is 0 or 1. A leaf's low is the
    index of its value.
    """

    def __init__(self, budget: int = 1_000_000) -> None:
        self.budget = budget
        self.variable: list[int] = [LEAF, LEAF]
        self.low: list[int] = [0, 1]
        self.high: list[int] = [0, 0]
        self._values: list[Hashable] = [False, True]
        self._leaves: dict[Hashable, int] = {}
        self._nodes: dict[tuple[int, int, int], int] = {}
        self._ite: dict[tuple[int, int, int], int] = {}

    def leaf(self, value: Hashable) -> int:
        """The leaf of a value; of False and True nodes 0 and 1."""
        if value is False or value is True:
            return TRUE if value else FALSE
        found = self._leaves.get(value)
        if found is None:
            found = self._leaves[value] = len(self.variable)
            self.variable.append(LEAF)
            self.low.append(len(self._values))
            self.high.append(0)
            self._values.append(value)
        return found

    def value(self, node: int) -> Hashable:
        """What a leaf stands for."""
        return self._values[self.low[node]]

    def is_leaf(self, node: int) -> bool:
        return self.variable[node] == LEAF

    def node(self, variable: int, low: int, high: int) -> int:
        """The node that looks at a variable, which stands before those of low and high. Raises Overgrown."""
        if low == high:
            return low
        key = variable, low, high
        found = self._nodes.get(key)
        if found is None:
            found = len(self.variable)
            if found > self.budget:
                raise Overgrown
            self._nodes[key] = found
            self.variable.append(variable)
            self.low.append(low)
            self.high.append(high)
        return found

    def ite(self, test: int, then: int, other: int) -> int:
        """`then` where the set test holds, `other` elsewhere."""
        if test == TRUE or then == other:
            return then
        if test == FALSE:
            return other
        if then == TRUE and other == FALSE:
            return test
        key = test, then, other
        found = self._ite.get(key)
        if found is not None:
            return found
        variable, low, high = self.variable, self.low, self.high
        of_test, of_then, of_other = variable[test], variable[then], variable[other]
        first = min(of_test, of_then, of_other)
        test0, test1 = (low[test], high[test]) if of_test == first else (test, test)
        then0, then1 = (low[then], high[then]) if of_then == first else (then, then)
        other0, other1 = (low[other], high[other]) if of_other == first else (other, other)
        made = self.node(first, self.ite(test0, then0, other0), self.ite(test1, then1, other1))
        self._ite[key] = made
        return made

    def negated(self, a: int) -> int:
        return self.ite(a, FALSE, TRUE)

    def both(self, a: int, b: int) -> int:
        return self.ite(a, b, FALSE)

    def either(self, a: int, b: int) -> int:
        return self.ite(a, TRUE, b)

    def minus(self, a: int, b: int) -> int:
        """What is in a and not in b."""
        return self.ite(b, FALSE, a)

    def within(self, a: int, b: int) -> bool:
        """Whether everything in a is in b."""
        return self.minus(a, b) == FALSE

    def combined(self, a: int, b: int, combine: Callable[[Hashable, Hashable], Hashable]) -> int:
        """The diagram whose leaf is, everywhere, what combine makes of a's leaf and b's."""
        done: dict[tuple[int, int], int] = {}

        def walk(a: int, b: int) -> int:
            key = a, b
            found = done.get(key)
            if found is None:
                of_a, of_b = self.variable[a], self.variable[b]
                first = min(of_a, of_b)
                if first == LEAF:
                    found = self.leaf(combine(self.value(a), self.value(b)))
                else:
                    a0, a1 = (self.low[a], self.high[a]) if of_a == first else (a, a)
                    b0, b1 = (self.low[b], self.high[b]) if of_b == first else (b, b)
                    found = self.node(first, walk(a0, b0), walk(a1, b1))
                done[key] = found
            return found

        return walk(a, b)

    def mapped(self, a: int, change: Callable[[Hashable], int]) -> int:
        """a with every leaf replaced by the node that change makes of its value."""
        done: dict[int, int] = {}

        def walk(a: int) -> int:
            found = done.get(a)
            if found is None:
                if self.variable[a] == LEAF:
                    found = change(self.value(a))
                else:
                    found = self.ite(self.node(self.variable[a], FALSE, TRUE), walk(self.high[a]), walk(self.low[a]))
                done[a] = found
            return found

        return walk(a)

    def leaves(self, a: int) -> tuple[Hashable, ...]:
        """The values that a has somewhere, in the order a walk from low to high meets them."""
        return tuple(self.value(node) for node in self._reached(a) if self.variable[node] == LEAF)

    def support(self, a: int) -> list[int]:
        """The variables that a depends on, in order."""
        return sorted({self.variable[node] for node in self._reached(a)} - {LEAF})

    def size(self, a: int) -> int:
        """How many nodes a has."""
        return len(self._reached(a))

    def without(self, a: int, variables: Iterable[int], *, all_of: bool = False) -> int:
        """The set of what is in the set a for some value of the variables, or with all_of for every one."""
        gone = frozenset(variables)
        done: dict[int, int] = {}

        def walk(a: int) -> int:
            found = done.get(a)
            if found is None:
                variable = self.variable[a]
                if variable == LEAF:
                    found = a
                else:
                    low, high = walk(self.low[a]), walk(self.high[a])
                    if variable in gone:
                        found = self.both(low, high) if all_of else self.either(low, high)
                    else:
                        found = self.node(variable, low, high)
                done[a] = found
            return found

        return walk(a)

    def chosen(self, a: int, variable: int, bit: int) -> int:
        """a where a variable has the value bit: what is left of it."""
        done: dict[int, int] = {}

        def walk(a: int) -> int:
            at = self.variable[a]
            if at > variable:
                return a
            if at == variable:
                return self.high[a] if bit else self.low[a]
            found = done.get(a)
            if found is None:
                found = done[a] = self.node(at, walk(self.low[a]), walk(self.high[a]))
            return found

        return walk(a)

    def example(self, a: int) -> dict[int, int]:
        """Variable → bit for one member of the set a, which is not empty; variables left out do not matter."""
        bits: dict[int, int] = {}
        while a != TRUE:
            bit = 1 if self.low[a] == FALSE else 0
            bits[self.variable[a]] = bit
            a = self.high[a] if bit else self.low[a]
        return bits

    def _reached(self, a: int) -> dict[int, None]:
        found: dict[int, None] = {}
        waiting = [a]
        while waiting:
            node = waiting.pop()
            if node in found:
                continue
            found[node] = None
            if self.variable[node] != LEAF:
                waiting += (self.high[node], self.low[node])
        return found
