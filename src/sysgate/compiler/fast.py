"""Trees for `optimize="fast"`: one pass, no search."""

from __future__ import annotations

from sysgate.compiler.assemble import Setting
from sysgate.compiler.diagram import Order
from sysgate.compiler.intervals import Intervals
from sysgate.compiler.steps import JEQ, JGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sysgate.compiler.runs import Points, Runs, Tree

# Up to here the best tree by dynamic programming is a matter of a millisecond.
FEW = 12
# Single values in a chain of jeq, at the end of a tree that is halved.
CHAIN = 3
# However rare a value, it counts as much as so many of its fellows do on average: the tree stays shallow.
FLOOR = 3


def setting(price: float) -> Setting:
    """Trees halved by weight, one order of words."""

    def planner(runs: Runs) -> Tree:
        return tree(runs, price, {})

    def numbers(runs: Runs, points: Points, heights: Mapping[int, int]) -> Tree:
        return Intervals(runs, price, heights).tree(0, len(runs) - 1, 1 << 30)

    return Setting(planner, numbers, lambda rules: (Order(),))


def tree(runs: Runs, price: float, heights: Mapping[int, int]) -> Tree:
    """A good tree for runs of values: the best one for a few, otherwise halved by weight."""
    if len(runs) == 1:
        return runs[0][2]
    if len(runs) <= FEW:
        return Intervals(runs, price, heights).tree(0, len(runs) - 1, 1 << 30)
    floor = FLOOR * sum([run[3] for run in runs]) / len(runs)
    total = [0.0]
    for run in runs:
        total.append(total[-1] + run[3] + floor)
    return _halved(runs, total, 0, len(runs) - 1)


def _halved(runs: Runs, total: list[float], i: int, j: int) -> Tree:
    if i == j:
        return runs[i][2]
    if j - i <= 2 * CHAIN:
        chained = _chained(runs, i, j)
        if chained is not None:
            return chained
    middle = (total[i] + total[j + 1]) / 2
    low, high = i, j
    while low < high - 1:  # the last run that begins before the middle
        at = (low + high) // 2
        if total[at] <= middle:
            low = at
        else:
            high = at
    # Beside a single value, split so that its wide neighbour stays whole: one test less in each half.
    cut = low if low > i and (middle - total[low] < total[low + 1] - middle or low == j) else low + 1
    return JGE, runs[cut][0], _halved(runs, total, cut, j), _halved(runs, total, i, cut - 1)


def _chained(runs: Runs, i: int, j: int) -> Tree | None:
    # Single values picked out of one target, heaviest first.
    wide = {run[2] for run in runs[i : j + 1] if run[0] != run[1]}
    if len(wide) != 1:
        return None
    rest = wide.pop()
    picked = [run for run in runs[i : j + 1] if run[2] != rest]
    if len(picked) > CHAIN or len(picked) == j - i and j - i > 1:
        return None
    tree: Tree = rest
    for run in sorted(picked, key=lambda run: run[3]):
        tree = JEQ, run[0], run[2], tree
    return tree
