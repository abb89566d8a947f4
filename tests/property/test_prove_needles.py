"""Needles: programs that differ at one value that stands nowhere in their text, and equal ones that look different."""

from __future__ import annotations

from random import Random

import pytest
import z3_judge

from sysgate.bpf import insn
from sysgate.bpf.machine import run
from sysgate.bpf.program import Insn, Program, validate
from sysgate.errors import ProofError
from sysgate.proof import prove_equal

ALLOW, KILL = 0x7FFF_0000, 0x8000_0000
LOW, HIGH = 16, 20  # args[0], little-endian
X86_64 = 0xC000003E


def ld(k: int) -> Insn:
    return insn.LD_ABS, 0, 0, k


def k(code: int, value: int) -> Insn:
    return code, 0, 0, value & 0xFFFF_FFFF


TAX, TXA, NEG = k(insn.TAX, 0), k(insn.TXA, 0), k(insn.NEG, 0)


def st(slot: int) -> Insn:
    return insn.ST, 0, 0, slot


def with_x(code: int) -> Insn:
    return code, 0, 0, 0


def program(*insns: Insn) -> Program:
    validate(insns)
    return Program(insns, False)


ALWAYS = program(k(insn.RET_K, ALLOW))


def value(made: Program, word: int) -> int:
    return run(made, X86_64, 1, (word,))[0]


# What is done to each half before it is compared: the operation, and how to undo it.
STEPS = {
    "ADD": (insn.ADD_K, lambda word, key: word - key),
    "SUB": (insn.SUB_K, lambda word, key: word + key),
    "XOR": (insn.XOR_K, lambda word, key: word ^ key),
    "NEG": (insn.NEG, lambda word, key: -word),
    "MUL by an odd number": (insn.MUL_K, lambda word, key: word * pow(key | 1, -1, 1 << 32)),
}


def hidden(random: Random, names: list[str]) -> tuple[list[Insn], int, int]:
    """Instructions that change A in several steps, what the result is compared with, and the value that gives it."""
    steps = [(name, random.getrandbits(32) | (name.startswith("MUL"))) for name in names]
    result = word = random.getrandbits(32)
    for name, key in reversed(steps):
        word = STEPS[name][1](word, key) & 0xFFFF_FFFF
    return [(STEPS[name][0], 0, 0, 0 if name == "NEG" else key) for name, key in steps], result, word


@pytest.mark.parametrize("seed", range(40))
def test_a_difference_at_one_value_behind_arithmetic_is_found(seed: int) -> None:
    random = Random(seed)
    low, wanted_low, word_low = hidden(random, random.choices(list(STEPS), k=random.randrange(1, 6)))
    high, wanted_high, word_high = hidden(random, random.choices(list(STEPS), k=random.randrange(1, 6)))
    needle = program(
        ld(LOW), *low, (insn.JEQ_K, 0, len(high) + 2, wanted_low),
        ld(HIGH), *high, (insn.JEQ_K, 1, 0, wanted_high),
        k(insn.RET_K, ALLOW), k(insn.RET_K, KILL),
    )  # fmt: skip
    with pytest.raises(ProofError) as caught:
        prove_equal(needle, ALWAYS)
    word = word_high << 32 | word_low
    assert caught.value.counterexample.args[0] == word
    assert value(needle, word) == KILL


@pytest.mark.parametrize("seed", range(20))
def test_a_difference_at_one_value_that_mixes_both_halves_is_found(seed: int) -> None:
    # kill where (low + a) ^ high == b and (high >> s | low << 32-s) - low == c: memory and X carry what is mixed
    random = Random(seed)
    a, s = random.getrandbits(32), random.randrange(1, 31)
    word = random.getrandbits(64)
    low, high = word & 0xFFFF_FFFF, word >> 32
    b = (low + a & 0xFFFF_FFFF) ^ high
    c = (high >> s | low << 32 - s & 0xFFFF_FFFF) - low & 0xFFFF_FFFF
    needle = program(
        ld(HIGH), TAX, ld(LOW), k(insn.ADD_K, a), with_x(insn.XOR_X), (insn.JEQ_K, 0, 11, b),
        ld(LOW), k(insn.LSH_K, 32 - s), TAX, ld(HIGH), k(insn.RSH_K, s), with_x(insn.OR_X), st(3),
        ld(LOW), TAX, k(insn.LD_MEM, 3), with_x(insn.SUB_X), (insn.JEQ_K, 1, 0, c),
        k(insn.RET_K, ALLOW), k(insn.RET_K, KILL),
    )  # fmt: skip
    with pytest.raises(ProofError) as caught:
        prove_equal(ALWAYS, needle)
    found = caught.value.counterexample.args[0]
    assert value(needle, found) == KILL
    # Against the same with the value that was found let through, what is left are further solutions or none.
    spared = program(
        ld(LOW), (insn.JEQ_K, 0, 3, found & 0xFFFF_FFFF), ld(HIGH), (insn.JEQ_K, 0, 1, found >> 32),
        k(insn.RET_K, ALLOW), *needle.insns,
    )  # fmt: skip
    assert (z3_judge.equal(spared, ALWAYS)) is _proved(spared, ALWAYS)


def _proved(one: Program, two: Program) -> bool:
    try:
        prove_equal(one, two)
    except ProofError:
        return False
    return True


