"""What is seen loosely, seen more exactly where something seems wrong: masks of one word have to do with each other."""

from __future__ import annotations

from itertools import combinations

from sysgate.proof.arithmetic import FALSE, TRUE
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
    for _ in range(_RULED_OUT):
        if wrong == FALSE:
            return True
        possible = _call(view, wrong)
        if possible == TRUE:
            return False
        wrong = view.bits.both(wrong, possible)
    return False


# Where two masks of one word do not contradict each other.
def _together(view: Loosely, one: int, two: int) -> int:
    bits, space = view.bits, view.space
    mask, other = space.words[one][1], space.words[two][1]
    together = FALSE
    for place in range(space.pieces(one)):
        spans = space.piece(one, place)
        fits = [
            _place(view, two, at)
            for at in range(space.pieces(two))
            if pick({mask: spans, other: space.piece(two, at)}) is not None
        ]
        here = bits.both(view.among(one, (_place(view, one, place),)), view.among(two, union(fits)))
        together = bits.either(together, here)
    return together


# Do two masked words share bits of one word, and few enough pieces?
def _meet(view: Loosely, one: int, two: int) -> bool:
    space = view.space
    (word, mask), (other, under) = space.words[one], space.words[two]
    return word == other and mask & under != 0 and space.pieces(one) * space.pieces(two) <= _PAIRS


# Looks at one call for which wrong is TRUE. Raises Difference if it can be; else where calls can be that it is not
# among, or TRUE where that cannot be told.
def _call(view: Loosely, wrong: int) -> int:
    bits, space = view.bits, view.space
    words: dict[int, int] = {}
    pieces: dict[int, int] = {}
    for level, value in bits.some(wrong).items():
        word, bit = view.places[level]
        kept = pieces if word >= PIECES else words
        kept[word] = kept.get(word, 0) | value << bit
    if any(word >= OPAQUE for word in words):
        return TRUE
    slots: dict[int, dict[int, int]] = {}
    for name, place in pieces.items():
        slot = name - PIECES
        slots.setdefault(space.words[slot][0], {})[slot] = min(place, space.pieces(slot) - 1)
    for word, places in slots.items():
        masked = {slot: (space.words[slot][1], space.piece(slot, place)) for slot, place in places.items()}
        found = pick(dict(masked.values()))
        if found is None:
            for one, two in combinations(sorted(masked), 2):
                if _meet(view, one, two) and pick(dict((masked[one], masked[two]))) is None:
                    return _together(view, one, two)
            impossible = TRUE
            for slot, place in places.items():
                impossible = bits.both(impossible, view.among(slot, (_place(view, slot, place),)))
            return bits.negation(impossible)
        words[word] = found
    carries = bool(words.pop(CARRIES, 0))
    raise Difference({word: value for word, value in words.items() if word < WORDS}, ticket=carries)


# A piece's number; all numbers from the last one on stand for the last piece.
def _place(view: Loosely, slot: int, place: int) -> tuple[int, int]:
    return place, place if place + 1 < view.space.pieces(slot) else (1 << view.width(slot)) - 1
