"""How hard to try for `optimize="full"`: everything that pays within a second."""

from __future__ import annotations

from sysgate.compiler import fast, order
from sysgate.compiler.intervals import INFINITE, Intervals
from sysgate.compiler.search import Search

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sysgate.compiler.diagram import Order
    from sysgate.compiler.runs import Points, Runs, Tree
    from sysgate.policy.ruleset import Bound

EFFORT = 1_000_000  # for the numbers, shared by all trees (search.work)
MOST = 64  # runs of an argument's word that get an interval table
# A tree may be as high as a balanced one; a little higher where a profile says which paths matter, and otherwise for
# as long as a further step on the longest path spares every call so much of a step on the mean.
KNOWN = 2
WORTH = 0.5
LIKELY = 0.8  # the search is tried for as much of that as the intervals alone promise


class Full(fast.Fast):
    """Search as far as a second goes.

    trees: how many there will be over numbers, at most. known: the weights are those of a profile, and the longest
    path matters less.
    """

    thorough = True
    nodes = 20_000
    seldom = (0.0, 0.003, 0.01, 0.03)

    def __init__(self, price: float, trees: int, *, known: bool) -> None:
        super().__init__(price)
        self._effort = EFFORT // trees
        self._more = KNOWN if known else 0
        self._planned: dict[Runs, Tree] = {}  # what was tried is asked for once more when it is taken

    def orders(self, rules: Sequence[Bound], plain: Order) -> Iterable[Order]:
        return order.orders(rules, plain)

    def planner(self, runs: Runs) -> Tree:
        if len(runs) > MOST:
            return fast.tree(runs, self.price)
        found = self._planned.get(runs)
        if found is None:
            table = Intervals(runs, self.price, {})
            limit = (len(runs) - 1).bit_length() + self._more
            while table.limited(0, len(runs) - 1, limit) == INFINITE:
                limit += 1
            found = self._planned[runs] = table.tree(0, len(runs) - 1, limit)
        return found

    def numbers(self, runs: Runs, points: Points, heights: Mapping[int, int]) -> Tree:
        if len(runs) == 1:
            return runs[0][2]
        limit = (len(runs) - 1).bit_length() + max(heights.values()) + self._more
        search = Search(self.price, heights, self._effort)
        best = None
        while best is None:
            best = search.tree(runs, points, limit)
            limit += 1
        while search.promises(runs, limit) > LIKELY * WORTH:
            found = search.tree(runs, points, limit)
            if found is None or best[0] - found[0] < WORTH:
                break
            best = found
            limit += 1
        return best[1]
