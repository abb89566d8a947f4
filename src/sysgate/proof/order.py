"""In which order the bit level asks about the bits of a call: it decides whether a diagram is small or enormous.

Words that meet in one expression are asked side by side, bits that meet next to each other: a sum is then small.
How far a word is shifted by another is asked before both. Architecture and number come first, as everything hangs on
them; then what the program tests earlier.
"""

from __future__ import annotations

from sysgate.bpf.insn import BPF_LSH, BPF_RSH
from sysgate.proof.graph import ARCH, EXPRESSION, NR, TICKET
from sysgate.proof.symbols import DATA

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sysgate.proof.graph import Graph
    from sysgate.proof.symbols import Symbols


def order(graphs: Sequence[Graph], others: Iterable[int]) -> dict[tuple[int, int], int]:
    """The level of each (word, bit). others: further words that are asked about."""
    groups = _Groups()
    for word in (ARCH, NR):
        groups.place(word, 0)
    for graph in graphs:
        for word, mask, _, _, _, _ in sorted(graph.nodes, key=lambda node: node[5]):
            if word == EXPRESSION:
                groups.expression(graph.symbols, mask)
            elif word != TICKET:
                groups.place(word, 0)
    for word in others:
        groups.place(word, 0)
    bits: list[tuple[int, int]] = []
    for group in groups.listed():
        bits += sorted(
            ((word, bit) for word in group for bit in range(32)),
            key=lambda each: (each not in groups.choosing, -each[1] - groups.shift[each[0]], each[0]),
        )
    return {each: level for level, each in enumerate(bits)}


class _Groups:
    def __init__(self) -> None:
        self.shift: dict[int, int] = {}
        self.choosing: set[tuple[int, int]] = set()
        self._group: dict[int, list[int]] = {}

    def listed(self) -> list[list[int]]:
        """The groups, in the order of their first words."""
        return list({id(group): group for group in self._group.values()}.values())

    def place(self, word: int, shift: int) -> None:
        """Take a word in; its bits stand so far from where they were."""
        if word not in self._group:
            self._group[word] = [word]
            self.shift[word] = shift

    def expression(self, symbols: Symbols, value: int) -> None:
        """Take in the words of an expression, side by side."""
        words: dict[int, None] = {}
        seen = set()
        todo = [(value, 0, False)]
        while todo:
            name, shift, chooses = todo.pop()
            if name >= 0 or (name, shift, chooses) in seen:
                continue
            seen.add((name, shift, chooses))
            operation, left, right = symbols.kinds[~name]
            if operation == DATA:
                self.place(left, shift)
                words[left] = None
                if chooses:
                    self.choosing |= {(left, bit) for bit in range(32) if right >> bit & 1 and 0 <= bit + shift < 5}
            elif operation in (BPF_LSH, BPF_RSH):
                if right >= 0:
                    shift += right if operation == BPF_LSH else -right
                else:
                    todo.append((right, 0, True))
                todo.append((left, shift, chooses))
            else:
                todo += [(right, shift, chooses), (left, shift, chooses)]
        self._join(list(words))

    def _join(self, words: list[int]) -> None:
        joined = self._group[words[0]]
        for word in words[1:]:
            group = self._group[word]
            if group is not joined:
                joined += group
                for each in group:
                    self._group[each] = joined
