"""Diagram → steps: which instructions test a node, with what already lies in the accumulator.

Every node has a body, which finds its word in the accumulator, and where somebody comes with anything else there, a
load in front of that body. How the intervals of a node are told apart is the business of `Arrange`.
"""

from __future__ import annotations

from sysgate.action import Action
from sysgate.compiler.diagram import FULL, LEAF
from sysgate.compiler.steps import AND, JEQ, JSET, LD, OR_X, RET, TAX, XOR, Steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sysgate.compiler.diagram import Diagram

    # (steps, starts, targets, weights) → the step that finds out in which interval the accumulator lies.
    # starts[0] is 0; interval i goes from starts[i] to below starts[i + 1], the last one to 2**32.
    Arrange = Callable[[Steps, Sequence[int], Sequence[int], Sequence[float]], int]

# A node of this word is no test of a word but the launch ticket: kids are (pass, else).
TICKET = -2


class Coder:
    """Codes the nodes of a diagram.

    weigh: the weights of a node's intervals, by node index.
    """

    def __init__(
        self, diagram: Diagram, arrange: Arrange, weigh: Callable[[int], Sequence[float]], *, big_endian: bool
    ) -> None:
        self.diagram, self.arrange, self.weigh = diagram, arrange, weigh
        self.steps = Steps()
        self._swap = 1 if big_endian else 0
        self._body: dict[int, int] = {}
        self._cold: dict[int, int] = {}

    def code(self, root: int) -> int:
        """The first step of the program for a diagram."""
        for index in self.diagram.below(root):
            self._code(index)
        return self._cold[root]

    def _code(self, index: int) -> None:
        word, mask, cuts, kids = self.diagram.nodes[index]
        if word == LEAF:
            action = self.diagram.value(index)
            assert isinstance(action, Action)
            self._body[index] = self._cold[index] = self.steps.add(RET, action.ret)
        elif word == TICKET:
            self._cold[index] = self._ticket(self._cold[kids[0]], self._cold[kids[1]])
        else:
            body = self._body[index] = self._test(index, word, mask, cuts, kids)
            self._cold[index] = self.steps.add(LD, self.offset(word), body)

    def _test(self, index: int, word: int, mask: int, cuts: Sequence[int], kids: Sequence[int]) -> int:
        nodes = self.diagram.nodes
        keeps = [self._body[kid] if nodes[kid][0] == word else self._cold[kid] for kid in kids]
        if mask == FULL:
            return self.arrange(self.steps, (0, *cuts), keeps, self.weigh(index))
        if len(cuts) == 1:
            if cuts[0] == mask & -mask:  # nothing of the mask is set, or something
                return self.steps.add(JSET, mask, keeps[1], keeps[0])
            if cuts[0] == 1 << mask.bit_length() - 1:  # as good as its highest bit
                return self.steps.add(JSET, cuts[0], keeps[1], keeps[0])
        loses = [self._cold[kid] for kid in kids]
        return self.steps.add(AND, mask, self.arrange(self.steps, (0, *cuts), loses, self.weigh(index)))

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
