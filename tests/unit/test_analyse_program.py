"""A program as a diagram answers every call as the machine does."""

from __future__ import annotations

import random

import pytest

from sysgate.action import ALLOW, KILL_THREAD, Action, from_ret
from sysgate.analyse import numbers, program
from sysgate.analyse.space import Space
from sysgate.bpf import insn
from sysgate.bpf.machine import run
from sysgate.bpf.program import Program, validate
from sysgate.errors import BpfError

X86_64 = 0xC000_003E
RETS = [0x7FFF_0000, 0x0005_0001, 0, 0x8000_0000, 0x0003_0000, 0x7FF0_0005, 0x7FC0_0000, 0x7FFC_0000, 0x1234_5678]
LD_NR, LD_LOW, LD_HIGH = (insn.LD_ABS, 0, 0, 0), (insn.LD_ABS, 0, 0, 16), (insn.LD_ABS, 0, 0, 20)


def returns(value):
    return (insn.RET_K, 0, 0, value)


def answer(space, node, number, args, pointer):
    """What a diagram says to a call."""
    while not space.is_leaf(node):
        variable = space.variable[node]
        if variable < 32:
            bit = number >> 31 - variable & 1
        else:
            register, at = space.place(variable)
            bit = (*args, pointer)[register] >> at & 1
        node = space.high[node] if bit else space.low[node]
    return space.value(node)


def random_insn(rng, left):
    code = rng.choice(sorted(insn.MNEMONICS))
    k = rng.choice([0, 1, 15, 31, rng.getrandbits(32)])
    if code & 7 == insn.BPF_RET:
        return rng.choice([returns(rng.choice(RETS)), LD_NR, LD_LOW, LD_HIGH, LD_LOW])
    if code in insn.JUMPS:
        return code, rng.randrange(min(left, 8)), rng.randrange(min(left, 8)), k
    if code == insn.JA:
        k = rng.randrange(min(left, 8))
    elif code == insn.LD_ABS:
        k = 4 * rng.randrange(16)
    elif code in (insn.LD_MEM, insn.LDX_MEM, insn.ST, insn.STX):
        k = rng.randrange(16)
    elif code in (insn.LSH_K, insn.RSH_K):
        k = rng.randrange(32)
    elif code == insn.DIV_K:
        k = rng.choice([1, 2, 3, 7, 0x8000_0000])
    elif code in (insn.MUL_X, insn.DIV_X):
        code = insn.AND_X  # products of unknown words outgrow any diagram
    return code, 0, 0, k


@pytest.mark.parametrize("braided", [False, True])
def test_random_programs_answer_as_the_machine_says(braided):
    rng, followed = random.Random(11), 0
    for _ in range(300):
        length = rng.randint(4, 25)
        written = [(insn.LD_IMM, 0, 0, rng.getrandbits(32))] + [(insn.ST, 0, 0, at) for at in range(16)]
        insns = (*written, *(random_insn(rng, length - at) for at in range(length)), returns(rng.choice(RETS)))
        validate(insns)
        made, space = Program(insns, rng.random() < 0.3), Space(braided=braided, budget=60_000)
        try:
            node = program.diagram(space, made, X86_64)
        except BpfError:
            continue
        followed += 1
        constants = [k for *_, k in insns]
        for _ in range(25):
            near = rng.choice(constants)
            words = [
                rng.choice(
                    [0, 1, 2**64 - 1, near, near << 32, near << 32 | near, rng.getrandbits(64), rng.getrandbits(8)]
                )
                for _ in range(8)
            ]
            number, pointer = words[6] & 0xFFFF_FFFF, words[7]
            meant = from_ret(run(made, X86_64, number, words[:6], pointer)[0])
            assert answer(space, node, number, words[:6], pointer) == meant, (insns, words)
    assert followed > 280


