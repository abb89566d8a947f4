"""Sets of calls as boxes: for each masked word that anything looks at, the set of its possible values, as bits.

The values of a masked word are cut wherever a test begins or ends: within a piece all tests answer alike. A set of
values is then an integer with a bit for each piece, and a test is one `&`.
"""

from __future__ import annotations

from sysgate.proof.graph import ARCH, NR
from sysgate.proof.solve import next_under
from sysgate.proof.spans import WORD, Spans, union

NR_SLOT, ARCH_SLOT = 0, 1


class Space:
    """The masked words, each with a slot. First all tests are `marked`, then `cut` is called, then `bits` answers."""

    def __init__(self) -> None:
        self.slots: dict[tuple[int, int], int] = {(NR, WORD): NR_SLOT, (ARCH, WORD): ARCH_SLOT}
        self.words: list[tuple[int, int]] = list(self.slots)
        self.full: list[int] = []
        self._marks: list[set[int]] = [{0}, {0}]
        self._starts: list[list[int]] = []
        self._places: list[dict[int, int]] = []
        self._spans: dict[tuple[int, int], Spans] = {}

    def marked(self, word: int, mask: int, spans: Spans) -> int:
        """The slot of a masked word, which is cut where the spans begin and end."""
        slot = self.slots.get((word, mask))
        if slot is None:
            slot = self.slots[word, mask] = len(self.words)
            self.words.append((word, mask))
            self._marks.append({0})
        marks = self._marks[slot]
        for first, last in spans:
            marks.add(first)
            marks.add(last + 1)
        return slot

    def cut(self) -> None:
        """End marking."""
        for (_, mask), marks in zip(self.words, self._marks):
            starts = sorted(marks)
            while starts[-1] > mask:
                starts.pop()
            self._starts.append(starts)
            self._places.append({start: place for place, start in enumerate(starts)})
            full = (1 << len(starts)) - 1
            if mask & (mask + 1):  # with holes between its ones: some pieces have no value at all
                for place, start in enumerate(starts):
                    end = starts[place + 1] - 1 if place + 1 < len(starts) else mask
                    if next_under(mask, start) > end:
                        full ^= 1 << place
            self.full.append(full)

    def bits(self, slot: int, spans: Spans) -> int:
        """A marked set as bits."""
        mask = self.words[slot][1]
        places = self._places[slot]
        made = 0
        for first, last in spans:
            if first > mask:
                break
            made += (1 << (places[last + 1] if last < mask else len(places))) - (1 << places[first])
        return made & self.full[slot]

    def pieces(self, slot: int) -> int:
        """How many pieces of a slot have a value at all."""
        return self.full[slot].bit_count()

    def piece(self, slot: int, place: int) -> Spans:
        """The values of the piece in a place among those that have a value."""
        full = self.full[slot]
        for _ in range(place):
            full &= full - 1
        return self.spans(slot, full & -full)

    def places(self, slot: int, spans: Spans, top: int) -> Spans:
        """A marked set as the places of its pieces among those that have a value; up to top, the last place's too."""
        bits = self.bits(slot, spans)
        full = self.full[slot]
        found = []
        place = 0
        while full:
            if full & 1:
                if bits & 1:
                    found.append((place, place if full > 1 else top))
                place += 1
            full >>= 1
            bits >>= 1
        return union(found)

    def spans(self, slot: int, bits: int) -> Spans:
        """The values that bits stand for."""
        key = (slot, bits)
        if key not in self._spans:
            starts = self._starts[slot]
            ends = [*(start - 1 for start in starts[1:]), self.words[slot][1]]
            self._spans[key] = union((starts[place], ends[place]) for place in range(len(starts)) if bits >> place & 1)
        return self._spans[key]

    def shadow(self, mask: int, spans: Spans) -> tuple[int, int]:
        """The pieces of the number in which word & mask can lie in the spans, and those in which it can lie outside."""
        starts = self._starts[NR_SLOT]
        inside = outside = 0
        piece = 1
        for start, following in zip(starts, [*starts[1:], WORD + 1]):
            if following - start == 1:  # most are a single number
                can = _lies(start & mask, spans)
                cannot = not can
            else:
                can, cannot = _possible(mask, spans, start, following - 1)
            if can:
                inside |= piece
            if cannot:
                outside |= piece
            piece <<= 1
        return inside, outside


def _lies(value: int, spans: Spans) -> bool:
    for first, last in spans:  # noqa: SIM110 - any() and a generator take three times as long
        if first <= value <= last:
            return True
    return False


# Can word & mask lie in spans, can it lie outside, for a word in start … end? True where that is not certain.
def _possible(mask: int, spans: Spans, start: int, end: int) -> tuple[bool, bool]:
    if spans == ((1, WORD),) or spans == ((1, mask),):
        # A test of bits: outside means that all of them are 0.
        clear = next_under(WORD ^ mask, start) <= min(end, WORD ^ mask)
        return not clear or _some_set(mask, start, end), clear
    # The bits in which all words of the piece agree.
    free = (1 << (start ^ end).bit_length()) - 1
    least, most = start & mask & ~free, start & mask | mask & free
    inside = any(first <= most and least <= last for first, last in spans)
    return inside, not any(first <= least and most <= last for first, last in spans)


def _some_set(mask: int, start: int, end: int) -> bool:
    # The first word from start on that has a bit: start itself, or where that bit comes next.
    return any(
        start >> bit & 1 or (start >> bit | 1) << bit <= end for bit in range(mask.bit_length()) if mask >> bit & 1
    )
