"""The launch ticket in a proof: its words are unknown, it opens its own calls and nothing else."""

from __future__ import annotations

from random import Random

import pytest

from sysgate.action import ALLOW, KILL_PROCESS, Action
from sysgate.bpf import insn
from sysgate.bpf.program import Insn, Program
from sysgate.decision import Origin
from sysgate.errors import CompileError, ProofError
from sysgate.policy.ruleset import Bound, Compare, Gate, Segment, Term
from sysgate.proof import circuit, exact, judge, prove
from sysgate.proof.budget import BUDGETS
from sysgate.proof.graph import build
from sysgate.proof.spec import laws
from sysgate.proof.symbols import Symbols

X86_64, S390X = 0xC000003E, 0x80000016
EXECVE, EXIT_GROUP = 59, 231
RET_ALLOW, RET_KILL, RET_ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0001
ALLOWED, KILL, ERRNO = ((insn.RET_K, 0, 0, ret) for ret in (RET_ALLOW, RET_KILL, RET_ERRNO))


def block(words: tuple[int, ...] = (0,) * 6, *, big_endian: bool = False) -> list[Insn]:
    """The test of the ticket, up to its jump (`jeq #0`), which the caller writes."""
    made: list[Insn] = []
    for index in range(6):
        offset = 40 + 4 * (index ^ big_endian)
        made += [(insn.LD_ABS, 0, 0, offset), (insn.XOR_K, 0, 0, words[index])]
        made += [(insn.OR_X, 0, 0, 0)] * (index > 0) + [(insn.TAX, 0, 0, 0)] * (index < 5)
    return made


def ld(offset: int) -> Insn:
    return insn.LD_ABS, 0, 0, offset


def jeq(k: int, jt: int, jf: int) -> Insn:
    return insn.JEQ_K, jt, jf, k


def program(*insns: Insn, audit: int = X86_64) -> Program:
    return Program((ld(4), jeq(audit, 1, 0), KILL, *insns), audit == S390X)


def gate(*errnos: int, audit: int = X86_64) -> Gate:
    """kill, but errno 1 for these numbers where args[3] is 5, and else kill."""
    rule = Compare(Term("reg3", 64, False, (3,)), "==", 5)
    rules = (Bound(((rule, Action("errno", 1)),), KILL_PROCESS, Origin("p", 1, "")),)
    edges = sorted({0, *errnos, *(number + 1 for number in errnos)})
    segments = [
        Segment(low, after - 1, rules if low in errnos else (), KILL_PROCESS, None)
        for low, after in zip(edges, [*edges[1:], 1 << 32])
    ]
    return Gate(((audit, tuple(segments)),), KILL_PROCESS, audit == S390X)


TICKET = (X86_64, frozenset({EXECVE}))
# nr == execve: with the ticket allow, else kill
RIGHT = (ld(0), jeq(EXECVE, 0, 24), *block(), jeq(0, 0, 1), ALLOWED, KILL)


def test_its_call_passes_and_all_else_is_the_policys() -> None:
    assert prove(gate(), program(*RIGHT), ticket=TICKET).method == "boxes"


def test_the_words_in_the_program_do_not_matter() -> None:
    random = Random(0)
    for _ in range(5):
        words = tuple(random.getrandbits(32) for _ in range(6))
        patched = (ld(0), jeq(EXECVE, 0, 24), *block(words), jeq(0, 0, 1), ALLOWED, KILL)
        prove(gate(), program(*patched), ticket=TICKET)


def test_without_the_ticket_the_policys_own_rule_holds() -> None:
    rule = [ld(40), jeq(5, 0, 3), ld(44), jeq(0, 0, 1), ERRNO, KILL]
    made = program(ld(0), jeq(EXECVE, 0, 23 + 1 + 5), *block(), jeq(0, 0, 1), ALLOWED, *rule)
    prove(gate(EXECVE), made, ticket=TICKET)
    with pytest.raises(ProofError, match="errno"):
        prove(gate(), made, ticket=TICKET)
    with pytest.raises(ProofError):
        prove(gate(EXECVE), program(*RIGHT), ticket=TICKET)


def test_big_endian_halves() -> None:
    made = (ld(0), jeq(EXECVE, 0, 24), *block(big_endian=True), jeq(0, 0, 1), ALLOWED, KILL)
    prove(gate(audit=S390X), program(*made, audit=S390X), ticket=(S390X, frozenset({EXECVE})))


@pytest.mark.parametrize(
    ("insns", "numbers"),
    [
        ((ld(0), jeq(EXECVE, 0, 24), *block(), jeq(0, 1, 0), ALLOWED, KILL), {EXECVE}),  # turned round
        ((ld(0), jeq(EXECVE, 0, 24), *block(), jeq(0, 0, 1), ERRNO, KILL), {EXECVE}),  # the ticket is refused
        ((ld(0), jeq(EXECVE, 0, 24), *block(), jeq(0, 0, 1), ALLOWED, ERRNO), {EXECVE}),
        ((ld(0), jeq(EXECVE, 24, 0), *block(), jeq(0, 0, 1), ALLOWED, KILL), {EXECVE}),  # all calls but its own
        ((ld(0), jeq(EXECVE + 1, 0, 24), *block(), jeq(0, 0, 1), ALLOWED, KILL), {EXECVE}),  # another's call
        (RIGHT, {EXIT_GROUP}),
        (RIGHT, {EXECVE, EXIT_GROUP}),  # one that never looks for it
        ((KILL,), {EXECVE}),
    ],
)  # fmt: skip
def test_a_ticket_that_opens_too_little_or_too_much_is_refuted(insns: tuple[Insn, ...], numbers: set[int]) -> None:
    with pytest.raises(ProofError):
        prove(gate(), program(*insns), ticket=(X86_64, frozenset(numbers)))


