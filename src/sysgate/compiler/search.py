"""The search for `optimize="full"`: what to test before the intervals, where one test decides much.

Splitting by `jge` alone (compiler/intervals) is optimal but blind to two things. A call that is made very often is best
picked out by `jeq` above everything else. And the numbers whose bits all lie in some set (a cube: 0–31 and 64–95, say)
often go to one target, so that a single `jset` decides them. Taking such values away leaves fewer runs, for which
the intervals are asked again: a beam search over what to take away, at the root and then in the heavier halves.
"""

from __future__ import annotations

from _bisect import bisect_left
from math import log2

from sysgate.compiler.intervals import INFINITE, Intervals, middle
from sysgate.compiler.runs import FULL, cubes, touching, without_point
from sysgate.compiler.steps import JEQ, JGE, JSET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sysgate.compiler.runs import Points, Runs, Tree

    # What was taken away: code, k, target.
    Peel = tuple[int, int, int]

LEVELS = (3, 2, 1)  # peels in a row, by level
BEAM = 1  # states kept on each level
TRIED = 2  # peels of a state that get their intervals
HOT = 3  # single values tried by jeq
CUBES = 4  # cubes tried by jset
SPLITS = (3, 2, 1)  # splits of runs whose halves are searched, by level
ENDS = 2  # ways to begin that are searched further
LIGHT = 0.02  # halves that weigh less are left to the intervals
MOST_RUNS = 120  # in one table
FEW = 24  # ... when there is no effort left


def work(runs: int) -> int:
    """How much it is to fill a table of so many runs, in units of some half a microsecond."""
    return runs * runs * (100 + runs) // 100


