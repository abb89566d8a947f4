"""Cubes: sets of bits such that all values inside them, with no other bit set, go to one target.

One `jset` of all other bits decides about such values: those of 0x5f, say, are 0–31 and 64–95.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.compiler.runs import Points, Runs

CUBE_BITS = 9  # cubes of numbers below 512: that is where calls are
WORTH = 0.001  # points that weigh less do not choose a cube

_SIZE = 1 << CUBE_BITS
_ALL = (1 << _SIZE) - 1
# For each bit its place in an index, and the set of the indexes that lack it: so many ones, so many zeros, and so on.
_BITS = tuple((1 << bit, _ALL // ((1 << (2 << bit)) - 1) * ((1 << (1 << bit)) - 1)) for bit in range(CUBE_BITS))


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
