"""A word within several limits is found where brute force finds one, and only there."""

from __future__ import annotations

from random import Random

import pytest

from sysgate.proof.graph import NR
from sysgate.proof.solve import first_under, next_under, pick
from sysgate.proof.space import Space
from sysgate.proof.spans import WORD, Spans, union

BITS = 10  # what brute force can do; the bits above are 0
TOP = (1 << BITS) - 1


def drawn(random: Random) -> dict[int, Spans]:
    limits: dict[int, Spans] = {WORD: ((0, TOP),)}
    if random.random() < 0.5:
        limits[WORD] = union(
            (first := random.randrange(TOP), min(TOP, first + random.choice((0, 1, 9, 99)))) for _ in "ab"
        )
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        mask = random.choice((1, 3, 0xF0, 0x155, 0x201, TOP, random.randrange(1, TOP), WORD ^ 7))
        values = [random.randrange(TOP) & mask for _ in range(2)]
        limits[mask] = random.choice(
            (((0, 0),), ((1, mask),), union((value, value + random.choice((0, 5))) for value in values))
        )
    return limits


@pytest.mark.parametrize("seed", range(0, 600, 20))
def test_a_word_is_found_where_there_is_one(seed: int) -> None:
    for each in range(seed, seed + 20):
        limits = drawn(Random(each))
        within = [
            word
            for word in range(TOP + 1)
            if all(any(first <= word & mask <= last for first, last in spans) for mask, spans in limits.items())
        ]
        found = pick(limits)
        assert (found in within) if within else (found is None), f"{limits}: {found}"


@pytest.mark.parametrize("mask", [0, 1, 5, 0x88, 0x3FF, 0x2AA])
def test_the_next_submask_is_the_least_from_there_on(mask: int) -> None:
    under = [word for word in range(TOP + 1) if word & ~mask == 0]
    for least in range(TOP + 1):
        known = [word for word in under if word >= least]
        assert next_under(mask, least) == known[0] if known else next_under(mask, least) > mask
        assert first_under(mask, ((least, TOP),)) == (known[0] if known else None)


@pytest.mark.parametrize("free", [0, 1, 5, 0x4F, 0x88, 0x3FF, 0x2AA])
def test_a_test_of_bits_is_seen_exactly_in_every_piece_of_the_number(free: int) -> None:
    mask = WORD ^ free
    set_somewhere = ((1, mask),)
    starts = sorted({0, TOP + 1, *Random(free).sample(range(TOP), 40)})
    space = Space()
    space.marked(NR, WORD, tuple((start, start) for start in starts[::2]))
    space.marked(NR, WORD, tuple((start, WORD) for start in starts))
    space.marked(NR, mask, set_somewhere)
    space.cut()
    inside, outside = space.shadow(mask, set_somewhere)
    for place in range(space.pieces(0)):
        ((start, end),) = space.piece(0, place)
        clear = [word & mask == 0 for word in range(start, min(end, TOP) + 1)] + [False] * (end > TOP)
        assert bool(inside >> place & 1) == (not all(clear)), (start, end)
        assert bool(outside >> place & 1) == any(clear), (start, end)