class Search:
    """Finds trees for runs. price: what a test costs beside its weight. heights: instructions below each target.

    effort: how much may be done (in units of `work`) before the search settles for what it has.
    """

    def __init__(self, price: float, heights: Mapping[int, int], effort: int) -> None:
        self.price, self.heights, self.effort = price, heights, effort
        self._tables: dict[Runs, tuple[Intervals, int, int]] = {}

    def table(self, runs: Runs, like: Runs | None = None) -> tuple[Intervals, int, int]:
        """A table that has some runs as one of its intervals, and which one that is. like: runs much like these."""
        found = self._tables.get(runs)
        if found is None:
            known = self._tables.get(like) if like is not None else None
            table = Intervals(runs, self.price, self.heights, known[0] if known else None)
            found = self._tables[runs] = table, 0, len(runs) - 1
            self.effort -= work(len(runs))
        return found

    def tree(self, runs: Runs, points: Points, limit: int) -> tuple[float, Tree] | None:
        """The best tree found of at most `limit` height, and its cost; None where none was.

        points: the values with their weights, as far as they have any.
        """
        return self._improved(runs, points, limit, 0)

    def promises(self, runs: Runs, limit: int) -> float:
        """About what a height of `limit` saves over one less: so much it does without anything taken away."""
        if len(runs) > MOST_RUNS:
            return 0.0
        table, i, j = self.table(runs)
        return table.limited(i, j, limit - 1) - table.limited(i, j, limit)

    def _improved(self, runs: Runs, points: Points, limit: int, level: int) -> tuple[float, Tree] | None:
        if len(runs) == 1:
            return (0.0, runs[0][2]) if self.heights.get(runs[0][2], 0) <= limit else None
        if len(runs) > MOST_RUNS or work(len(runs)) > max(self.effort, work(FEW)):
            return self._halved(runs, points, limit, level)
        weight = sum([w for _, w in points])
        if len(runs) < 5 or weight < LIGHT or self.effort < 0:
            return self._plain(runs, limit)
        best: tuple[float, Tree] | None = None
        for spent, path, rest, left in self._peeled(runs, points, limit, LEVELS[min(level, len(LEVELS) - 1)]):
            found = self._halves(rest, left, limit - len(path), level)
            if found is not None and (best is None or spent + found[0] < best[0]):
                tree = found[1]
                for code, k, target in reversed(path):
                    tree = (code, k, target, tree) if code == JEQ else (code, k, tree, target)
                best = spent + found[0], tree
        return best

    def _halved(self, runs: Runs, points: Points, limit: int, level: int) -> tuple[float, Tree] | None:
        # Too many runs for a table: the lighter and the heavier half on their own.
        total = [0.0]
        for run in runs:
            total.append(total[-1] + run[3] + self.price)
        k = middle(total, 0, len(runs) - 1)
        at = bisect_left(points, (runs[k][0],))
        low = self._improved(runs[:k], points[:at], limit - 1, level + 1)
        high = self._improved(runs[k:], points[at:], limit - 1, level + 1)
        if low is None or high is None:
            return None
        return self.price + total[-1] - self.price * len(runs) + low[0] + high[0], (JGE, runs[k][0], high[1], low[1])

    def _plain(self, runs: Runs, limit: int) -> tuple[float, Tree] | None:
        table, i, j = self.table(runs)
        cost = table.limited(i, j, limit)
        return None if cost == INFINITE else (cost, table.tree(i, j, limit))

    def _halves(self, runs: Runs, points: Points, limit: int, level: int) -> tuple[float, Tree] | None:
        # The best split or two, each half searched on its own.
        best = self._plain(runs, limit)
        table, i, j = self.table(runs)
        if j < i + 4 or best is None or table.split(i, j) == -1:
            return best
        weight = sum([w for _, w in points])
        sums = sorted((table.cost[i][k - i] + table.cost[k + 1][j - k - 1], k) for k in range(i, j))
        for _, k in sums[: SPLITS[min(level, len(SPLITS) - 1)]]:
            border = table.runs[k + 1][0]
            below, above = runs[: k + 1 - i], runs[k + 1 - i :]
            self._tables.setdefault(below, (table, i, k))
            self._tables.setdefault(above, (table, k + 1, j))
            at = bisect_left(points, (border,))
            low = self._improved(below, points[:at], limit - 1, level + 1)
            if low is None:
                continue
            high = self._improved(above, points[at:], limit - 1, level + 1)
            if high is None:
                continue
            cost = self.price + weight + low[0] + high[0]
            if cost < best[0]:
                best = cost, (JGE, border, high[1], low[1])
        return best

    def _peeled(
        self, runs: Runs, points: Points, limit: int, levels: int
    ) -> list[tuple[float, list[Peel], Runs, Points]]:
        # The most promising ways to begin, doing nothing among them: what is spent, what was taken, what is left.
        states: list[tuple[float, list[Peel], Runs, Points]] = [(0.0, [], runs, points)]
        ends = [(self._bound(runs, limit), *states[0])]
        for _ in range(levels):
            following = []
            for spent, path, rest, left in states:
                if len(rest) < 4 or self.effort < 0:
                    continue
                more = spent + self.price + sum([w for _, w in left])
                peels = self._peels(rest, left)
                peels.sort(key=lambda peel: self._guess(peel[1]))
                for peel, fewer, lighter in peels[:TRIED]:
                    bound = more + self._bound(fewer, limit - len(path) - 1, rest)
                    following.append((bound, more, [*path, peel], fewer, lighter))
            following.sort(key=lambda state: state[0])
            states, seen = [], set()
            for state in following:
                if state[3] not in seen and len(states) < BEAM:
                    seen.add(state[3])
                    states.append(state[1:])
                    ends.append(state)
        ends.sort(key=lambda state: state[0])
        return [state[1:] for state in ends[:ENDS] if state[0] < INFINITE]

    def _bound(self, runs: Runs, limit: int, like: Runs | None = None) -> float:
        if len(runs) == 1:
            return 0.0
        table, i, j = self.table(runs, like)
        return table.limited(i, j, limit)

    def _guess(self, runs: Runs) -> float:
        # About what telling the runs apart costs: the entropy of where values go, and a test for every change.
        weights = [run[3] for run in runs if run[3] > 0]
        whole = sum(weights)
        return sum([w * log2(whole / w) for w in weights]) + self.price * len(runs)

    def _peels(self, runs: Runs, points: Points) -> list[tuple[Peel, Runs, Points]]:
        made: list[tuple[Peel, Runs, Points]] = []
        singles = [at for at, run in enumerate(runs) if run[0] == run[1]]
        singles.sort(key=lambda at: (-runs[at][3], at))
        for at in singles[:HOT]:
            value = runs[at][0]
            rest = tuple([point for point in points if point[0] != value])
            made.append(((JEQ, value, runs[at][2]), without_point(runs, at), rest))
        for inside, target in cubes(runs, points)[:CUBES]:
            mask = ~inside & FULL
            rest = tuple([point for point in points if point[0] & mask])
            made.append(((JSET, mask, target), touching(runs, mask, rest), rest))
        return made
