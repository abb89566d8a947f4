"""Sets of unsigned integers as spans: sorted pairs (first, last), both in, apart and not touching."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

Spans = tuple[tuple[int, int], ...]

WORD = 0xFFFF_FFFF
NONZERO: Spans = ((1, WORD),)
ZERO: Spans = ((0, 0),)


def union(parts: Iterable[tuple[int, int]]) -> Spans:
    """All that lies in any of the pairs, which may come in any order and overlap; empty ones do not count."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(parts):
        if first > last:
            continue
        if joined and first <= joined[-1][1] + 1:
            if last > joined[-1][1]:
                joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return tuple(joined)


def complement(spans: Spans, top: int) -> Spans:
    """What lies in 0 … top and not in the set, which must not reach above top."""
    gaps = []
    free = 0
    for first, last in spans:
        if first > free:
            gaps.append((free, first - 1))
        free = last + 1
    if free <= top:
        gaps.append((free, top))
    return tuple(gaps)


def intersection(one: Spans, two: Spans) -> Spans:
    """What lies in both."""
    shared = []
    at = other = 0
    while at < len(one) and other < len(two):
        first = max(one[at][0], two[other][0])
        last = min(one[at][1], two[other][1])
        if first <= last:
            shared.append((first, last))
        if one[at][1] < two[other][1]:
            at += 1
        else:
            other += 1
    return tuple(shared)


def moved(spans: Spans, distance: int, bits: int) -> Spans:
    """Each element plus distance, modulo 2**bits. The elements lie below 2**bits."""
    size = 1 << bits
    pieces = []
    for first, last in spans:
        start = (first + distance) % size
        end = start + last - first
        if end < size:
            pieces.append((start, end))
        else:
            pieces += [(start, size - 1), (0, end - size)]
    return union(pieces)


def mirrored(spans: Spans, centre: int, bits: int) -> Spans:
    """centre minus each element, modulo 2**bits."""
    negated = tuple((-last, -first) for first, last in reversed(spans))
    return moved(negated, centre, bits)


def flipped(spans: Spans, mask: int) -> Spans:
    """Each element with the bits of mask flipped."""
    pieces = []
    for first, last in spans:
        # The largest blocks of 2**n elements that begin at a multiple of 2**n: such a block stays one when flipped.
        while first <= last:
            size = first & -first or 1 << last.bit_length()
            while first + size - 1 > last:
                size >>= 1
            start = (first ^ mask) & -size
            pieces.append((start, start + size - 1))
            first += size
    return union(pieces)


def widened(mask: int, spans: Spans) -> tuple[int, Spans]:
    """What `word & mask in spans` says, of the whole word where mask is all bits from one up; else as it is."""
    unit = mask & -mask
    if not mask or mask + unit != WORD + 1 or unit == 1:
        return mask, spans
    multiples = ((-(-first // unit), min(last, mask) // unit) for first, last in spans)
    return WORD, union((first * unit, last * unit + unit - 1) for first, last in multiples)


def count(spans: Spans) -> int:
    """How many elements the set has."""
    return sum(last - first + 1 for first, last in spans)
