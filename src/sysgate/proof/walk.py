"""The ways through a program, each with the box of calls that take it.

A box that mixes limits on one word under several masks may hold fewer calls than it seems, or none: it only ever
errs on the large side. So an answer that is right for the box is right; where one seems wrong, `refute` looks for
the calls that would show it.
"""

from __future__ import annotations

from sysgate.proof.graph import COMPUTED, EXPRESSION, NR, TICKET
from sysgate.proof.space import NR_SLOT, Space
from sysgate.proof.spans import WORD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sysgate.proof.goals import Box
    from sysgate.proof.graph import Graph

    # What boxes that differ in the number alone have in common.
    _Likeness = tuple[tuple[int, ...], bool | None]


class Unsupported(Exception):
    """The program tests what no box can hold, or has more ways through it than it pays to take."""


class Roads:
    """A graph of tests laid over a space: `walked` drives boxes through it.

    Make it (which marks the space), cut the space, then `lay` it.
    """

    def __init__(self, graph: Graph, space: Space) -> None:
        self.graph, self.space = graph, space
        self._slots = []
        if ~graph.root >= COMPUTED:
            raise Unsupported
        for word, mask, spans, yes, no, _ in graph.nodes:
            if word == EXPRESSION or ~yes >= COMPUTED or ~no >= COMPUTED:
                raise Unsupported
            self._slots.append(space.marked(word, mask, spans) if word != TICKET else -1)

    def lay(self) -> None:
        """Look the tests up in the space, once that is cut."""
        space = self.space
        ways: dict[int, int] = {}
        self.table: list[tuple[int, int, int, int, tuple[int, int] | None]] = []
        for slot, (word, mask, spans, yes, no, _) in zip(self._slots, self.graph.nodes):
            ways[yes] = ways.get(yes, 0) + 1
            ways[no] = ways.get(no, 0) + 1
            if slot < 0:
                self.table.append((slot, 0, yes, no, None))
                continue
            shadow = space.shadow(mask, spans) if word == NR and mask != WORD else None
            self.table.append((slot, space.bits(slot, spans), yes, no, shadow))
        # Nodes with several ways in, in the order of the program: boxes that differ in the number alone go on as one.
        self.joins = sorted(
            (self.graph.nodes[node][5], node) for node, count in ways.items() if node >= 0 and count > 1
        )

    def walked(self, box: Box, budget: int) -> Iterator[tuple[int, Box, bool | None]]:
        """Every way through: (answer, box, ticket). The boxes are yielded once and may be kept.

        ticket: whether the calls carry the launch ticket; None where the program did not look.

        Raises Unsupported after budget forks.
        """
        table = self.table
        waiting: dict[int, dict[_Likeness, Box]] = {node: {} for _, node in self.joins}
        stack: list[tuple[int, Box, bool | None]] = [(self.graph.root, box, None)]
        joins = iter(self.joins)
        while True:
            while stack:
                node, box, ticket = stack.pop()
                while node >= 0:
                    if node in waiting:
                        _wait(waiting[node], box, ticket)
                        break
                    slot, bits, yes, no, shadow = table[node]
                    if slot < 0:
                        budget -= 1
                        if ticket is None:
                            stack.append((yes, box.copy(), True))
                            ticket = False
                        node = yes if ticket else no
                        continue
                    had = box[slot]
                    inside = had & bits
                    if inside == had:
                        node = yes
                        continue
                    if not inside:
                        node = no
                        continue
                    if shadow:
                        number = box[NR_SLOT]
                        if not number & shadow[1]:
                            node = yes
                            continue
                        if not number & shadow[0]:
                            node = no
                            continue
                    budget -= 1
                    if budget < 0:
                        raise Unsupported
                    other = box.copy()
                    other[slot] = inside
                    box[slot] = had ^ inside
                    if shadow:
                        other[NR_SLOT] = number & shadow[0]
                        box[NR_SLOT] = number & shadow[1]
                    stack.append((yes, other, ticket))
                    node = no
                else:
                    yield ~node, box, ticket
            following = next(joins, None)
            if following is None:
                return
            # No way leads back: all boxes that reach this node are here.
            node = following[1]
            stack += [(node, box, ticket) for (*_, ticket), box in waiting.pop(node).items()]


def _wait(boxes: dict[_Likeness, Box], box: Box, ticket: bool | None) -> None:
    number = box[NR_SLOT]
    key = (tuple(box[NR_SLOT + 1 :]), ticket)
    if key in boxes:
        boxes[key][NR_SLOT] |= number
    else:
        boxes[key] = box
