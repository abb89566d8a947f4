"""What is seen loosely, seen more exactly where something seems wrong: masks of one word have to do with each other."""

from __future__ import annotations

from sysgate.proof.arithmetic import FALSE
from sysgate.proof.graph import WORDS
from sysgate.proof.judge import Difference
from sysgate.proof.solve import pick
from sysgate.proof.spans import union
from sysgate.proof.views import CARRIES, OPAQUE, PIECES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.proof.views import Loosely

# Two masked words with more pairs of pieces than this are not related piece by piece, and this often a call that
# cannot be is ruled out by itself, before it is left to the exact view.
_PAIRS, _RULED_OUT = 4_000, 500


def nowhere(view: Loosely, wrong: int) -> bool:
    """Is wrong FALSE for all calls that can be? False where that is not settled.

    Raises Difference for a call that can be; Spent where the budget is.
    """
    if wrong != FALSE:
        wrong = _related(view, wrong)
    for _ in range(_RULED_OUT):
        if wrong == FALSE:
            return True
        impossible = _call(view, wrong)
        if impossible == FALSE:
            return False
        wrong = view.bits.both(wrong, view.bits.negation(impossible))
    return False


# wrong, without the calls in which two masks of one word contradict each other.
def _related(view: Loosely, wrong: int) -> int:
    bits, space = view.bits, view.space
    related = set()
    while wrong != FALSE:
        asked = {view.places[level][0] - PIECES for level in bits.variables(wrong)}
        slots = sorted(slot for slot in asked if slot >= 0)
        pair = next(
            (
                (one, two)
                for one in slots
                for two in slots
                if one < two and (one, two) not in related and _meet(view, one, two)
            ),
            None,
        )
        if pair is None:
            break
        related.add(pair)
        one, two = pair
        mask, other = space.words[one][1], space.words[two][1]
        together = FALSE
        last = (1 << view.width(two)) - 1
        for place in range(space.pieces(one)):
            spans = space.piece(one, place)
            fits = [
                (at, at if at + 1 < space.pieces(two) else last)
                for at in range(space.pieces(two))
                if pick({mask: spans, other: space.piece(two, at)}) is not None
            ]
            end = place if place + 1 < space.pieces(one) else (1 << view.width(one)) - 1
            here = bits.both(view.among(one, ((place, end),)), view.among(two, union(fits)))
            together = bits.either(together, here)
        wrong = bits.both(wrong, together)
    return wrong


# Do two masked words share bits of one word, and few enough pieces?
def _meet(view: Loosely, one: int, two: int) -> bool:
    space = view.space
    (word, mask), (other, under) = space.words[one], space.words[two]
    return word == other and mask & under != 0 and space.pieces(one) * space.pieces(two) <= _PAIRS


# Looks at one call for which wrong is TRUE. Raises Difference if it can be; else where it is that no call can be, or
# FALSE where that cannot be told.
def _call(view: Loosely, wrong: int) -> int:
    bits, space = view.bits, view.space
    words: dict[int, int] = {}
    pieces: dict[int, int] = {}
    for level, value in bits.some(wrong).items():
        word, bit = view.places[level]
        kept = pieces if word >= PIECES else words
        kept[word] = kept.get(word, 0) | value << bit
    if any(word >= OPAQUE for word in words):
        return FALSE
    slots: dict[int, dict[int, int]] = {}
    for name, place in pieces.items():
        slot = name - PIECES
        slots.setdefault(space.words[slot][0], {})[slot] = min(place, space.pieces(slot) - 1)
    for word, places in slots.items():
        found = pick({space.words[slot][1]: space.piece(slot, place) for slot, place in places.items()})
        if found is None:
            impossible = FALSE
            for slot, place in places.items():
                end = place if place + 1 < space.pieces(slot) else (1 << view.width(slot)) - 1
                here = view.among(slot, ((place, end),))
                impossible = here if impossible == FALSE else bits.both(impossible, here)
            return impossible
        words[word] = found
    carries = bool(words.pop(CARRIES, 0))
    raise Difference({word: value for word, value in words.items() if word < WORDS}, ticket=carries)
