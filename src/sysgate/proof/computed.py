"""Return values that a program computes (`ret a`), compared on single bits without listing them."""

from __future__ import annotations

from sysgate.action import MAX_ERRNO
from sysgate.proof.arithmetic import FALSE, TRUE, Arithmetic
from sysgate.proof.bits import CONSTANT, Bits
from sysgate.proof.graph import COMPUTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sysgate.proof.arithmetic import Word
    from sysgate.proof.symbols import Symbols

_KILL, _TRAP, _ERRNO, _TRACE = 0x8000, 0x0003, 0x0005, 0x7FF0
_KINDS = (_KILL, 0x0000, _TRAP, _ERRNO, 0x7FC0, _TRACE, 0x7FFC, 0x7FFF)


def differences(bits: Bits, symbols: Symbols, one: int, two: int) -> Iterator[int]:
    """Where two programs' answers differ and at least one of both is computed: in any of these."""
    for first in _answers(bits, one):
        for second in _answers(bits, two):
            if first != second and max(first, second) >= COMPUTED:
                where = bits.both(_giving(bits, one, first, {}), _giving(bits, two, second, {}))
                if where != FALSE:
                    for left, right in zip(_word(bits, symbols, first), _word(bits, symbols, second)):
                        yield bits.both(where, bits.differ(left, right))


# The answers of a function.
def _answers(bits: Bits, function: int) -> list[int]:
    found: dict[int, None] = {}
    seen = {function}
    todo = [function]
    while todo:
        node = todo.pop()
        if bits.level[node] == CONSTANT:
            if node > TRUE:
                found[bits.low[node]] = None
            continue
        for half in (bits.low[node], bits.high[node]):
            if half not in seen:
                seen.add(half)
                todo.append(half)
    return sorted(found)


# Where a function gives an answer.
def _giving(bits: Bits, function: int, answer: int, known: dict[int, int]) -> int:
    level, low, high = bits.level[function], bits.low[function], bits.high[function]
    if level == CONSTANT:
        return TRUE if function > TRUE and low == answer else FALSE
    if function not in known:
        known[function] = bits.node(level, _giving(bits, low, answer, known), _giving(bits, high, answer, known))
    return known[function]


# The bits of an answer, computed or not.
def _word(bits: Bits, symbols: Symbols, answer: int) -> Word:
    if answer < COMPUTED:
        return [answer >> bit & 1 for bit in range(32)]
    return answered(bits, bits.word(symbols, COMPUTED - 1 - answer))


def answered(logic: Arithmetic, ret: Word) -> Word:
    """The bits of the answer (see `answers`) that a return value gives."""
    data, kind = ret[:16], ret[16:]
    is_kind = {each: logic.member(kind, ((each, each),)) for each in _KINDS}
    unknown = TRUE
    for each in is_kind.values():
        unknown = logic.both(unknown, logic.negation(each))
    is_kind[_KILL] = logic.either(is_kind[_KILL], unknown)
    capped = logic.member(data, ((MAX_ERRNO + 1, 0xFFFF),))
    read = logic.either(is_kind[_TRAP], is_kind[_TRACE])
    made = []
    for bit, one in enumerate(data):
        errno = logic.choose(capped, MAX_ERRNO >> bit & 1, one)
        made.append(logic.either(logic.both(read, one), logic.both(is_kind[_ERRNO], errno)))
    for bit in range(16):
        on = FALSE
        for each, where in is_kind.items():
            if each >> bit & 1:
                on = logic.either(on, where)
        made.append(on)
    return made
