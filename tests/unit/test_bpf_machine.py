"""Each instruction does what the kernel's does."""

from __future__ import annotations

import pytest

from sysgate.bpf import insn
from sysgate.bpf.machine import run
from sysgate.bpf.program import Program, validate
from sysgate.errors import BpfError

M32 = 0xFFFF_FFFF
RET_A = (insn.RET_A, 0, 0, 0)


def result(*body, big_endian=False, **call):
    """What is left in A after body."""
    insns = (*body, RET_A)
    validate(insns)
    call = {"audit": 0xC000_003E, "nr": 0, "args": (), "ip": 0, **call}
    return run(Program(insns, big_endian), **call)[0]


def a_is(value):
    return (insn.LD_IMM, 0, 0, value)


def x_is(value):
    return (insn.LDX_IMM, 0, 0, value)


@pytest.mark.parametrize(
    ("operation", "a", "operand", "left"),
    [
        (insn.BPF_ADD, M32, 2, 1),
        (insn.BPF_SUB, 1, 2, M32),
        (insn.BPF_MUL, 0x8000_0001, 2, 2),
        (insn.BPF_MUL, M32, M32, 1),
        (insn.BPF_DIV, M32, 2, 0x7FFF_FFFF),  # unsigned
        (insn.BPF_OR, 0xF0, 0x0F, 0xFF),
        (insn.BPF_AND, 0xFF, 0x3C, 0x3C),
        (insn.BPF_XOR, 0xFF, 0x0F, 0xF0),
        (insn.BPF_LSH, 0x8000_0001, 1, 2),
        (insn.BPF_LSH, 1, 31, 0x8000_0000),
        (insn.BPF_RSH, 0x8000_0000, 31, 1),  # no sign
    ],
)
def test_arithmetic_is_unsigned_and_wraps_at_32_bits(operation, a, operand, left):
    code = insn.BPF_ALU | operation
    assert result(a_is(a), (code, 0, 0, operand)) == left
    assert result(a_is(a), x_is(operand), (code | insn.BPF_X, 0, 0, 77)) == left


@pytest.mark.parametrize(
    ("operation", "by", "left"),
    [(insn.BPF_LSH, 32, 5), (insn.BPF_LSH, 33, 10), (insn.BPF_RSH, 32, 5), (insn.BPF_RSH, 0xFFFF_FFE1, 2)],
)
def test_a_shift_by_x_takes_its_low_five_bits(operation, by, left):
    assert result(a_is(5), x_is(by), (insn.BPF_ALU | operation | insn.BPF_X, 0, 0, 0)) == left


def test_dividing_by_an_x_of_zero_ends_the_program_with_zero():
    program = Program((a_is(7), (insn.DIV_X, 0, 0, 0), (insn.RET_K, 0, 0, 5)), False)
    assert run(program, 0, 0) == (0, 2)


@pytest.mark.parametrize(("a", "left"), [(0, 0), (1, M32), (0x8000_0000, 0x8000_0000)])
def test_negation_wraps(a, left):
    assert result(a_is(a), (insn.NEG, 0, 0, 0)) == left


@pytest.mark.parametrize(
    ("operation", "a", "operand", "taken"),
    [
        (insn.BPF_JEQ, 5, 5, True),
        (insn.BPF_JEQ, 5, 6, False),
        (insn.BPF_JGT, 5, 5, False),
        (insn.BPF_JGT, M32, 0x7FFF_FFFF, True),  # unsigned
        (insn.BPF_JGE, 5, 5, True),
        (insn.BPF_JGE, 0, M32, False),
        (insn.BPF_JSET, 6, 4, True),
        (insn.BPF_JSET, 6, 9, False),
        (insn.BPF_JSET, 0x8000_0000, 0x8000_0000, True),
    ],
)
def test_jumps_compare_unsigned_words(operation, a, operand, taken):
    code = insn.BPF_JMP | operation
    ways = ((insn.RET_K, 0, 0, 100), (insn.RET_K, 0, 0, 200))
    assert result(a_is(a), (code, 0, 1, operand), *ways) == (100 if taken else 200)
    assert result(a_is(a), x_is(operand), (code | insn.BPF_X, 0, 1, 77), *ways) == (100 if taken else 200)


def test_registers_start_at_zero():
    assert result() == 0
    assert result(a_is(9), (insn.TXA, 0, 0, 0)) == 0


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ((a_is(3), (insn.TAX, 0, 0, 0), a_is(0), (insn.TXA, 0, 0, 0)), 3),
        ((a_is(3), (insn.ST, 0, 0, 15), a_is(0), (insn.LD_MEM, 0, 0, 15)), 3),
        ((x_is(3), (insn.STX, 0, 0, 0), (insn.LD_MEM, 0, 0, 0)), 3),
        ((a_is(3), (insn.ST, 0, 0, 1), (insn.LDX_MEM, 0, 0, 1), (insn.TXA, 0, 0, 0)), 3),
        (((insn.LD_LEN, 0, 0, 9),), 64),  # sizeof(struct seccomp_data)
        (((insn.LDX_LEN, 0, 0, 9), (insn.TXA, 0, 0, 0)), 64),
        (((insn.JA, 0, 0, 1), a_is(1), a_is(2)), 2),
    ],
)
def test_words_move_between_registers_and_scratch_memory(body, left):
    assert result(*body) == left


CALL = {
    "audit": 0x1234_5678,
    "nr": 0x0001_0203,
    "ip": 0xAABB_CCDD_EEFF_0011,
    "args": tuple(0x1_0000_0000 * (10 * i + 1) + 10 * i for i in range(6)),
}


@pytest.mark.parametrize(
    ("offset", "little", "big"),
    [
        (0, 0x0001_0203, 0x0001_0203),
        (4, 0x1234_5678, 0x1234_5678),
        (8, 0xEEFF_0011, 0xAABB_CCDD),
        (12, 0xAABB_CCDD, 0xEEFF_0011),
        (16, 0, 1),
        (20, 1, 0),
        (56, 50, 51),
        (60, 51, 50),
    ],
)
def test_a_load_sees_the_halves_in_the_byte_order_of_the_machine(offset, little, big):
    assert result((insn.LD_ABS, 0, 0, offset), **CALL) == little
    assert result((insn.LD_ABS, 0, 0, offset), big_endian=True, **CALL) == big


def test_numbers_are_taken_modulo_their_width():
    assert result((insn.LD_ABS, 0, 0, 0), nr=-1) == M32
    assert result((insn.LD_ABS, 0, 0, 20), args=(-1,)) == M32
    assert result((insn.LD_ABS, 0, 0, 28), args=(-1,)) == 0  # missing arguments are 0


def test_every_instruction_executed_is_a_step():
    program = Program(((insn.JA, 0, 0, 1), a_is(1), (insn.JEQ_K, 1, 0, 1), RET_A, RET_A), False)
    assert run(program, 0, 0) == (0, 3)


def test_a_program_that_is_none_ends_in_words():
    for insns in (((0x1FF, 0, 0, 0),), ((insn.LD_IMM, 0, 0, 1),), ((insn.ST, 0, 0, 99), RET_A)):
        with pytest.raises(BpfError):
            run(Program(insns, False), 0, 0)
