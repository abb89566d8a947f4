"""Architectures that share a tree over numbers, because their numbers mean much the same."""

from __future__ import annotations

from sysgate.compiler.runs import FULL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    # Where numbers begin to mean something else, and what: a meaning for each member in turn.
    Borders = list[tuple[int, tuple[int, ...]]]


class Group:
    """audits: the architectures. borders: what their numbers mean.

    foreign: whether calls from architectures that no group covers come here, too.
    """

    def __init__(self, audits: tuple[int, ...], borders: Borders) -> None:
        self.audits, self.borders, self.foreign = audits, borders, False

    def over(self, points: Sequence[tuple[int, float]]) -> list[tuple[tuple[int, ...], int, float]]:
        """Points (number, weight; ascending), each after what it means for each member."""
        found = []
        at = 0
        borders = self.borders
        ends = [*(low for low, _ in borders[1:]), FULL + 1]
        for number, weight in points:
            while ends[at] <= number:
                at += 1
            found.append((borders[at][1], number, weight))
        return found

    def cost(self) -> int:
        """About how many instructions telling the numbers apart takes."""
        return len(self.borders) + 2 * len({keys for _, keys in self.borders if len(set(keys)) > 1})

    def with_(self, other: Group) -> Group:
        """Both groups' architectures in one."""
        edges = sorted({low for low, _ in (*self.borders, *other.borders)})
        made: Borders = []
        i = j = 0
        for edge in edges:
            while i + 1 < len(self.borders) and self.borders[i + 1][0] <= edge:
                i += 1
            while j + 1 < len(other.borders) and other.borders[j + 1][0] <= edge:
                j += 1
            keys = self.borders[i][1] + other.borders[j][1]
            if not made or made[-1][1] != keys:
                made.append((edge, keys))
        return Group(self.audits + other.audits, made)


def grouped(groups: Sequence[Group]) -> list[Group]:
    """The groups joined pair by pair, the pair that saves most first, for as long as that saves anything."""
    groups = list(groups)
    while True:
        best: tuple[int, int, int, Group] | None = None
        for i in range(len(groups)):
            for j in range(i + 1, len(groups)):
                both = groups[i].with_(groups[j])
                saved = groups[i].cost() + groups[j].cost() - both.cost()
                if saved > 0 and (best is None or saved > best[0]):
                    best = saved, i, j, both
        if best is None:
            return groups
        _, i, j, both = best
        groups = [both if at == i else group for at, group in enumerate(groups) if at != j]