def test_on_another_architecture_it_opens_nothing() -> None:
    everywhere = Program(RIGHT, False)
    foreign = Gate(((X86_64, (Segment(0, 0xFFFF_FFFF, (), KILL_PROCESS, None),)),), KILL_PROCESS, False)
    with pytest.raises(ProofError) as caught:
        prove(foreign, everywhere, ticket=TICKET)
    assert caught.value.counterexample.arch != "x86_64"


def test_what_the_policy_allows_anyway_need_not_look_for_it() -> None:
    allowing = Gate(((X86_64, (Segment(0, 0xFFFF_FFFF, (), ALLOW, None),)),), KILL_PROCESS, False)
    prove(allowing, program(ALLOWED), ticket=TICKET)


def test_a_block_that_is_no_ticket_is_an_ordinary_test() -> None:
    short = [one for one in block() if one != (insn.LD_ABS, 0, 0, 60)]
    made = program(ld(0), jeq(EXECVE, 0, 23), *short, jeq(0, 0, 1), ALLOWED, KILL)
    with pytest.raises((ProofError, CompileError)):
        prove(gate(), made, ticket=TICKET)
    # Without a ticket its words are what they are: a call with six zeros passes.
    with pytest.raises(ProofError) as caught:
        prove(gate(), program(*RIGHT))
    assert caught.value.counterexample.args[3:] == (0, 0, 0)


@pytest.mark.parametrize(
    "insns",
    [
        # a jump into the block: with some words already known to be right
        (ld(0), jeq(EXECVE, 3, 0), jeq(EXECVE + 1, 0, 25), (insn.LDX_IMM, 0, 0, 0), (insn.JA, 0, 0, 4), *block(),
         jeq(0, 0, 1), ALLOWED, KILL),
        # an XOR outside
        (ld(40), (insn.XOR_K, 0, 0, 0), ld(0), jeq(EXECVE, 0, 24), *block(), jeq(0, 0, 1), ALLOWED, KILL),
    ],
)  # fmt: skip
def test_a_word_that_can_be_told_apart_is_no_proof(insns: tuple[Insn, ...]) -> None:
    with pytest.raises(CompileError, match="launch ticket"):
        prove(gate(), program(*insns), ticket=TICKET)


def test_the_blocks_last_jump_may_be_shared_with_others() -> None:
    # number 0, too, goes where a right ticket goes: by way of the block's own `jeq #0`
    made = program(ld(0), jeq(EXECVE, 0, 22), *block(), jeq(0, 0, 1), ALLOWED, KILL)
    segments = (Segment(0, 0, (), ALLOW, None), Segment(1, 0xFFFF_FFFF, (), KILL_PROCESS, None))
    prove(Gate(((X86_64, segments),), KILL_PROCESS, False), made, ticket=TICKET)
    with pytest.raises(ProofError):
        prove(gate(), made, ticket=TICKET)


@pytest.mark.parametrize("numbers", [{EXECVE}, {EXIT_GROUP}, {EXECVE, EXIT_GROUP}])
def test_all_ways_to_prove_say_the_same(numbers: set[int]) -> None:
    due = laws(gate(), lambda action: action)
    made = program(*RIGHT)
    ticket = (X86_64, frozenset(numbers))
    right = numbers == {EXECVE}
    assert _holds(lambda: circuit.judge(made, due, ticket, None, BUDGETS[-1].search)) is right
    graph = build(made, Symbols(), ticket=True, answers=(RET_ALLOW, RET_KILL))
    assert _holds(lambda: exact.judge(graph, due, ticket, None, BUDGETS[-1])) is right


def _holds(way: object) -> bool:
    try:
        way()  # type: ignore[operator]
    except judge.Difference:
        return False
    return True


def test_every_corruption_of_the_block_is_refuted() -> None:
    made = program(*RIGHT)
    for place in range(5, 28):
        code, jt, jf, k = made.insns[place]
        others = {(insn.TXA, 0, 0, 0), (insn.LD_IMM, 0, 0, 0), (insn.AND_K, 0, 0, 0), (insn.OR_K, 0, 0, 0)}
        if code in (insn.LD_ABS, insn.JEQ_K):  # the words do not count, and a move has no constant
            others.add((code, jt, jf, k ^ 4))
        for other in others:
            insns = [*made.insns[:place], other, *made.insns[place + 1 :]]
            with pytest.raises((ProofError, CompileError)):
                prove(gate(), Program(tuple(insns), False), ticket=TICKET)
