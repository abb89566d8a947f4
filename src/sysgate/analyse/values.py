"""Sets of one register's values, listed: as intervals, or as the values of those bits that matter."""

from __future__ import annotations

from sysgate.analyse.forest import FALSE, TRUE
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.analyse.space import Space


class Cube(Value):
    """The values whose bits under mask are those of `value`."""

    mask: int
    value: int


def mask_of(space: Space, members: int, register: int) -> int:
    """The bits of a register that a set depends on. The set must look at no other register."""
    found = 0
    for variable in space.support(members):
        owner, bit = space.place(variable)
        assert owner == register
        found |= 1 << bit
    return found


class Counts:
    """How long the lists of a register's sets would be, without making them."""

    def __init__(self, space: Space, register: int) -> None:
        self.space, self.register = space, register
        self._runs: dict[tuple[int, int], tuple[int, bool, bool]] = {}

    def intervals(self, members: int, mask: int) -> int:
        """Intervals of the register under a mask, which covers all that the set depends on."""
        return self._repeated(members, mask)[0]

    # (intervals, whether the first value is in, whether the last is) for a set over the bits of mask.
    def _repeated(self, node: int, mask: int) -> tuple[int, bool, bool]:
        if node <= TRUE:
            return node, node == TRUE, node == TRUE
        bit = self.space.place(self.space.variable[node])[1]
        count, first, last = self._own(node, bit, mask & (1 << bit) - 1)
        # Bits above that do not matter: the same once more for each of their values.
        times = 1 << (mask >> bit + 1).bit_count()
        return count * times - (times - 1) * (first and last), first, last

    def _own(self, node: int, bit: int, below_mask: int) -> tuple[int, bool, bool]:
        key = node, below_mask
        found = self._runs.get(key)
        if found is None:
            below = self._repeated(self.space.low[node], below_mask)
            above = self._repeated(self.space.high[node], below_mask)
            found = self._runs[key] = below[0] + above[0] - (below[2] and above[1]), below[1], above[2]
        return found


def intervals(space: Space, members: int, register: int, mask: int) -> list[tuple[int, int]]:
    """The set as intervals of the register under a mask, in order; the mask covers all that the set depends on."""
    bits = [bit for bit in reversed(range(mask.bit_length())) if mask >> bit & 1]
    rest = [mask & (1 << bit + 1) - 1 for bit in bits] + [0]  # the bits from each on
    found: list[tuple[int, int]] = []
    waiting = [(members, 0, 0)]  # node, bits decided, their value in place
    while waiting:
        node, decided, value = waiting.pop()
        if node == FALSE:
            continue
        if node == TRUE:
            if found and after(found[-1][1], mask) == value:
                found[-1] = found[-1][0], value | rest[decided]
            else:
                found.append((value, value | rest[decided]))
            continue
        bit = bits[decided]
        ours = space.variable[node] == space.variable_of(register, bit)
        low_kid, high_kid = (space.low[node], space.high[node]) if ours else (node, node)
        waiting += ((high_kid, decided + 1, value | 1 << bit), (low_kid, decided + 1, value))
    return found


def after(value: int, mask: int) -> int:
    """The next larger value that has no bits outside mask; 0 after the largest."""
    return (value | ~mask) + 1 & mask


def hull(space: Space, members: int) -> Cube:
    """The smallest cube around a set of one register that is not empty: the bits that all its members have alike."""
    known: dict[int, tuple[int, int]] = {TRUE: (0, 0)}

    def walk(node: int) -> tuple[int, int]:
        if node not in known:
            bit = 1 << space.place(space.variable[node])[1]
            low, high = space.low[node], space.high[node]
            if low == FALSE:
                mask, value = walk(high)
                known[node] = mask | bit, value | bit
            elif high == FALSE:
                mask, value = walk(low)
                known[node] = mask | bit, value
            else:
                (mask, value), (other, second) = walk(low), walk(high)
                alike = mask & other & ~(value ^ second)
                known[node] = alike, value & alike
        return known[node]

    return Cube(*walk(members))


def cube(space: Space, of: Cube, register: int) -> int:
    """The set of a cube's values."""
    found = TRUE
    for bit in range(of.mask.bit_length()):  # the lowest bit stands last
        if of.mask >> bit & 1:
            variable = space.variable_of(register, bit)
            found = space.node(variable, FALSE, found) if of.value >> bit & 1 else space.node(variable, found, FALSE)
    return found


def cubes(space: Space, inner: int, outer: int, most: int) -> list[Cube] | None:
    """Cubes that cover inner and nothing outside outer, none of them needless; None where there are more than `most`.

    S. Minato, "Fast generation of irredundant sum-of-products forms from binary decision diagrams" (1992).
    """
    known: dict[tuple[int, int], tuple[int, tuple[tuple[int, int], ...]]] = {}

    def walk(inner: int, outer: int) -> tuple[int, tuple[tuple[int, int], ...]]:
        if inner == FALSE:
            return FALSE, ()
        if outer == TRUE:
            return TRUE, ((0, 0),)
        key = inner, outer
        if key not in known:
            variable = min(space.variable[inner], space.variable[outer])
            inner0, inner1 = _kids(space, inner, variable)
            outer0, outer1 = _kids(space, outer, variable)
            # What only a cube that asks for the bit can cover; then what is left, by cubes that do not ask.
            low, clear = walk(space.minus(inner0, outer1), outer0)
            high, ones = walk(space.minus(inner1, outer0), outer1)
            left = space.either(space.minus(inner0, low), space.minus(inner1, high))
            both, free = walk(left, space.both(outer0, outer1))
            bit = 1 << space.place(variable)[1]
            found = [(mask | bit, value) for mask, value in clear]
            found += [(mask | bit, value | bit) for mask, value in ones]
            if len(found) + len(free) > most:
                raise _TooMany
            node = space.node(variable, space.either(low, both), space.either(high, both))
            known[key] = node, (*found, *free)
        return known[key]

    try:
        return [Cube(mask, value) for mask, value in walk(inner, outer)[1]]
    except _TooMany:
        return None


class _TooMany(Exception):
    """A way out of the recursion."""


def _kids(space: Space, node: int, variable: int) -> tuple[int, int]:
    return (space.low[node], space.high[node]) if space.variable[node] == variable else (node, node)


def ends(space: Space, members: int, register: int, bits: int) -> tuple[int, int]:
    """The smallest and the largest member of a set that is not empty, among the register's low bits."""
    found = []
    for first in (0, 1):
        node, value = members, 0
        for bit in reversed(range(bits)):
            choice = first
            if space.variable[node] == space.variable_of(register, bit):
                kids = space.low[node], space.high[node]
                choice = first if kids[first] != FALSE else 1 - first
                node = kids[choice]
            value |= choice << bit
        found.append(value)
    return found[0], found[1]


def between(space: Space, low: int, high: int, register: int, bits: int) -> int:
    """The set of the values low … high of the register's low bits."""
    at_least = at_most = TRUE
    for bit in range(bits):
        variable = space.variable_of(register, bit)
        at_least = space.node(variable, FALSE, at_least) if low >> bit & 1 else space.node(variable, at_least, TRUE)
        at_most = space.node(variable, TRUE, at_most) if high >> bit & 1 else space.node(variable, at_most, FALSE)
    return space.both(at_least, at_most)
