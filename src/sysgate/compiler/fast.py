"""Trees for `optimize="fast"`: one pass, no search."""

from __future__ import annotations

from sysgate.compiler.cubes import cubes
from sysgate.compiler.diagram import Order
from sysgate.compiler.intervals import Intervals, middle
from sysgate.compiler.runs import FULL, touching
from sysgate.compiler.setting import Setting
from sysgate.compiler.steps import JEQ, JGE, JSET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sysgate.compiler.runs import Points, Runs, Tree

# Up to here the best tree by dynamic programming is a matter of a millisecond.
FEW = 12
PLAIN_PRICE = 0.08
BLOCK = 40  # the same for numbers
MUCH = 0.25  # of all calls: what a cube at the root must decide
SELDOM = (0.01,)
# Single values in a chain of jeq, at the end of a tree that is halved.
CHAIN = 3
LONGEST = 8  # ... where the values are many and seldom come
# However rare a value, it counts as much as so many of its fellows do on average: the tree stays shallow.
FLOOR = 3


def setting(price: float) -> Setting:
    """Trees halved by weight, one order of words."""

    def planner(runs: Runs) -> Tree:
        return tree(runs, price, {})

    def numbers(runs: Runs, points: Points, heights: Mapping[int, int]) -> Tree:
        # Where no arguments are tested the bitmap serves all that is allowed: steps matter less, and size more.
        level = len(set(heights.values())) == 1
        return by_number(runs, points, PLAIN_PRICE if level else price, heights)

    return Setting(planner, numbers, lambda rules: (Order(),), SELDOM, thorough=False)


def by_number(runs: Runs, points: Points, price: float, heights: Mapping[int, int]) -> Tree:
    """A good tree for runs of call numbers: a cube first where that decides much, then halves."""
    found = cubes(runs, points)
    if found and len(runs) > 2:
        mask, target = ~found[0][0] & FULL, found[0][1]
        rest = tuple([point for point in points if point[0] & mask])
        if sum([w for _, w in rest]) < (1 - MUCH) * sum([w for _, w in points]):
            return JSET, mask, _blocks(touching(runs, mask, rest), price, heights), target
    return _blocks(runs, price, heights)


def _blocks(runs: Runs, price: float, heights: Mapping[int, int]) -> Tree:
    if len(runs) == 1:
        return runs[0][2]
    total = [0.0]
    for run in runs:
        total.append(total[-1] + run[3] + price / 4)

    def halved(i: int, j: int) -> Tree:
        if j - i < BLOCK:
            return Intervals(runs[i : j + 1], price, heights).tree(0, j - i, 1 << 30)
        cut = middle(total, i, j)
        return JGE, runs[cut][0], halved(cut, j), halved(i, cut - 1)

    return halved(0, len(runs) - 1)


def tree(runs: Runs, price: float, heights: Mapping[int, int]) -> Tree:
    """A good tree for runs of values: the best one for a few, otherwise halved by weight."""
    if len(runs) == 1:
        return runs[0][2]
    if len(runs) <= FEW:
        return Intervals(runs, price, heights).tree(0, len(runs) - 1, 1 << 30)
    whole = sum([run[3] for run in runs])
    floor = FLOOR * whole / len(runs)
    total = [0.0]
    for run in runs:
        total.append(total[-1] + run[3] + floor)
    # A chain of c values makes every call c / 2 steps longer and saves all but one c-th of the tests that halve.
    chain = int((price * len(runs) / whole) ** 0.5) if whole else LONGEST
    return _halved(runs, total, 0, len(runs) - 1, min(max(chain, CHAIN), LONGEST))


def _halved(runs: Runs, total: list[float], i: int, j: int, chain: int) -> Tree:
    if i == j:
        return runs[i][2]
    if j - i <= 2 * chain:
        chained = _chained(runs[i : j + 1], chain)
        if chained is not None:
            return chained
    cut = middle(total, i, j)
    return JGE, runs[cut][0], _halved(runs, total, cut, j, chain), _halved(runs, total, i, cut - 1, chain)


def _chained(runs: Runs, chain: int) -> Tree | None:
    # Single values picked out of one target, heaviest first.
    wide = {run[2] for run in runs if run[0] != run[1]}
    if len(wide) != 1:
        return None
    rest = wide.pop()
    picked = [run for run in runs if run[2] != rest]
    if len(picked) > chain or (len(picked) == len(runs) - 1 > 1):
        return None
    tree: Tree = rest
    for run in sorted(picked, key=lambda run: run[3]):
        tree = JEQ, run[0], run[2], tree
    return tree
