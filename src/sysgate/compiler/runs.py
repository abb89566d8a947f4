"""What is still to be told apart about one word: runs of values that go to the same target.

A run is (low, high, target, weight): the least and greatest value that matter, where they go, how often they come. Runs
are ascending; what lies between two of them is already decided elsewhere and may fall to either side. A run may
have such holes inside, too. weight is that of the values that are left.

A cube is a set of bits such that all values inside it, with no other bit set, go to one target. One `jset` of all other
bits decides about such values: those of 0x5f, say, are 0–31 and 64–95.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    # Values that come with a weight, ascending.
    Points = tuple[tuple[int, float], ...]
    Run = tuple[int, int, int, float]
    Runs = tuple[Run, ...]
    # A decision tree: a target, or (code, k, where the test holds, where not).
    Tree = int | tuple[int, int, "Tree", "Tree"]

FULL = 0xFFFF_FFFF
CUBE_BITS = 9  # cubes of numbers below 512: that is where calls are
WORTH = 0.001  # points that weigh less do not choose a cube

_SIZE = 1 << CUBE_BITS
_ALL = (1 << _SIZE) - 1
# For each bit its place in an index, and the set of the indexes that lack it: so many ones, so many zeros, and so on.
_BITS = tuple((1 << bit, _ALL // ((1 << (2 << bit)) - 1) * ((1 << (1 << bit)) - 1)) for bit in range(CUBE_BITS))


def joined(runs: Iterable[Run]) -> Runs:
    """The runs with neighbours of one target made one."""
    made: list[Run] = []
    for run in runs:
        if made and made[-1][2] == run[2]:
            low, _, target, weight = made[-1]
            made[-1] = low, run[1], target, weight + run[3]
        else:
            made.append(run)
    return tuple(made)


def least_inside(value: int, bits: int) -> int:
    """The least v >= value whose set bits all lie in bits; above 2**32 where there is none."""
    outside = value & ~bits
    if not outside:
        return value
    # The highest bit outside must go; what stays at least value raises a free bit above it.
    top = outside.bit_length()
    free = bits & ~value & -(1 << top)
    if not free:
        return FULL + 1
    raised = free & -free
    return value & ~(raised - 1) & bits | raised


def greatest_inside(value: int, bits: int) -> int:
    """The greatest v <= value whose set bits all lie in bits."""
    outside = value & ~bits
    if not outside:
        return value
    below = (1 << outside.bit_length() - 1) - 1
    return value & bits & ~below | bits & below


def least_touching(value: int, bits: int) -> int:
    """The least v >= value that has some of bits set; bits is not 0. May exceed 2**32."""
    if value & bits:
        return value
    lowest = bits & -bits
    return value & ~(2 * lowest - 1) | lowest


def greatest_touching(value: int, bits: int) -> int:
    """The greatest v <= value that has some of bits set; bits is not 0. Negative where there is none."""
    if value & bits:
        return value
    lowest = bits & -bits
    return (value & ~(2 * lowest - 1)) - 1


def united(low: int, high: int) -> int:
    """All bits that some value of low … high has set."""
    differing = low ^ high
    return high | (1 << differing.bit_length()) - 1 if differing else low


def without_point(runs: Sequence[Run], at: int) -> Runs:
    """The runs once the single value of run `at` is decided."""
    return joined((*runs[:at], *runs[at + 1 :]))


def touching(runs: Sequence[Run], bits: int, points: Points) -> Runs:
    """The runs of the values that have some of bits set. points: those of these values that have a weight."""
    made = []
    at, end = 0, len(points)
    for low, high, target, _ in runs:
        first, last = least_touching(low, bits), greatest_touching(high, bits)
        if first <= last:
            weight = 0.0
            while at < end and points[at][0] <= last:
                weight += points[at][1]
                at += 1
            made.append((first, last, target, weight))
    return joined(made)


def cubes(runs: Runs, points: Points) -> list[tuple[int, int]]:
    """The largest cubes and their targets, the heaviest first.

    Sets of values, and sets of such sets, are integers with a bit each.
    """
    values: dict[int, int] = {}
    for low, high, target, _ in runs:
        if low < _SIZE:
            values[target] = values.get(target, 0) | (2 << min(high, _SIZE - 1)) - (1 << low)
    holds = {}  # by target, the sets that some value of it is inside
    for target, sets in values.items():
        for step, without in _BITS:
            sets |= (sets & without) << step
        holds[target] = sets
    heavy = [point for point in points if point[1] > WORTH]
    found = []
    for target, sets in holds.items():
        for other, too in holds.items():
            if other != target:
                sets &= ~too
        for step, without in _BITS:
            sets &= ~(sets >> step & without)
        while sets:
            inside = sets.bit_length() - 1
            sets ^= 1 << inside
            outside = ~inside
            found.append((sum([w for v, w in heavy if not v & outside]), inside, target))
    found.sort(reverse=True)
    return [(inside, target) for _, inside, target in found]
