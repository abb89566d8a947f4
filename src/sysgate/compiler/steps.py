"""Hash-consed instructions: a program before it has an order.

A step is (code, k, then, else): a BPF instruction with its successors by index instead of distance. `else` is -1
unless it is a conditional jump, `then` is -1 for a return. Equal steps are one, so whatever two paths have in common
to their end is shared.
"""

from __future__ import annotations

from _bisect import bisect_left

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.compiler.runs import Tree

    Step = tuple[int, int, int, int]

# The opcodes the compiler emits (include/uapi/linux/bpf_common.h), spelled as numbers: this module is on the way of
# `sysgate run`, and bpf.insn names fifty more.
LD, LDX, RET = 0x20, 0x01, 0x06
JA, JEQ, JGT, JGE, JSET, JEQ_X, JSET_X = 0x05, 0x15, 0x25, 0x35, 0x45, 0x1D, 0x4D
AND, XOR, AND_X, OR_X, XOR_X, TAX = 0x54, 0xA4, 0x5C, 0x4C, 0xAC, 0x07


class Steps:
    """A store of steps. What is built on trial is taken back by `back_to`."""

    def __init__(self) -> None:
        self.all: list[Step] = []
        self.heights: list[int] = []  # of each step: instructions on the longest path from it, itself one of them
        self.ways: list[list[float]] = []  # of each jump: how often it goes to `then`, and to `else`
        self._index: dict[Step, int] = {}

    def add(self, code: int, k: int, then: int = -1, otherwise: int = -1) -> int:
        """The index of a step. A jump whose two ways are the same is no step at all."""
        if then == otherwise != -1:
            return then
        step = (code, k, then, otherwise)
        found = self._index.get(step)
        if found is None:
            found = self._index[step] = len(self.all)
            self.all.append(step)
            self.ways.append([0.0, 0.0])
            heights = self.heights
            heights.append(1 if then == -1 else 1 + max(heights[then], heights[otherwise] if otherwise != -1 else 0))
        return found

    def back_to(self, length: int) -> None:
        """Forget the steps from index `length` on."""
        for step in self.all[length:]:
            del self._index[step]
        del self.all[length:], self.heights[length:], self.ways[length:]

    def weigh(self, step: int, hit: float, missed: float) -> None:
        """A jump goes to `then` that often, and to `else`."""
        ways = self.ways[step]
        ways[0] += hit
        ways[1] += missed

    def share(self, step: int) -> float:
        """How often, out of once, a jump goes to `then`."""
        hit, missed = self.ways[step]
        return hit / (hit + missed) if hit + missed > 0 else 0.5

    def below(self, root: int) -> frozenset[int]:
        """The steps that can follow a step, itself among them."""
        seen = {root}
        todo = [root]
        while todo:
            for way in self.all[todo.pop()][2:]:
                if way != -1 and way not in seen:
                    seen.add(way)
                    todo.append(way)
        return frozenset(seen)

    def tree(self, tree: Tree, points: Sequence[tuple[int, float]]) -> tuple[int, float]:
        """The first step of a decision tree on the accumulator, and what its tests weigh together.

        The tree's targets are steps. points: values with their weights, ascending.
        """
        if isinstance(tree, int):
            return tree, 0.0
        code, k, yes, no = tree
        hits: Sequence[tuple[int, float]]
        misses: Sequence[tuple[int, float]]
        if code == JSET:
            hits = [point for point in points if point[0] & k]
            misses = [point for point in points if not point[0] & k]
        else:
            at = bisect_left(points, (k,))
            end = len(points) if code == JGE else bisect_left(points, (k + 1,))
            hits, misses = points[at:end], [*points[:at], *points[end:]]
        hit = sum([weight for _, weight in hits])
        missed = sum([weight for _, weight in misses])
        then, after = self.tree(yes, hits)
        otherwise, after_too = self.tree(no, misses)
        step = self.add(code, k, then, otherwise)
        if then != otherwise:
            self.weigh(step, hit, missed)
        return step, hit + missed + after + after_too