def test_a_division_by_an_unknown_word_ends_the_program_where_that_is_zero():
    made = Program((LD_LOW, (insn.AND_K, 0, 0, 3), (insn.TAX, 0, 0, 0), (insn.LD_IMM, 0, 0, 6), (insn.DIV_X, 0, 0, 0),
                    (insn.JEQ_K, 0, 1, 3), returns(0x7FFF_0000), returns(0x0005_0001)), False)  # fmt: skip
    space = Space()
    node = program.diagram(space, made, X86_64)
    found = [answer(space, node, 0, (low, 0, 0, 0, 0, 0), 0) for low in range(4)]
    assert found == [KILL_THREAD, Action("errno", 1), ALLOW, Action("errno", 1)]


def test_returned_words_that_are_computed_are_followed():
    made = Program((LD_LOW, (insn.AND_K, 0, 0, 7), (insn.OR_K, 0, 0, 0x0005_0000), (insn.RET_A, 0, 0, 0)), False)
    space = Space()
    node = program.diagram(space, made, X86_64)
    assert set(space.leaves(node)) == {Action("errno", data) for data in range(8)}
    # The kernel cuts an errno at 4095, and data that it ignores makes no difference.
    made = Program(
        (LD_LOW, (insn.OR_K, 0, 0, 0x0005_F000), (insn.AND_K, 0, 0, 0x0005_FFFF), (insn.RET_A, 0, 0, 0)), False
    )
    assert space.leaves(program.diagram(space, made, X86_64)) == (Action("errno", 4095),)
    made = Program((LD_LOW, (insn.AND_K, 0, 0, 0xFFFF), (insn.OR_K, 0, 0, 0x7FFF_0000), (insn.RET_A, 0, 0, 0)), False)
    assert program.diagram(space, made, X86_64) == space.leaf(ALLOW)


@pytest.mark.parametrize(
    ("insns", "reason"),
    [
        # trap data is returned to the program, so each of 65,536 values is another answer
        ((LD_LOW, (insn.AND_K, 0, 0, 0xFFFF), (insn.OR_K, 0, 0, 0x0003_0000), (insn.RET_A, 0, 0, 0)),
         "too many different answers"),
        ((LD_LOW, (insn.TAX, 0, 0, 0), LD_HIGH, (insn.MUL_X, 0, 0, 0), (insn.JEQ_K, 0, 1, 77), returns(0), returns(1)),
         "too intricate to be followed"),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_said_in_words(insns, reason):
    with pytest.raises(BpfError, match=reason):
        program.diagram(Space(budget=200_000), Program(insns, False), X86_64)


def test_of_a_stack_the_strictest_answer_wins_and_of_equals_the_later():
    space = Space()

    def only(ret):
        return program.diagram(space, Program((returns(ret),), False), X86_64)

    rows = [
        ([0x7FFF_0000, 0x7FFC_0000], Action("log")),
        ([0x0005_0001, 0x0005_0002], Action("errno", 2)),
        ([0x0005_0002, 0x0003_0000], Action("trap")),
        ([0x0003_0000, 0x0000_0000, 0x7FFF_0000], Action("kill_thread")),
        ([0x8000_0000, 0x0000_0000], Action("kill_process")),
        ([0x7FF0_0001, 0x7FC0_0000], Action("notify")),
    ]
    for rets, winner in rows:
        assert space.value(program.strictest(space, [only(ret) for ret in rets])) == winner


def test_numbers_are_cut_where_their_answer_changes():
    space = Space()
    made = Program((LD_NR, (insn.JGE_K, 2, 0, 100), (insn.JSET_K, 1, 0, 0x10), returns(0x7FFF_0000), returns(0)), False)
    found = numbers.ranges(space, program.diagram(space, made, X86_64))
    allowed = [(low, high) for low, high, node in found if node == space.leaf(ALLOW)]
    assert allowed == [(0, 15), (32, 47), (64, 79), (96, 99)]
    assert [low for low, _, _ in found[1:]] == [high + 1 for _, high, _ in found[:-1]]
    assert numbers.at(space, program.diagram(space, made, X86_64), 97) == space.leaf(ALLOW)


def test_numbers_told_apart_one_by_one_are_refused_in_words():
    space = Space()
    made = Program((LD_NR, (insn.JSET_K, 0, 1, 1), returns(0x7FFF_0000), returns(0)), False)
    with pytest.raises(BpfError, match="more ranges of call numbers"):
        numbers.ranges(space, program.diagram(space, made, X86_64))
