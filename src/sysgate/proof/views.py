"""Two ways to see a test as a function of single bits: exactly, and loosely as a choice between pieces.

Exactly, a test looks at the bits of its words. Loosely, a masked word of an argument is a variable of its own, whose
values are the pieces that the tests cut it into, and has nothing to do with the same word under another mask; so some
calls are seen that cannot be. Programs that agree on all that is seen agree; many a chain of masks is small only so.
"""

from __future__ import annotations

from sysgate.proof.arithmetic import FALSE
from sysgate.proof.bits import Bits
from sysgate.proof.goals import mark
from sysgate.proof.graph import ARCH, EXPRESSION, NR, TICKET, WORDS
from sysgate.proof.judge import Difference
from sysgate.proof.order import order
from sysgate.proof.space import Space
from sysgate.proof.spans import Spans
from sysgate.proof.spec import NO_WORD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sysgate.proof.budget import Budget
    from sysgate.proof.graph import Graph
    from sysgate.proof.spec import Goal, Test
    from sysgate.proof.symbols import Symbols

# Variables that are no bits of a call, as words behind those of a call and those that a test of the launch ticket
# leaves in the registers: does it carry the ticket? From OPAQUE on: tests that are not taken apart, 32 to a word.
CARRIES = WORDS + 2
OPAQUE = WORDS + 3
# From here on, seen loosely: the pieces of masked words.
PIECES = 1 << 20

# Steps of diagrams for one test of an expression.
_TEST = 60_000


class View:
    """What both ways share: `bits`, number and architecture seen exactly, the ticket, and tests not taken apart."""

    def __init__(self, bits: Bits) -> None:
        self.bits = bits
        self.places = {level: place for place, level in bits.levels.items()}
        self._opaque: dict[tuple[int, Spans], int] = {}

    def carries(self) -> int:
        """Does the call carry the launch ticket?"""
        return self.bits.variable(CARRIES, 0)

    def word(self, word: int, mask: int, spans: Spans) -> int:
        """Where a masked word lies in spans."""
        return self.bits.member(self.bits.data(word, mask), spans)

    def test(self, test: Test) -> int:
        """Where a policy's test holds."""
        (low, low_mask, high, high_mask), rectangles = test.words()
        found = FALSE
        for highs, lows in rectangles:
            here = self.word(low, low_mask, lows)
            if high != NO_WORD:
                here = self.bits.both(self.word(high, high_mask, highs), here)
            found = self.bits.either(found, here)
        return found

    def expression(self, symbols: Symbols, value: int, spans: Spans) -> int:
        """Where a register's value lies in spans: a variable, the same one for the same test."""
        place = self._opaque.setdefault((value, spans), len(self._opaque))
        return self.bits.variable(OPAQUE + place // 32, place % 32)


class Exactly(View):
    """Tests on the bits of the words. One of an expression that no diagram holds stays a variable until `refute`."""

    def __init__(self, graphs: Sequence[Graph], budget: Budget) -> None:
        super().__init__(Bits(order(graphs, (*range(WORDS + 2), CARRIES, *_opaque_words(graphs))), budget.diagrams))
        self.symbols, self._steps = graphs[0].symbols, budget.search

    def test(self, test: Test) -> int:
        """As View.test; both halves at once."""
        low, low_mask, high, high_mask = test.key
        word = self.bits.data(low, low_mask)
        return self.bits.member(word if high == NO_WORD else word + self.bits.data(high, high_mask), test.spans)

    def expression(self, symbols: Symbols, value: int, spans: Spans) -> int:
        """As View.expression, where no diagram within budget holds it."""
        found = self.bits.tested(symbols, value, spans, _TEST)
        return super().expression(symbols, value, spans) if found is None else found

    def refute(self, wrong: int) -> None:
        """Raises Difference where wrong is TRUE for some call, Spent where no call is found in time."""
        if wrong == FALSE:
            return
        if any(self.places[level][0] >= OPAQUE for level in self.bits.variables(wrong)):
            from sysgate.proof.search import search

            tests = {(OPAQUE + place // 32, place % 32): test for test, place in self._opaque.items()}
            found = search(self.bits, wrong, tests, self.symbols, self._steps)
            if found is None:
                return
        else:
            found = [self.places[level] for level, value in self.bits.some(wrong).items() if value]
        words: dict[int, int] = {}
        for word, bit in found:
            words[word] = words.get(word, 0) | 1 << bit
        call = {word: value for word, value in words.items() if word < WORDS}
        raise Difference(call, ticket=bool(words.get(CARRIES)))


class Loosely(View):
    """Tests as choices between pieces, in the order in which the program makes them."""

    def __init__(self, graphs: Sequence[Graph], goals: Iterable[Goal], budget: Budget) -> None:
        self.space = Space()
        levels: dict[tuple[int, int], int] = {}
        for word in (ARCH, NR):
            for bit in range(31, -1, -1):
                levels[word, bit] = len(levels)
        ordered = [node for graph in graphs for node in sorted(graph.nodes, key=lambda node: node[5])]
        for word, mask, spans, _, _, _ in ordered:
            if word not in (EXPRESSION, TICKET):
                self.space.marked(word, mask, spans)
        for goal in goals:
            mark(self.space, goal)
        self.space.cut()
        for slot in range(len(self.space.words)):
            for bit in range(self.width(slot) - 1, -1, -1):
                levels[PIECES + slot, bit] = len(levels)
        for word in (CARRIES, *_opaque_words(graphs)):
            for bit in range(32):
                levels[word, bit] = len(levels)
        super().__init__(Bits(levels, budget.diagrams))

    def word(self, word: int, mask: int, spans: Spans) -> int:
        """As View.word."""
        if word in (NR, ARCH):
            return super().word(word, mask, spans)
        slot = self.space.slots[word, mask]
        return self.among(slot, self.space.places(slot, spans, (1 << self.width(slot)) - 1))

    def among(self, slot: int, places: Spans) -> int:
        """Where a masked word is in one of these places among its pieces."""
        return self.bits.member([self.bits.variable(PIECES + slot, bit) for bit in range(self.width(slot))], places)

    def width(self, slot: int) -> int:
        """How many bits number the pieces of a masked word."""
        return (self.space.pieces(slot) - 1).bit_length()


# Room for a variable for each test of an expression.
def _opaque_words(graphs: Sequence[Graph]) -> range:
    tests = sum(node[0] == EXPRESSION for graph in graphs for node in graph.nodes)
    return range(OPAQUE, OPAQUE + (tests + 31) // 32)
