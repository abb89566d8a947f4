"""The best search tree over runs of values: dynamic programming over intervals of runs.

A tree splits an interval of runs in two by `jge`, or ends in a leaf that tells the rest of it apart by at most a dozen
tests: a chain of `jeq` that picks single values out of one target, heaviest first; or one `jset` that holds for
exactly the values of one target, after at most two such `jeq`. The cost of a tree is what it weighs, every test by the
weight of the values that come to it, plus `price` a test. n runs cost n³/6 additions, made by C loops.
"""

from __future__ import annotations

from _bisect import bisect_right, insort_right
from _operator import add

from sysgate.compiler.runs import FULL, least_inside, united
from sysgate.compiler.steps import JEQ, JGE, JSET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sysgate.compiler.runs import Runs, Tree

    # The runs that a jeq picks out, heaviest first: weight (negative), and place counted from the interval's first.
    Picks = Sequence[tuple[float, int]]
    # A leaf: cost, what is picked, the mask of the jset or 0, its targets (hit, missed); without jset both are the
    # chain's last target. Last, its height.
    Leaf = tuple[float, Picks, int, int, int, int]

CHAIN = 10  # singles in a chain of jeq
EXCEPTIONS = 2  # singles before a jset
SPAN = 24  # runs under one leaf
INFINITE = float("inf")
NO_TARGET = -1
TIE = 1e-9  # a leaf of the same cost is taken
UNKNOWN = -2  # in place of a split: none was found below the bound


