"""A word that lies in several sets at once, each of them a set of what the word is under a mask."""

from __future__ import annotations

from sysgate.proof.spans import WORD, ZERO, Spans, count, intersection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

Limits = "Mapping[int, Spans]"
"""By mask: word & mask lies in spans."""


# So few words are tried one by one.
_FEW = 16


def pick(limits: Mapping[int, Spans]) -> int | None:
    """Some 32-bit word within all limits; None if there is none. Exact."""
    if len(limits) == 1:
        [(mask, spans)] = limits.items()
        return first_under(mask, spans)
    # Some bits 0 and the rest within spans: what a jump on a mask leaves of the number.
    if len(limits) == 2 and WORD in limits:
        [mask] = [mask for mask in limits if mask != WORD]
        if limits[mask] == ZERO:
            return first_under(WORD ^ mask, limits[WORD])
    if WORD in limits and count(limits[WORD]) <= _FEW:
        for first, last in limits[WORD]:
            for word in range(first, last + 1):
                if _within(word, limits):
                    return word
        return None
    return _picked(31, 0, tuple(limits.items()), {})


def _within(word: int, limits: Mapping[int, Spans]) -> bool:
    for mask, spans in limits.items():
        masked = word & mask
        for first, last in spans:
            if first <= masked <= last:
                break
        else:
            return False
    return True


def first_under(mask: int, spans: Spans) -> int | None:
    """The least submask of mask that lies in spans; None if there is none."""
    for first, last in spans:
        found = next_under(mask, first)
        if found <= min(last, mask):
            return found
    return None


def next_under(mask: int, least: int) -> int:
    """The least submask of mask from least on; a number above mask if there is none."""
    while least <= mask and least & ~mask:
        # The highest bit that the mask lacks can only go by counting on above it.
        above = (least & ~mask).bit_length()
        least = (least >> above) + 1 << above
    return least


# From the highest bit down. What is left of a limit below a bit depends on the bits above only through the spans that
# remain, taken relative to what is already decided: equal remainders are tried once.
def _picked(
    bit: int,
    word: int,
    limits: tuple[tuple[int, Spans], ...],
    failed: dict[tuple[int, tuple[tuple[int, Spans], ...]], None],
) -> int | None:
    left = []
    for mask, spans in limits:
        below = mask & (1 << bit + 1) - 1
        inside = intersection(spans, ((0, below),))
        if not inside:
            return None
        if inside != ((0, below),):
            left.append((below, inside))
    if not left:
        return word
    # No limit looks at the bits down to the highest one of some mask.
    bit = max(mask for mask, _ in left).bit_length() - 1
    key = (bit, tuple(left))
    if bit < 0 or key in failed:
        return None
    one = 1 << bit
    for value in (0, one):
        narrowed = tuple(
            [
                (mask, tuple([(max(first - value, 0), last - value) for first, last in spans if last >= value]))
                if mask & one
                else (mask, spans)
                for mask, spans in left
            ]
        )
        found = _picked(bit - 1, word | value, narrowed, failed)
        if found is not None:
            return found
    failed[key] = None
    return None
