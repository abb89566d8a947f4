"""How hard to try for `optimize="fast"`: trees in one pass, without search."""

from __future__ import annotations

from sysgate.compiler.intervals import Intervals, middle
from sysgate.compiler.runs import FULL, cubes, touching
from sysgate.compiler.steps import JEQ, JGE, JSET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sysgate.compiler.diagram import Order
    from sysgate.compiler.runs import Points, Runs, Tree
    from sysgate.policy.ruleset import Bound

# Up to here the best tree by dynamic programming is a matter of a millisecond.
FEW = 12
BLOCK = 32  # the same for numbers
MOST = 48  # ... where they are cut in two, for the larger part
NEAR = 3  # cuts tried on either side of the middle
SHARE = 0.05  # of an instruction's price that a run counts for when the middle is sought
PLAIN_PRICE = 0.1  # of an instruction, where no arguments are tested
MUCH = 0.25  # of all calls: what a cube at the root must decide
# Single values in a chain of jeq, at the end of a tree that is halved.
CHAIN = 3
LONGEST = 8  # ... where the values are many and seldom come
# However rare a value, it counts as much as so many of its fellows do on average: the tree stays shallow.
FLOOR = 2


class Fast:
    """What `optimize` decides; compiler/full is the other way.

    price: of an instruction, in steps per call. thorough: code every form of a test to see which is the cheapest.
    seldom: the layouts to try (layout.lay_out). nodes: that a diagram may take before the rule chain is taken instead;
    large: so many diagrams may take as many.
    """

    thorough = False
    nodes = 5000
    large = 4
    seldom: tuple[float, ...] = (0.01,)

    def __init__(self, price: float) -> None:
        self.price = price

    def orders(self, rules: Sequence[Bound], plain: Order) -> Iterable[Order]:
        """The orders of words to try for the rules of a call, the plain one first."""
        return (plain,)

    def planner(self, runs: Runs) -> Tree:
        """The tree that tells runs of a word of an argument apart; its targets are those of the runs."""
        return tree(runs, self.price)

    def numbers(self, runs: Runs, points: Points, heights: Mapping[int, int]) -> Tree:
        """The same for call numbers. points: those that have a weight. heights: instructions below each target."""
        # Where no arguments are tested the bitmap serves all that is allowed: steps matter less, and size more.
        level = len(set(heights.values())) == 1
        return by_number(runs, points, PLAIN_PRICE if level else self.price)


def by_number(runs: Runs, points: Points, price: float) -> Tree:
    """A good tree for runs of call numbers: a cube first where that decides much, then halves."""
    found = cubes(runs, points)
    if found and len(runs) > 2:
        mask, target = ~found[0][0] & FULL, found[0][1]
        outside = tuple([point for point in points if point[0] & mask])
        whole = sum([w for _, w in points])
        if sum([w for _, w in outside]) < (1 - MUCH) * whole:
            rest = touching(runs, mask, outside)
            if len(runs) > FEW or price + whole + Intervals(rest, price).best < Intervals(runs, price).best:
                return JSET, mask, _blocks(rest, price), target
    return _blocks(runs, price)


def _blocks(runs: Runs, price: float) -> Tree:
    if len(runs) == 1:
        return runs[0][2]
    total = [0.0]
    for run in runs:
        total.append(total[-1] + run[3] + price * SHARE)

    def halved(i: int, j: int) -> Tree:
        if j - i < BLOCK:
            return Intervals(runs[i : j + 1], price).tree(0, j - i)
        cut = middle(total, i, j)
        first, last = max(cut - NEAR, i + 1), min(cut + NEAR, j)
        if max(last - i, j - first + 1) > MOST:
            return JGE, runs[cut][0], halved(cut, j), halved(i, cut - 1)
        # Two tables that overlap: so the best of some cuts around the middle is known.
        below, above = Intervals(runs[i:last], price), Intervals(runs[first : j + 1], price)
        costs = [below.cost[0][at - 1 - i] + above.cost[at - first][-1] for at in range(first, last + 1)]
        cut = first + costs.index(min(costs))
        return JGE, runs[cut][0], above.tree(cut - first, j - first), below.tree(0, cut - 1 - i)

    return halved(0, len(runs) - 1)


def tree(runs: Runs, price: float) -> Tree:
    """A good tree for runs of values: the best one for a few, otherwise halved by weight."""
    if len(runs) == 1:
        return runs[0][2]
    if len(runs) <= FEW:
        return Intervals(runs, price).tree(0, len(runs) - 1)
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
