"""Words of 32 truth values, and what the ALU makes of them: in terms of one choice between two values.

What a truth value is, a diagram or a wire, is left to those who derive from Arithmetic.
"""

from __future__ import annotations

from sysgate.bpf.insn import BPF_ADD, BPF_AND, BPF_DIV, BPF_LSH, BPF_MUL, BPF_OR, BPF_SUB, BPF_XOR
from sysgate.proof.spans import Spans
from sysgate.proof.symbols import DATA, GREATER, Symbols

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Word = list[int]  # 32 truth values, the lowest bit first

FALSE, TRUE = 0, 1


class Arithmetic:
    """Arithmetic on words of truth values. FALSE and TRUE are known; the others are named by further ints."""

    def __init__(self) -> None:
        self._words: dict[int, Word] = {}

    def choose(self, which: int, yes: int, no: int) -> int:
        """yes where which is TRUE, no where it is FALSE."""
        raise NotImplementedError

    def variable(self, word: int, bit: int) -> int:
        """A bit of a word of the call."""
        raise NotImplementedError

    def negation(self, one: int) -> int:
        """TRUE where one is FALSE."""
        return self.choose(one, FALSE, TRUE)

    def both(self, one: int, two: int) -> int:
        """TRUE where both are."""
        return self.choose(one, two, FALSE)

    def either(self, one: int, two: int) -> int:
        """TRUE where one of both is, or both."""
        return self.choose(one, TRUE, two)

    def differ(self, one: int, two: int) -> int:
        """TRUE where just one of both is."""
        return self.choose(one, self.negation(two), two)

    def member(self, word: Sequence[int], spans: Spans) -> int:
        """TRUE where the number whose bits are word, the lowest first, lies in spans."""
        return self._member(word, len(word) - 1, spans, {})

    def _member(self, word: Sequence[int], bit: int, spans: Spans, known: dict[tuple[int, Spans], int]) -> int:
        if not spans:
            return FALSE
        if bit < 0 or spans == ((0, (2 << bit) - 1),):
            return TRUE
        key = (bit, spans)
        if key not in known:
            half = 1 << bit
            lower = tuple((first, min(last, half - 1)) for first, last in spans if first < half)
            upper = tuple((max(first - half, 0), last - half) for first, last in spans if last >= half)
            known[key] = self.choose(
                word[bit], self._member(word, bit - 1, upper, known), self._member(word, bit - 1, lower, known)
            )
        return known[key]

    def data(self, word: int, mask: int) -> Word:
        """The bits of a data word under a mask."""
        return [self.variable(word, bit) if mask >> bit & 1 else FALSE for bit in range(32)]

    def word(self, symbols: Symbols, value: int) -> Word:
        """The bits of a register's value."""
        if value >= 0:
            return [value >> bit & 1 for bit in range(32)]
        if value not in self._words:
            # Operands come before what is made of them.
            todo = [value]
            while todo:
                operation, left, right = symbols.kinds[~todo[-1]]
                missing = (
                    [each for each in (left, right) if each < 0 and each not in self._words]
                    if operation != DATA
                    else []
                )
                if missing:
                    todo += missing
                else:
                    name = todo.pop()
                    if operation == DATA:
                        self._words[name] = self.data(left, right)
                    else:
                        self._words[name] = self.alu(operation, self.word(symbols, left), self.word(symbols, right))
        return self._words[value]

    def alu(self, operation: int, left: Word, right: Word) -> Word:
        """left (operation) right, as Symbols.alu; operations of `symbols` too. A divisor is not 0."""
        if operation == BPF_AND:
            return list(map(self.both, left, right))
        if operation == BPF_OR:
            return list(map(self.either, left, right))
        if operation == BPF_XOR:
            return list(map(self.differ, left, right))
        if operation == BPF_ADD:
            return self._sum(left, right, FALSE)
        if operation == BPF_SUB:
            return self._sum(left, list(map(self.negation, right)), TRUE)
        if operation == BPF_MUL:
            return self._product(left, right)
        if operation == BPF_DIV:
            return self._quotient(left, right)
        if operation == GREATER:
            return [self._greater(left, right)] + [FALSE] * 31
        return self._shifted(left, right, _up if operation == BPF_LSH else _down)

    def _sum(self, left: Word, right: Word, carry: int) -> Word:
        total = []
        for one, two in zip(left, right):
            apart = self.differ(one, two)
            total.append(self.differ(apart, carry))
            carry = self.choose(apart, carry, one)
        return total

    def _product(self, left: Word, right: Word) -> Word:
        total = [FALSE] * 32
        for place, bit in enumerate(right):
            if bit != FALSE:
                total = self._sum(total, [self.both(bit, each) for each in _up(left, place)], FALSE)
        return total

    # Long division, bit by bit. The divisor is not 0.
    def _quotient(self, left: Word, right: Word) -> Word:
        quotient = [FALSE] * 32
        divisor = [*right, FALSE]
        complement = list(map(self.negation, divisor))
        rest = [FALSE] * 33
        for place in range(31, -1, -1):
            rest = [left[place], *rest[:32]]
            fits = self.negation(self._greater(divisor, rest))
            quotient[place] = fits
            rest = [self.choose(fits, less, more) for less, more in zip(self._sum(rest, complement, TRUE), rest)]
        return quotient

    def _greater(self, left: Word, right: Word) -> int:
        found = FALSE
        for one, two in zip(left, right):
            found = self.choose(self.differ(one, two), one, found)
        return found

    # By the lowest five bits of right.
    def _shifted(self, left: Word, right: Word, shift: Callable[[Word, int], Word]) -> Word:
        for place in range(5):
            if right[place] != FALSE:
                moved = shift(left, 1 << place)
                left = [self.choose(right[place], there, here) for there, here in zip(moved, left)]
        return left


def _up(word: Word, by: int) -> Word:
    return [*([FALSE] * by), *word[: 32 - by]]


def _down(word: Word, by: int) -> Word:
    return [*word[by:], *([FALSE] * by)]