class Intervals:
    """All intervals of some runs, each with its best tree.

    price: what a test costs beside its weight. heights: how many instructions follow below a target at most; None where
    nobody asks how high a tree is. like: a table with the same price and heights; what the two have in common at either
    end is taken over.
    """

    def __init__(
        self, runs: Runs, price: float, heights: Mapping[int, int] | None = None, like: Intervals | None = None
    ) -> None:
        self.runs, self.price = runs, price
        n = len(runs)
        self.total = [0.0]
        for run in runs:
            self.total.append(self.total[-1] + run[3])
        self._below = [] if heights is None else [heights.get(run[2], 0) for run in runs]
        self._level = len(set(self._below)) == 1
        # Of the interval i … j, both in, at [i][j - i]: the cost and the best leaf.
        self._bits = [united(low, high) for low, high, _, _ in runs]  # that some value of a run has set
        self.cost: list[list[float]] = [[0.0] for _ in range(n)]
        self.leaf: list[list[Leaf | None]] = [[] for _ in range(n)]
        # columns[j]: the costs of the intervals that end with j, the longest first.
        self._columns: list[list[float]] = [[0.0] for _ in range(n)]
        head = tail = 0
        if like is not None:
            head, tail = _common(runs, like.runs)
            self._take_over(like, head, tail)
        for i in range(n - tail):
            self._leaves(i)
        self._fill(head, n - tail)
        self._heights: dict[tuple[int, int], int] = {}
        self._limited: dict[tuple[int, int, int], tuple[float, int]] = {}
        self._reach: list[list[int]] = []

    @property
    def best(self) -> float:
        """The cost of telling all runs apart."""
        return self.cost[0][-1]

    def _take_over(self, like: Intervals, head: int, tail: int) -> None:
        shift = len(like.runs) - len(self.runs)
        for i in range(head):
            length = head - i
            self.cost[i] = like.cost[i][:length]
            self.leaf[i] = like.leaf[i][:length]
            self._columns[i] = like._columns[i][:]
        for i in range(len(self.runs) - tail, len(self.runs)):
            self.cost[i] = like.cost[i + shift][:]
            self.leaf[i] = like.leaf[i + shift][:]
            self._columns[i] = like._columns[i + shift][-(i - len(self.runs) + tail + 1) :]

    def _fill(self, head: int, border: int) -> None:
        # All intervals that neither end before run `head` nor begin at or after run `border`.
        n, price, total = len(self.runs), self.price, self.total
        columns = self._columns
        for i in range(border - 1, -1, -1):
            cost, leaf = self.cost[i], self.leaf[i]
            leaves = len(leaf)
            more = price - total[i]
            for j in range(i + len(cost), n):
                least = min(map(add, cost, columns[j])) + more + total[j + 1]
                if j - i < leaves:
                    offer = leaf[j - i]
                    if offer is not None and offer[0] < least + TIE:
                        least = offer[0]
                cost.append(least)
                columns[j].insert(0, least)

    def split(self, i: int, j: int) -> int:
        """The last run left of the best split of runs i … j; -1 where the best tree is a leaf."""
        leaf = self.leaf_of(i, j)
        if leaf is not None and leaf[0] <= self.cost[i][j - i]:
            return -1
        sums = list(map(add, self.cost[i], self._columns[j][i + 1 :]))
        return i + sums.index(min(sums))

    def height(self, i: int, j: int) -> int:
        """The height of the best tree for runs i … j."""
        if i == j:
            return self._below[i]
        found = self._heights.get((i, j))
        if found is None:
            at = self.split(i, j)
            leaf = self.leaf_of(i, j)
            found = leaf[5] if at == -1 and leaf is not None else 1 + max(self.height(i, at), self.height(at + 1, j))
            self._heights[i, j] = found
        return found

    def _leaf_height(self, i: int, length: int, picked: Picks, tests: int) -> int:
        if self._level or not self._below:
            return tests + self._below[0] if self._below else 0
        below = self._below[i : i + length + 1]
        placed = {at: place for place, (_, at) in enumerate(picked, 1)}
        return max([placed.get(at, tests) + under for at, under in enumerate(below)])

    def _leaves(self, i: int) -> None:
        # The best leaf of each interval i … j that has none yet.
        row = self.leaf[i]
        runs = self.runs[i : i + SPAN]
        total, price = self.total, self.price
        # A chain picks the single values out of a target that has wide runs; no chain once two targets have, or there
        # are too many single values.
        rest = NO_TARGET
        singles: list[tuple[float, int, int]] = []  # weight (negative), place, target: seen before any wide run
        picked: list[tuple[float, int]] = []
        broken = False
        # A jset misses the values whose bits all lie inside some set: for each target the bits of all its values.
        # As an interval grows so do these sets; one that holds a wide run of another target is lost for good.
        inside: dict[int, int] = {}
        lost: set[int] = set()
        for length, (low, high, target, weight) in enumerate(runs):
            inside[target] = inside.get(target, 0) | self._bits[i + length]
            if low == high:
                if rest == NO_TARGET:
                    singles.append((-weight, length, target))
                elif target != rest:
                    insort_right(picked, (-weight, length))
            else:
                if rest == NO_TARGET:
                    rest = target
                    picked = sorted([(single, place) for single, place, other in singles if other != target])
                elif target != rest:
                    broken = True
            broken = broken or len(picked) > CHAIN
            masked = length >= 3 and len(inside) <= 2 + EXCEPTIONS
            if length < len(row):
                continue
            if broken and ((length >= 3 and not masked) or len(lost) == len(inside)):
                break
            best: Leaf | None = None
            coming = total[i + length + 1] - total[i]
            if length >= 2 and not broken:
                last, order = (rest, picked) if rest != NO_TARGET else _singles(runs[: length + 1], singles)
                if len(order) <= CHAIN:
                    cost = len(order) * price
                    left = coming
                    for less, _ in order:
                        cost += left
                        left += less
                    best = cost, tuple(order), 0, last, last, self._leaf_height(i, length, order, len(order))
            # A jset needs as many tests as there are targets, but one.
            if masked and (best is None or len(best[1]) >= len(inside)):
                best = self._masked(i, length, inside, lost, best)
            row.append(best)

    def _masked(self, i: int, length: int, inside: Mapping[int, int], lost: set[int], best: Leaf | None) -> Leaf | None:
        # The best leaf with a jset, if that is better than the best one so far.
        runs = self.runs[i : i + length + 1]
        for missed, bits in inside.items():
            if missed in lost:
                continue
            found = _apart(runs, missed, bits)
            if found is None:
                lost.add(missed)
            elif found[0] != NO_TARGET:
                picked = sorted(found[1])
                left = self.total[i + length + 1] - self.total[i]
                cost = (len(picked) + 1) * self.price
                for less, _ in picked:
                    cost += left
                    left += less
                cost += left
                if best is None or cost < best[0]:
                    tall = self._leaf_height(i, length, picked, len(picked) + 1)
                    best = cost, tuple(picked), ~bits & FULL, found[0], missed, tall
        return best

    def _reached(self, limit: int) -> list[int]:
        # For each run the furthest one that a tree of this height may go to from there; below the run where none can.
        while len(self._reach) <= limit:
            h = len(self._reach)
            furthest = [i if below <= h else i - 1 for i, below in enumerate(self._below)]
            if h:
                last = self._reach[-1]
                for i, middle in enumerate(last):
                    if middle >= i:
                        furthest[i] = last[middle + 1] if middle + 1 < len(last) else middle
                        furthest[i] = max(furthest[i], middle)
            for i, row in enumerate(self.leaf):
                for length in range(len(row) - 1, furthest[i] - i, -1):
                    leaf = row[length]
                    if leaf is not None and leaf[5] <= h:
                        furthest[i] = i + length
                        break
            self._reach.append(furthest)
        return self._reach[limit]

    def limited(self, i: int, j: int, limit: int, bound: float = INFINITE) -> float:
        """The cost of the best tree for runs i … j of at most `limit` instructions' height; infinite where none is.

        bound: what costs as much or more is of no use, and may come out as anything from there on.
        """
        if self.height(i, j) <= limit:
            return self.cost[i][j - i]
        if limit <= 0 or self._reached(limit)[i] < j:
            return INFINITE
        key = i, j, limit
        found = self._limited.get(key)
        if found is not None and (found[1] != UNKNOWN or found[0] >= bound):
            return found[0]
        best, at = bound, UNKNOWN
        leaf = self.leaf_of(i, j)
        if leaf is not None and leaf[5] <= limit and leaf[0] < best:
            best, at = leaf[0], -1
        coming = self.price + self.total[j + 1] - self.total[i]
        reach = self._reached(limit - 1)
        # The left half must be within reach from i, and from the right half's start its end.
        most = min(j - 1, reach[i])
        least = most + 1
        while least > i and reach[least] >= j:
            least -= 1
        sums = map(add, self.cost[i][least - i : most + 1 - i], self._columns[j][least + 1 : most + 2])
        for lowest, k in sorted(zip(sums, range(least, most + 1))):
            if lowest + coming >= best:
                break
            # However the sums are rounded, a half that reaches its bound is too dear.
            right = self.cost[k + 1][j - k - 1]
            left = self.limited(i, k, limit - 1, best - coming - right + TIE)
            if left + right + coming < best:
                cost = left + self.limited(k + 1, j, limit - 1, best - coming - left + TIE) + coming
                if cost < best:
                    best, at = cost, k
        self._limited[key] = best, at
        return best

    def leaf_of(self, i: int, j: int) -> Leaf | None:
        """The best leaf that tells runs i … j apart, if one does."""
        return self.leaf[i][j - i] if j - i < len(self.leaf[i]) else None

    def tree(self, i: int, j: int, limit: int | None = None) -> Tree:
        """The best tree for runs i … j; of at most `limit` height, where `limited` found one."""
        if i == j:
            return self.runs[i][2]
        at = self.split(i, j) if limit is None or self.height(i, j) <= limit else self._limited[i, j, limit][1]
        if at >= 0:
            below = None if limit is None else limit - 1
            return JGE, self.runs[at + 1][0], self.tree(at + 1, j, below), self.tree(i, at, below)
        leaf = self.leaf_of(i, j)
        assert leaf is not None
        _, picked, mask, hit, missed, _ = leaf
        tree: Tree = (JSET, mask, hit, missed) if mask else missed
        for _, place in reversed(picked):
            tree = JEQ, self.runs[i + place][0], self.runs[i + place][2], tree
        return tree


