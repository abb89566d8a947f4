"""What the prover says a register holds is what the machine computes; so is what it solves a test to."""

from __future__ import annotations

from random import Random

import pytest
from programs import NUMBERS, number

from sysgate.bpf import insn, machine
from sysgate.proof.spans import WORD, complement, count, flipped, intersection, mirrored, moved, union, widened
from sysgate.proof.symbols import DATA, GREATER, Symbols

OPERATIONS = (
    insn.BPF_ADD, insn.BPF_SUB, insn.BPF_MUL, insn.BPF_DIV, insn.BPF_OR, insn.BPF_AND, insn.BPF_LSH, insn.BPF_RSH,
    insn.BPF_XOR,
)  # fmt: skip


def evaluated(symbols: Symbols, value: int, data: list[int]) -> int:
    """A register's value for the words of a call, by the definition of each operation."""
    if value >= 0:
        return value
    operation, left, right = symbols.kinds[~value]
    if operation == DATA:
        return data[left] & right
    one, two = evaluated(symbols, left, data), evaluated(symbols, right, data)
    if operation == GREATER:
        return int(one > two)
    return 0 if operation == insn.BPF_DIV and two == 0 else machine.alu(operation, one, two)


def drawn(random: Random, symbols: Symbols, data: list[int]) -> tuple[int, int]:
    """A value after some steps of arithmetic, and the number it is for these words."""
    word = random.randrange(4)
    value, real = symbols.data(word), data[word]
    for _ in range(random.randrange(1, 9)):
        if random.random() < 0.1:
            value, real = symbols.alu(insn.BPF_NEG, value, 0), -real & WORD
            continue
        operation = random.choice(OPERATIONS)
        if random.random() < 0.75:
            key = number(random)
            other, known = key, key
        else:
            other, known = symbols.data(word := random.randrange(4)), data[word]
            if random.random() < 0.5:
                other, known = symbols.alu(insn.BPF_ADD, other, 3), known + 3 & WORD
        if random.random() < 0.2:
            value, real, other, known = other, known, value, real
        if operation in (insn.BPF_LSH, insn.BPF_RSH) and random.random() < 0.9:
            other = known = random.randrange(32)
        if operation == insn.BPF_DIV and (known == 0 or other == 0):
            continue
        value, real = symbols.alu(operation, value, other), machine.alu(operation, real, known)
    return value, real


@pytest.mark.parametrize("seed", range(300))
def test_a_symbol_is_what_the_machine_computes(seed: int) -> None:
    random = Random(seed)
    for _ in range(20):
        data = [number(random) for _ in range(4)]
        symbols = Symbols()
        value, real = drawn(random, symbols, data)
        assert evaluated(symbols, value, data) == real


@pytest.mark.parametrize("seed", range(300))
def test_a_solved_test_holds_for_the_same_words(seed: int) -> None:
    random = Random(seed)
    for _ in range(10):
        data = [number(random) for _ in range(4)]
        symbols = Symbols()
        value, real = drawn(random, symbols, data)
        near = [real, real + 1 & WORD, real - 1 & WORD, number(random)]
        firsts = random.choices(near, k=2)
        spans = union((first, random.choice((first, first + 1, WORD, first | 0xFF))) for first in firsts)
        spans = intersection(spans, ((0, WORD),))
        simpler, held = symbols.solved(value, spans)
        kind, word, mask = symbols.kinds[~simpler] if simpler < 0 else (0, 0, 0)
        if kind == DATA:
            mask, held = widened(mask, held)
        for _ in range(20):
            expected = any(first <= evaluated(symbols, value, data) <= last for first, last in spans)
            found = data[word] & mask if kind == DATA else evaluated(symbols, simpler, data)
            assert any(first <= found <= last for first, last in held) is expected
            data = [number(random) for _ in range(4)]


BITS = 6
SHORT = [(first, last) for first in range(64) for last in range(first, min(64, first + 9))]
SETS = [union(Random(seed).choices(SHORT, k=3)) for seed in range(60)]


def members(spans: tuple[tuple[int, int], ...]) -> set[int]:
    return {each for first, last in spans for each in range(first, last + 1)}


@pytest.mark.parametrize("spans", SETS)
def test_sets_of_spans_are_sets(spans: tuple[tuple[int, int], ...]) -> None:
    top = (1 << BITS) - 1
    inside = members(spans)
    assert count(spans) == len(inside)
    assert members(complement(spans, top)) == set(range(64)) - inside
    for key in (0, 1, 5, 31, 32, 63):
        assert members(moved(spans, key, BITS)) == {(each + key) % 64 for each in inside}
        assert members(moved(spans, -key, BITS)) == {(each - key) % 64 for each in inside}
        assert members(mirrored(spans, key, BITS)) == {(key - each) % 64 for each in inside}
        assert members(flipped(spans, key)) == {each ^ key for each in inside}
    for other in SETS[:9]:
        assert members(intersection(spans, other)) == inside & members(other)
        assert members(union((*spans, *other))) == inside | members(other)


@pytest.mark.parametrize("mask", [0, 1, 0xFF, 0xF0, 0x8000_0000, 0xC000_0000, 0xFFFF_FF00, WORD])
def test_a_mask_up_to_the_highest_bit_is_said_of_the_whole_word(mask: int) -> None:
    random = Random(mask)
    for _ in range(50):
        spans = union((first, first + random.choice((0, 1, 300))) for first in random.choices(NUMBERS[:-2], k=3))
        wider, held = widened(mask, spans)
        for word in [number(random) for _ in range(50)]:
            expected = any(first <= word & mask <= last for first, last in spans)
            assert any(first <= word & wider <= last for first, last in held) is expected
