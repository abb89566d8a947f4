"""Diagram → steps: which instructions test a node, with what already lies in the accumulator.

Every node has a body, which finds its word in the accumulator, and where somebody comes with anything else there, a
load in front of that body. How the intervals of a node are told apart is the setting's business (compiler/fast); where
a node has two forms, the cheaper is taken: steps by the weight that comes there, instructions by their price.
"""

from __future__ import annotations

from sysgate.action import Action
from sysgate.compiler.diagram import ARCH, COMPUTED, FULL, LEAF
from sysgate.compiler.profile import shares as shares_of
from sysgate.compiler.runs import greatest_inside, joined
from sysgate.compiler.steps import AND, JEQ, JGE, JSET, LD, OR_X, RET, TAX, XOR, Steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from sysgate.compiler.diagram import Diagram
    from sysgate.compiler.fast import Fast
    from sysgate.compiler.profile import Caller, Values, Weights
    from sysgate.compiler.rare import Rare
    from sysgate.compiler.runs import Run

# A node of this word is no test of a word but the launch ticket: kids are (pass, else).
TICKET = -2
# Of calls from covered architectures: nearly all there are.
COVERED = 0.999
# About what a call that matches none of the rare values pays for their chain, in steps.
MISSED = 3
# Cuts from which on a node may have rare values enough for a chain.
MANY = 8


