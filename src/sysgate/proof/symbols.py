"""What a register holds when its program is run on an unknown call: a constant, or an expression over data words.

A value is an int. From 0 up it is that constant; below 0 it names an expression in the store, ~value being its place.
Equal expressions have equal names. Bitwise operations with constants come into one form, ((word & mask) shifted) ^ k,
so that most tests can be turned into one of a masked word (`solved`).
"""

from __future__ import annotations

from sysgate.bpf.insn import BPF_ADD, BPF_AND, BPF_DIV, BPF_LSH, BPF_MUL, BPF_NEG, BPF_OR, BPF_RSH, BPF_SUB, BPF_XOR
from sysgate.proof.spans import WORD, Spans, complement, count, flipped, intersection, mirrored, moved, union

# Kinds of expression beside the ALU's operations: a data word under a mask, and 1 where left > right, else 0.
DATA = -1
GREATER = -2

_COMMUTES = frozenset((BPF_ADD, BPF_MUL, BPF_OR, BPF_AND, BPF_XOR))
# A multiplication is undone element by element: only for so many.
_FEW = 64
# Flipping bits can shred a span: more pieces than this are left to the bit level.
_PIECES = 2048


class Symbols:
    """A store of expressions. `kinds[~value]` is (operation, left, right), or (DATA, word, mask)."""

    def __init__(self) -> None:
        self.kinds: list[tuple[int, int, int]] = []
        self._names: dict[tuple[int, int, int], int] = {}

    def data(self, word: int, mask: int = WORD) -> int:
        """Word 0 … 15 of struct seccomp_data under a mask."""
        return self._name(DATA, word, mask) if mask else 0

    def greater(self, left: int, right: int) -> int:
        """1 where left > right, unsigned, else 0."""
        if left >= 0 and right >= 0:
            return int(left > right)
        return 0 if left == right else self._name(GREATER, left, right)

    def alu(self, operation: int, left: int, right: int) -> int:
        """left (operation) right on 32 bits, as the kernel computes it. A divisor is not 0; NEG looks at left alone."""
        if operation == BPF_NEG:
            return self._minus(0, left)
        if left >= 0 and operation in _COMMUTES:
            left, right = right, left
        if right < 0:
            return self._of_two(operation, left, right)
        if operation == BPF_AND:
            return self._masked(left, right)
        if operation == BPF_XOR:
            return self._flipped(left, right)
        if operation == BPF_OR:
            return self._flipped(self._masked(left, WORD ^ right), right)
        if operation == BPF_RSH:
            return self._right(left, right & 31)
        if operation == BPF_LSH:
            return self._left(left, right & 31)
        if operation == BPF_ADD:
            return self._plus(left, right)
        if operation == BPF_SUB:
            return self._plus(left, -right & WORD)
        if operation == BPF_MUL:
            return self._times(left, right)
        return self._divided(left, right)

    def solved(self, value: int, spans: Spans) -> tuple[int, Spans]:
        """A simpler (value, spans) that holds for the very same calls: value lies in spans.

        The result is a constant, a DATA expression, or one that no inverse operation takes apart.
        """
        while value < 0 and len(spans) <= _PIECES:
            operation, left, right = self.kinds[~value]
            if operation == DATA:
                break
            if operation == BPF_XOR and right >= 0:
                value, spans = left, flipped(spans, right)
            elif operation == BPF_ADD and right >= 0:
                value, spans = left, moved(spans, -right, 32)
            elif operation == BPF_SUB and left >= 0:
                value, spans = right, mirrored(spans, left, 32)
            elif operation == BPF_RSH and right >= 0:
                value, spans = left, _scaled(spans, 1 << right)
            elif operation == BPF_DIV and right >= 0:
                value, spans = left, _scaled(spans, right)
            elif operation == BPF_LSH and right >= 0:
                value, spans = left, union((-(-first >> right), last >> right) for first, last in spans)
            else:
                taken = self._solved_modulo(operation, value, spans)
                if taken is None:
                    break
                value, spans = taken
        return value, spans

    # (x + k) & mask and the like, where mask is one run of ones: what lies above the run does not matter.
    def _solved_modulo(self, operation: int, value: int, spans: Spans) -> tuple[int, Spans] | None:
        bits = 32
        if operation == BPF_AND:
            _, value, mask = self.kinds[~value]
            bits = mask.bit_length()
            unit = mask & -mask
            if mask < 0 or mask + unit != 1 << bits:
                return None
            shift = unit.bit_length() - 1
            below = union((-(-first >> shift), last >> shift) for first, last in spans)
            spans = _scaled(intersection(below, ((0, mask >> shift),)), unit)
            operation = self.kinds[~value][0]
        _, left, right = self.kinds[~value]
        top = (1 << bits) - 1
        if operation == BPF_ADD and right >= 0:
            return self._masked(left, top), moved(spans, -right, bits)
        if operation == BPF_SUB and left >= 0:
            return self._masked(right, top), mirrored(spans, left, bits)
        if operation == BPF_MUL and right >= 0:
            inverse = pow(right, -1, top + 1)
            if count(spans) <= _FEW:
                return self._masked(left, top), _multiplied(spans, inverse, top)
            others = complement(spans, top)
            if count(others) <= _FEW:
                return self._masked(left, top), complement(_multiplied(others, inverse, top), top)
        return None

    def _name(self, operation: int, left: int, right: int) -> int:
        key = (operation, left, right)
        name = self._names.get(key)
        if name is None:
            self.kinds.append(key)
            name = self._names[key] = -len(self.kinds)
        return name

    def _kind(self, value: int) -> tuple[int, int, int]:
        return self.kinds[~value] if value < 0 else (0, 0, -1)

    def _of_two(self, operation: int, left: int, right: int) -> int:
        if operation == BPF_SUB and left >= 0:
            return self._minus(left, right)
        if left == right:
            if operation in (BPF_SUB, BPF_XOR):
                return 0
            if operation in (BPF_AND, BPF_OR):
                return left
        if operation in _COMMUTES and left < right:
            left, right = right, left
        return self._name(operation, left, right)

    def _masked(self, value: int, mask: int) -> int:
        if value >= 0:
            return value & mask
        if mask == 0 or mask == WORD:
            return value if mask else 0
        operation, left, right = self.kinds[~value]
        if operation == DATA:
            return self.data(left, right & mask)
        if right >= 0:
            if operation == BPF_AND:
                return self._masked(left, right & mask)
            if operation == BPF_XOR:
                return self._flipped(self._masked(left, mask), right & mask)
            if operation == BPF_RSH:
                return self._right(self._masked(left, mask << right & WORD), right)
            if operation == BPF_LSH:
                return self._left(self._masked(left, mask >> right), right)
        return self._name(BPF_AND, value, mask)

    def _flipped(self, value: int, mask: int) -> int:
        if value >= 0:
            return value ^ mask
        operation, left, right = self.kinds[~value]
        if operation == BPF_XOR and right >= 0:
            value, mask = left, right ^ mask
        return self._name(BPF_XOR, value, mask) if mask else value

    def _right(self, value: int, by: int) -> int:
        if by == 0:
            return value
        if value >= 0:
            return value >> by
        operation, left, right = self.kinds[~value]
        if right >= 0:
            if operation == BPF_XOR:
                return self._flipped(self._right(left, by), right >> by)
            if operation == BPF_RSH:
                return 0 if right + by > 31 else self._right(left, right + by)
            if operation == BPF_LSH:  # its operand has no bits that the shift would push out
                return self._right(left, by - right) if by >= right else self._left(left, right - by)
        if operation in (DATA, BPF_AND):
            value = self._masked(value, WORD >> by << by)
            if value >= 0:
                return value >> by
        return self._name(BPF_RSH, value, by)

    def _left(self, value: int, by: int) -> int:
        if by == 0:
            return value
        if value >= 0:
            return value << by & WORD
        operation, left, right = self.kinds[~value]
        if operation == BPF_XOR and right >= 0:
            return self._flipped(self._left(left, by), right << by & WORD)
        value = self._masked(value, WORD >> by)
        operation, left, right = self._kind(value)
        if right >= 0:
            if operation == BPF_LSH:
                return self._left(left, right + by)
            if operation == BPF_RSH:
                kept = self._masked(left, WORD >> right << right)
                return self._right(kept, right - by) if right >= by else self._left(kept, by - right)
        return self._name(BPF_LSH, value, by) if value < 0 else value << by & WORD

    def _plus(self, value: int, more: int) -> int:
        if value >= 0:
            return value + more & WORD
        operation, left, right = self.kinds[~value]
        if operation == BPF_ADD and right >= 0:
            value, more = left, right + more & WORD
        elif operation == BPF_SUB and left >= 0:
            return self._minus(left + more & WORD, right)
        return self._name(BPF_ADD, value, more) if more else value

    def _minus(self, base: int, value: int) -> int:
        if value >= 0:
            return base - value & WORD
        operation, left, right = self.kinds[~value]
        if operation == BPF_ADD and right >= 0:
            return self._minus(base - right & WORD, left)
        if operation == BPF_SUB and left >= 0:
            return self._plus(right, base - left & WORD)
        return self._name(BPF_SUB, base, value)

    def _times(self, value: int, factor: int) -> int:
        if value >= 0 or factor == 0:
            return value * factor & WORD if factor else 0
        unit = factor & -factor
        if unit > 1:
            return self._left(self._times(value, factor // unit), unit.bit_length() - 1)
        operation, left, right = self.kinds[~value]
        if operation == BPF_MUL and right >= 0:
            return self._times(left, right * factor & WORD)
        return value if factor == 1 else self._name(BPF_MUL, value, factor)

    def _divided(self, value: int, divisor: int) -> int:
        if value >= 0:
            return value // divisor
        if divisor & divisor - 1 == 0:
            return self._right(value, divisor.bit_length() - 1)
        operation, left, right = self.kinds[~value]
        if operation == BPF_DIV and right >= 0:
            return 0 if right * divisor > WORD else self._divided(left, right * divisor)
        return self._name(BPF_DIV, value, divisor)


def _scaled(spans: Spans, unit: int) -> Spans:
    # What gives an element of spans when divided by unit.
    return tuple((first * unit, min(last * unit + unit - 1, WORD)) for first, last in spans if first * unit <= WORD)


def _multiplied(spans: Spans, factor: int, top: int) -> Spans:
    points = (each * factor & top for first, last in spans for each in range(first, last + 1))
    return union((point, point) for point in points)