def _common(one: Runs, two: Runs) -> tuple[int, int]:
    # How many runs the two have in common at their beginning and at their end.
    most = min(len(one), len(two))
    head = 0
    while head < most and one[head] == two[head]:
        head += 1
    tail = 0
    while tail < most - head and one[-1 - tail] == two[-1 - tail]:
        tail += 1
    return head, tail


def _apart(runs: Runs, missed: int, bits: int) -> tuple[int, list[tuple[float, int]]] | None:
    # The target of all values with a bit outside `bits`, and the few single values that are not to be told by that;
    # NO_TARGET where there are no others.
    hit = NO_TARGET
    exceptions: list[tuple[float, int]] = []
    for at, (low, high, target, weight) in enumerate(runs):
        if target == missed:
            continue
        if hit in (NO_TARGET, target) and (low & ~bits and least_inside(low, bits) > high):
            hit = target
        elif low == high and len(exceptions) < EXCEPTIONS:
            exceptions.append((-weight, at))
        else:
            return None
    return hit, exceptions


def _singles(runs: Runs, singles: Sequence[tuple[float, int, int]]) -> tuple[int, list[tuple[float, int]]]:
    # Single values only: the commonest target stays for last, the others are picked, heaviest first.
    counts: dict[int, int] = {}
    for _, _, target, _ in runs:
        counts[target] = counts.get(target, 0) + 1
    rest = max(counts, key=lambda target: (counts[target], -target))
    return rest, [(weight, at) for weight, at, target in sorted(singles) if target != rest]


def middle(total: Sequence[float], i: int, j: int) -> int:
    """The first run of the upper half of runs i … j, by weight. total: the running sum of weights, from 0."""
    half = (total[i] + total[j + 1]) / 2
    at = bisect_right(total, half, i + 1, j + 1)  # total[at - 1] <= half < total[at]
    below = at - 1 > i and half - total[at - 1] < total[at] - half
    return min(max(at - 1 if below else at, i + 1), j)