class Coder:
    """Codes the nodes of a diagram.

    weights: how often values come. setting: how hard to try.
    """

    def __init__(self, diagram: Diagram, weights: Weights, setting: Fast, *, big_endian: bool) -> None:
        self.diagram, self.weights, self.setting, self.price = diagram, weights, setting, weights.price
        self.steps = Steps()
        self._swap = 1 if big_endian else 0
        # By node: its body, and the load in front of it; each with the number of steps from there to the end of a call.
        self._body: dict[int, tuple[int, float]] = {}
        self._cold: dict[int, tuple[int, float]] = {}
        self._seen: tuple[tuple[Caller | None, int], Values] = (None, -1), ()
        self._rare: dict[int, Rare] = {}  # nodes whose rare values get a chain

    def code(self, root: int, weight: float, caller: Caller | None) -> tuple[int, float]:
        """The first step of a diagram, and how many a call makes from there.

        weight: how often calls come there. caller: the call that comes most, None where it is not known.
        """
        reach, shares = self._planned(root, weight, caller)
        for index in reversed(reach):  # kids before their parents
            self._code(index, reach[index], shares[index])
        return self.entry(root)

    def _planned(
        self, root: int, weight: float, caller: Caller | None
    ) -> tuple[dict[int, float], dict[int, Sequence[float]]]:
        # The nodes to code, parents before their kids: how often calls come there, and which way they go. Where not
        # both forms are tried, a rule of thumb says where rare values get a chain; their nodes are then not needed.
        reach = {root: weight}
        shares: dict[int, Sequence[float]] = {}
        needed: dict[int, float] = {}
        for index in reversed(self.diagram.below(root)):
            if index not in reach or index in self._cold:
                continue
            word, _, _, kids = self.diagram.nodes[index]
            here = needed[index] = reach[index]
            ways = shares[index] = self._shares(index, caller)
            skipped: Container[int] = ()
            if word >= 0 and not self.setting.thorough:
                found = self._rare_values(index, ways)
                if found is not None and here * MISSED < self.price * (len(found[0]) - 3):
                    self._rare[index] = found
                    skipped = set(found[0])
                    reach.setdefault(found[3], 0.0)
            if word != LEAF:
                for place, (kid, share) in enumerate(zip(kids, ways)):
                    if place not in skipped:
                        reach[kid] = reach.get(kid, 0.0) + here * share
        return needed, shares

    def entry(self, index: int) -> tuple[int, float]:
        """Where to go for a node with nothing in the accumulator, and how many steps that makes."""
        return self._cold[index]

    def _shares(self, index: int, caller: Caller | None) -> Sequence[float]:
        word, mask, cuts, _kids = self.diagram.nodes[index]
        if word == LEAF:
            return ()
        if word == TICKET:
            return (0.0, 1.0)
        if word == ARCH:
            return [COVERED if start in cuts and start + 1 in cuts else 1 - COVERED for start in (0, *cuts)]
        key = caller, (word - 4) // 2  # both halves of a register are asked for in turn
        if self._seen[0] != key:
            self._seen = key, self.weights.seen(*key)
        return shares_of(self._seen[1], word, mask, cuts)

    def _code(self, index: int, weight: float, shares: Sequence[float]) -> None:
        word, _mask, _cuts, kids = self.diagram.nodes[index]
        if word == LEAF:
            action = self.diagram.value(index)
            assert isinstance(action, Action)
            step = self.steps.add(RET, action.ret)
            self._body[index] = self._cold[index] = step, 1.0
        elif word == TICKET:
            allowed, otherwise = self.entry(kids[0])[0], self.entry(kids[1])
            step = self._ticket(allowed, otherwise[0])
            self._body[index] = self._cold[index] = step, 23 + otherwise[1]
        else:
            step, cost = self._tested(index, shares, weight)
            self._body[index] = step, cost
            if word < COMPUTED:
                self._cold[index] = self.steps.add(LD, self.offset(word), step), cost + 1
            else:
                from sysgate.compiler.computed import load

                first, more = load(self, index, step, shares)
                self._cold[index] = first, cost + more

    def _tested(self, index: int, shares: Sequence[float], weight: float) -> tuple[int, float]:
        # The first step of a node whose word is in the accumulator, and how many a call makes from there.
        word, mask, cuts, kids = self.diagram.nodes[index]
        nodes = self.diagram.nodes
        chosen = self._rare.get(index)
        if chosen is not None:
            from sysgate.compiler.rare import rare_steps

            places = set(chosen[0])
            coded = [self.entry(kid) if place not in places else (0, 0.0) for place, kid in enumerate(kids)]
            return rare_steps(self, index, chosen, coded, shares, weight)
        warm = [self._body[kid] if nodes[kid][0] == word else self.entry(kid) for kid in kids]
        if mask == FULL:
            found = self._rare_values(index, shares) if self.setting.thorough else None
            if found is not None:
                return self._either(index, found, warm, shares, weight)
            return self.tree((0, *cuts), warm, shares, weight)
        if len(cuts) == 1:
            bits = 0
            if cuts[0] == mask & -mask:  # nothing of the mask is set, or something
                bits = mask
            elif cuts[0] == 1 << mask.bit_length() - 1:  # as good as its highest bit
                bits = cuts[0]
            if bits:
                cost = 1 + shares[0] * warm[0][1] + shares[1] * warm[1][1]
                return self._bits(bits, warm[1][0], warm[0][0], shares), cost
        step, cost = self.tree((0, *cuts), [self.entry(kid) for kid in kids], shares, weight, mask)
        return self.steps.add(AND, mask, step), cost + 1

    def _rare_values(self, index: int, shares: Sequence[float]) -> Rare | None:
        _, mask, cuts, _ = self.diagram.nodes[index]
        if mask != FULL or len(cuts) < MANY:
            return None
        from sysgate.compiler.rare import rare

        return rare(self.diagram, index, shares)

    def _either(
        self,
        index: int,
        found: Rare,
        targets: Sequence[tuple[int, float]],
        shares: Sequence[float],
        weight: float,
    ) -> tuple[int, float]:
        # With a chain for the rare values or without: both are coded, to see which is cheaper.
        from sysgate.compiler.rare import rare_steps

        starts = (0, *self.diagram.nodes[index][2])
        before = len(self.steps.all)
        _, cost = self.tree(starts, targets, shares, weight)
        # Without the chain each rare value has a load and a jump of its own, which were made before.
        plain = weight * cost + self.price * (len(self.steps.all) - before + 2 * len(found[0]))
        self.steps.back_to(before)
        chained = rare_steps(self, index, found, targets, shares, weight)
        if weight * chained[1] + self.price * (len(self.steps.all) - before) < plain:
            return chained
        self.steps.back_to(before)
        return self.tree(starts, targets, shares, weight)

    def _bits(self, bits: int, hit: int, missed: int, shares: Sequence[float]) -> int:
        step = self.steps.add(JSET, bits, hit, missed)
        if hit != missed:
            self.steps.weigh(step, shares[1], shares[0])
        return step

    def tree(
        self,
        starts: Sequence[int],
        targets: Sequence[tuple[int, float]],
        shares: Sequence[float],
        weight: float,
        mask: int = FULL,
    ) -> tuple[int, float]:
        """The first step of a search for the interval, and how many steps that and what follows make.

        mask: the bits that the accumulator may have; an interval of one such value takes one test.
        """
        after = sum([share * target[1] for share, target in zip(shares, targets)])
        runs = joined(
            [
                (start, end - 1 if mask == FULL else greatest_inside(end - 1, mask), target[0], share)
                for start, end, target, share in zip(starts, [*starts[1:], FULL + 1], targets, shares)
            ]
        )
        if len(runs) == 1:
            return runs[0][2], after
        low = runs[0]
        if len(runs) == 2:
            return self._jump(JGE, runs[1][0], runs[1], low), after + 1
        if len(runs) == 3 and runs[2][2] == low[2] and runs[1][0] == runs[1][1]:
            return self._jump(JEQ, runs[1][0], runs[1], (0, 0, low[2], low[3] + runs[2][3])), after + 1
        tree = self.setting.planner(
            tuple([(first, last, target, share * weight) for first, last, target, share in runs])
        )
        step, cost = self.steps.tree(tree, [(run[0], run[3]) for run in runs])
        return step, cost + after

    def _jump(self, code: int, k: int, hit: Run, missed: Run) -> int:
        step = self.steps.add(code, k, hit[2], missed[2])
        self.steps.weigh(step, hit[3], missed[3])
        return step

    def offset(self, word: int) -> int:
        """Bytes from the start of struct seccomp_data, in which 64-bit fields have the machine's byte order."""
        return 4 * (word ^ self._swap if word >= 2 else word)

    def _ticket(self, allowed: int, otherwise: int) -> int:
        # The six halves must all equal six words that launch puts here: or their differences together and look once
        # at the end, so that time tells nothing about a single word (MECHANISMS §1).
        step = self.steps.add(JEQ, 0, allowed, otherwise)
        for half in range(5, -1, -1):
            if half < 5:
                step = self.steps.add(TAX, 0, step)
            if half > 0:
                step = self.steps.add(OR_X, 0, step)
            step = self.steps.add(XOR, 0, step)
            step = self.steps.add(LD, self.offset(10 + half), step)
        return step