# Two ways to compute one word from the halves x (X, args[0] high) and a (A, args[0] low).
SAME = {
    "a + a is a << 1": ([TAX, with_x(insn.ADD_X)], [k(insn.LSH_K, 1)]),
    "a ^ x ^ x is a": ([with_x(insn.XOR_X), with_x(insn.XOR_X)], []),
    "a - x is a + ~x + 1": (
        [with_x(insn.SUB_X)],
        [st(0), TXA, k(insn.XOR_K, -1), TAX, k(insn.LD_MEM, 0), with_x(insn.ADD_X), k(insn.ADD_K, 1)],
    ),
    "(a << 3) >> 3 is a & 0x1fffffff": ([k(insn.LSH_K, 3), k(insn.RSH_K, 3)], [k(insn.AND_K, 0x1FFF_FFFF)]),
    "(a >> 16 << 16) | (a & 0xffff) is a": (
        [st(0), k(insn.RSH_K, 16), k(insn.LSH_K, 16), TAX, k(insn.LD_MEM, 0), k(insn.AND_K, 0xFFFF), with_x(insn.OR_X)],
        [],
    ),
    "-(-a) is a": ([NEG, NEG], []),
    "a * 5 is (a << 2) + a": ([k(insn.MUL_K, 5)], [TAX, k(insn.LSH_K, 2), with_x(insn.ADD_X)]),
    "a / 4 is a >> 2": ([k(insn.DIV_K, 4)], [k(insn.RSH_K, 2)]),
    "a / 6 is (a / 3) >> 1": ([k(insn.DIV_K, 6)], [k(insn.DIV_K, 3), k(insn.RSH_K, 1)]),
    "a + x is (a ^ x) + 2 * (a & x)": (
        [with_x(insn.ADD_X)],
        [st(0), with_x(insn.AND_X), k(insn.LSH_K, 1), st(1), k(insn.LD_MEM, 0), with_x(insn.XOR_X),
         k(insn.LDX_MEM, 1), with_x(insn.ADD_X)],
    ),
    "a | x is a + x - (a & x)": (
        [with_x(insn.OR_X)],
        [st(0), with_x(insn.AND_X), st(1), k(insn.LD_MEM, 0), with_x(insn.ADD_X), k(insn.LDX_MEM, 1),
         with_x(insn.SUB_X)],
    ),
    "a >> x & 31 in one step and bit by bit": (
        [with_x(insn.RSH_X)],
        [st(0), TXA, k(insn.AND_K, 31), TAX, k(insn.LD_MEM, 0), with_x(insn.RSH_X)],
    ),
    "(a ^ 0x55555555) + 1 is -(a ^ 0xaaaaaaaa)": (
        [k(insn.XOR_K, 0x5555_5555), k(insn.ADD_K, 1)],
        [k(insn.XOR_K, 0xAAAA_AAAA), NEG],
    ),
}  # fmt: skip


def _both(one: list[Insn], two: list[Insn], spoil: list[Insn] | None = None) -> Program:
    """Allow where both ways give the same word, else kill. spoil: changes the second."""
    start = [ld(HIGH), TAX, ld(LOW)]
    return program(
        *start, *one, st(9), *start, *two, *(spoil or []), k(insn.LDX_MEM, 9),
        (insn.JEQ_X, 0, 1, 0), k(insn.RET_K, ALLOW), k(insn.RET_K, KILL),
    )  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_two_ways_to_compute_the_same_are_proved_equal(name: str) -> None:
    prove_equal(_both(*SAME[name]), ALWAYS)


@pytest.mark.parametrize("name", SAME)
def test_a_lost_carry_or_bit_is_found(name: str) -> None:
    one, two = SAME[name]
    for spoil in ([k(insn.ADD_K, 1)], [k(insn.XOR_K, 1 << 31)], [k(insn.XOR_K, 1)]):
        spoiled = _both(one, two, spoil)
        with pytest.raises(ProofError) as caught:
            prove_equal(spoiled, ALWAYS)
        assert value(spoiled, caught.value.counterexample.args[0]) == KILL


def test_a_test_of_the_instruction_pointer_is_found() -> None:
    looks = program(ld(12), (insn.JEQ_K, 0, 3, 0x1234), ld(8), (insn.JEQ_K, 0, 1, 0x5678_9ABC), k(insn.RET_K, KILL),
                    k(insn.RET_K, ALLOW))  # fmt: skip
    with pytest.raises(ProofError) as caught:
        prove_equal(looks, ALWAYS)
    assert caught.value.counterexample.ip == 0x1234_5678_9ABC


def test_a_division_by_an_argument_that_may_be_0_ends_the_program_there() -> None:
    divides = program(ld(LOW), TAX, k(insn.LD_IMM, 8), with_x(insn.DIV_X), k(insn.RET_K, ALLOW))
    with pytest.raises(ProofError) as caught:
        prove_equal(divides, ALWAYS)
    assert caught.value.counterexample.args[0] & 0xFFFF_FFFF == 0
    guarded = program(ld(LOW), (insn.JEQ_K, 0, 1, 0), k(insn.RET_K, 0), k(insn.RET_K, ALLOW))
    prove_equal(divides, guarded)
