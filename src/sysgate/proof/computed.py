"""Return values that a program computes (`ret a`), compared on single bits without listing them."""

from __future__ import annotations

from sysgate.action import MAX_ERRNO
from sysgate.proof.bits import CONSTANT, FALSE, TRUE, Bits
from sysgate.proof.graph import COMPUTED, WORDS
from sysgate.proof.judge import Difference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.proof.bits import Word
    from sysgate.proof.symbols import Symbols

# Variables that are no bits of a call, as words: does it carry the launch ticket, and from OPAQUE on the tests that
# were too hard to be taken apart.
CARRIES = WORDS + 2
OPAQUE = WORDS + 3

_KILL, _TRAP, _ERRNO, _TRACE = 0x8000, 0x0003, 0x0005, 0x7FF0
_KINDS = (_KILL, 0x0000, _TRAP, _ERRNO, 0x7FC0, _TRACE, 0x7FFC, 0x7FFF)


def compare(bits: Bits, symbols: Symbols, one: int, two: int) -> None:
    """Raises Difference where two programs' answers differ and at least one of both is computed."""
    for first in _answers(bits, one):
        for second in _answers(bits, two):
            if first != second and max(first, second) >= COMPUTED:
                where = bits.both(_giving(bits, one, first, {}), _giving(bits, two, second, {}))
                pairs = zip(_word(bits, symbols, first), _word(bits, symbols, second))
                for left, right in pairs if where != FALSE else ():
                    wrong = bits.both(where, bits.differ(left, right))
                    if wrong != FALSE:
                        raise difference(bits, _path(bits, wrong))


def difference(bits: Bits, variables: dict[int, int]) -> Difference:
    """The difference that shows for these values of variables, given by level."""
    place = {level: each for each, level in bits.levels.items()}
    words: dict[int, int] = {}
    known: dict[int, int] = {}
    for level, value in variables.items():
        word, bit = place[level]
        words[word] = words.get(word, 0) | value << bit
        known[word] = known.get(word, 0) | 1 << bit
    carries, opaque = bool(words.get(CARRIES)), max(words, default=0) >= OPAQUE
    call = {word: value for word, value in words.items() if word < WORDS}
    return Difference(call, ticket=carries, known=known if opaque else None)


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


# The bits of an answer: of a computed one, of what the kernel makes of it (see `answers`).
def _word(bits: Bits, symbols: Symbols, answer: int) -> Word:
    if answer < COMPUTED:
        return [answer >> bit & 1 for bit in range(32)]
    ret = bits.word(symbols, COMPUTED - 1 - answer)
    data, kind = ret[:16], ret[16:]
    is_kind = {each: bits.member(kind, ((each, each),)) for each in _KINDS}
    unknown = TRUE
    for each in is_kind.values():
        unknown = bits.both(unknown, bits.negation(each))
    is_kind[_KILL] = bits.either(is_kind[_KILL], unknown)
    capped = bits.member(data, ((MAX_ERRNO + 1, 0xFFFF),))
    read = bits.either(is_kind[_TRAP], is_kind[_TRACE])
    made = []
    for bit, one in enumerate(data):
        errno = bits.choose(capped, MAX_ERRNO >> bit & 1, one)
        made.append(bits.either(bits.both(read, one), bits.both(is_kind[_ERRNO], errno)))
    for bit in range(16):
        on = FALSE
        for each, where in is_kind.items():
            if each >> bit & 1:
                on = bits.either(on, where)
        made.append(on)
    return made


# Values of variables, by level, for which a truth value is TRUE.
def _path(bits: Bits, function: int) -> dict[int, int]:
    found = {}
    while function != TRUE:
        value = int(bits.low[function] == FALSE)
        found[bits.level[function]] = value
        function = bits.high[function] if value else bits.low[function]
    return found
