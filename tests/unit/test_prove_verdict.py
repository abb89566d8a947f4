"""What counts as equal, for which calls, and what is said where it is not."""

from __future__ import annotations

import pytest

from sysgate import Policy
from sysgate.action import ALLOW, KILL_PROCESS, NOTIFY, Action
from sysgate.bpf import insn
from sysgate.bpf.program import Insn, Program
from sysgate.call import Call
from sysgate.decision import Origin
from sysgate.errors import BpfError, CompileError, ProofError
from sysgate.policy.ruleset import All, Bound, Compare, Constant, Expr, Gate, Segment, Term
from sysgate.proof import Proof, prove, prove_equal, verdict
from sysgate.proof.budget import BUDGETS, Budget

X86_64, I386, S390X = 0xC000003E, 0x40000003, 0x80000016
RET = {"allow": 0x7FFF_0000, "kill": 0x8000_0000, "kill_thread": 0, "errno": 0x0005_0000, "notify": 0x7FC0_0000,
       "trap": 0x0003_0000, "trace": 0x7FF0_0000, "log": 0x7FFC_0000}  # fmt: skip
ORIGIN = Origin("p", 1, "rule")
REG0 = Term("reg0", 64, False, (0,))


def ret(kind: str, data: int = 0) -> Insn:
    return insn.RET_K, 0, 0, RET[kind] | data


def ld(offset: int) -> Insn:
    return insn.LD_ABS, 0, 0, offset


def jeq(k: int, jt: int, jf: int) -> Insn:
    return insn.JEQ_K, jt, jf, k


def program(*insns: Insn, big_endian: bool = False) -> Program:
    return Program(insns, big_endian)


def gate(*parts: tuple[int, Expr | Action], default: Action = KILL_PROCESS, audit: int = X86_64) -> Gate:
    """Numbers with their rule (allow where it holds, else errno 1) or their answer; all others: default."""
    segments = []
    low = 0
    for number, rule in parts:
        if number > low:
            segments.append(Segment(low, number - 1, (), default, None))
        if isinstance(rule, Action):
            segments.append(Segment(number, number, (), rule, None))
        else:
            rules = (Bound(((rule, ALLOW),), Action("errno", 1), ORIGIN),)
            segments.append(Segment(number, number, rules, default, None))
        low = number + 1
    segments.append(Segment(low, 0xFFFF_FFFF, (), default, None))
    return Gate(((audit, tuple(segments)),), KILL_PROCESS, audit == S390X)


# if arch != x86_64 kill; if nr == 3 allow; kill
THREE = program(ld(4), jeq(X86_64, 0, 3), ld(0), jeq(3, 0, 1), ret("allow"), ret("kill"))
ALLOW_THREE = gate((3, ALLOW))


def refuted(asked: Gate, made: Program, **kwargs: object) -> Call:
    with pytest.raises(ProofError) as caught:
        prove(asked, made, **kwargs)  # type: ignore[arg-type]
    return caught.value.counterexample


def test_a_right_program_is_proved() -> None:
    assert prove(ALLOW_THREE, THREE) == Proof(6, "boxes", 3)


@pytest.mark.parametrize(
    ("change", "arch", "nr"),
    [
        ((1, jeq(X86_64, 3, 0)), None, None),  # the architecture's test turned round
        ((1, jeq(X86_64 + 1, 0, 3)), None, None),
        ((3, jeq(4, 0, 1)), "x86_64", None),
        ((3, jeq(0x4000_0003, 0, 1)), None, None),
        ((3, (insn.JSET_K, 0, 1, 3)), "x86_64", None),
        ((3, (insn.JGE_K, 0, 1, 3)), "x86_64", None),
        ((4, ret("log")), "x86_64", 3),
        ((4, ret("errno", 1)), "x86_64", 3),
        ((5, ret("kill_thread")), None, None),
        ((5, ret("trap")), None, None),
        ((0, ld(0)), None, None),
        ((2, ld(16)), "x86_64", None),
        ((2, ld(8)), "x86_64", None),
    ],
)
def test_a_corrupted_program_is_refuted_by_a_call_that_shows_it(
    change: tuple[int, Insn], arch: str | None, nr: int | None
) -> None:
    place, one = change
    insns = [*THREE.insns[:place], one, *THREE.insns[place + 1 :]]
    call = refuted(ALLOW_THREE, program(*insns))
    assert arch in (None, call.arch)
    assert nr in (None, call.nr)


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (ret("allow"), ret("allow", 1), True),  # data nobody reads
        (ret("log"), ret("log", 0xFFFF), True),
        (ret("notify"), ret("notify", 7), True),
        (ret("kill"), ret("kill", 7), True),
        (ret("kill_thread"), ret("kill_thread", 7), True),
        (ret("errno", 4095), ret("errno", 4096), True),  # MAX_ERRNO
        (ret("errno", 4094), ret("errno", 4095), False),
        (ret("errno", 0), ret("allow"), False),
        (ret("trap", 1), ret("trap", 2), False),
        (ret("trace", 0xFFFF), ret("trace", 0xFFFE), False),
        (ret("kill"), ret("kill_thread"), False),
        (ret("kill"), (insn.RET_K, 0, 0, 0x7FFD_0000), True),  # an unknown action kills
        (ret("kill"), (insn.RET_K, 0, 0, 0x0001_0005), True),
        (ret("allow"), (insn.RET_K, 0, 0, 0x7FFE_0000), False),
        (ret("allow"), ret("log"), False),
    ],
)
def test_answers_are_compared_as_the_kernel_reads_them(one: Insn, two: Insn, same: bool) -> None:
    if same:
        prove_equal(program(one), program(two))
    else:
        with pytest.raises(ProofError):
            prove_equal(program(one), program(two))


@pytest.mark.parametrize("nr", [0, 3, 4, 335, 0x4000_0003, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
def test_every_number_counts_also_those_no_table_knows(nr: int) -> None:
    leaky = program(ld(4), jeq(X86_64, 0, 3), ld(0), jeq(nr, 0, 1), ret("allow"), ret("kill"))
    call = refuted(gate(), leaky)
    assert call.nr == nr


@pytest.mark.parametrize(("audit", "name"), [(I386, "i386"), (0xC00000B7, "aarch64"), (0, 0), (0x1234, 0x1234)])
def test_every_architecture_value_counts(audit: int, name: str | int) -> None:
    leaky = program(ld(4), jeq(X86_64, 1, 0), jeq(audit, 2, 3), ld(0), jeq(3, 0, 1), ret("allow"), ret("kill"))
    assert refuted(ALLOW_THREE, leaky).arch == name
    # ... unless only some are asked about
    prove(ALLOW_THREE, leaky, audits=(X86_64,))
    prove_equal(leaky, THREE, audits=(X86_64, I386 if audit != I386 else 1))


def test_an_x32_number_is_shown_as_one() -> None:
    leaky = program(ld(4), jeq(X86_64, 0, 3), ld(0), jeq(0x4000_0001, 0, 1), ret("allow"), ret("kill"))
    assert refuted(gate(), leaky).arch == "x32"


def test_the_instruction_pointer_counts() -> None:
    looks = program(ld(12), jeq(0x7FFF, 0, 1), ret("allow"), *THREE.insns)
    assert refuted(ALLOW_THREE, looks).ip >> 32 == 0x7FFF


def test_the_byte_order_is_that_of_the_policys_architectures() -> None:
    # reg0 == 5: on s390x the upper half comes first
    asked = gate((3, Compare(REG0, "==", 5)), audit=S390X)
    made = program(
        ld(4), jeq(S390X, 0, 8), ld(0), jeq(3, 0, 6), ld(16), jeq(0, 0, 3), ld(20), jeq(5, 0, 1),
        ret("allow"), ret("errno", 1), ret("kill"),
    )  # fmt: skip
    prove(asked, made)
    prove(asked, program(*made.insns, big_endian=True))
    with pytest.raises(ProofError):
        prove(Gate(((S390X, asked.entries[0][1]),), KILL_PROCESS, False), made)


def test_programs_of_different_byte_order_must_agree_in_both() -> None:
    halves = program(ld(16), jeq(5, 0, 1), ret("allow"), ret("kill"))
    prove_equal(halves, halves)
    prove_equal(THREE, program(*THREE.insns, big_endian=True))
    other = program(ld(20), jeq(5, 0, 1), ret("allow"), ret("kill"), big_endian=True)
    with pytest.raises(ProofError):
        prove_equal(halves, other)


def test_more_than_one_answer_may_be_right() -> None:
    def leaf(action: Action) -> tuple[Action, ...]:
        return (action, NOTIFY) if action == KILL_PROCESS else (action,)

    # The kill is a notification or a kill, by the instruction pointer.
    either = program(ld(4), jeq(X86_64, 0, 3), ld(0), jeq(3, 0, 1), ret("allow"), ld(12), (insn.JSET_K, 0, 1, 1 << 31),
                     ret("kill"), ret("notify", 1))  # fmt: skip
    prove(ALLOW_THREE, either, leaf=leaf)
    assert refuted(ALLOW_THREE, either).ip < 1 << 63
    wrong = program(*either.insns[:-1], ret("kill_thread"))
    assert refuted(ALLOW_THREE, wrong, leaf=leaf).ip < 1 << 63


def test_the_leaf_maps_what_has_won_and_the_foreign_answer_too() -> None:
    made = program(ld(4), jeq(X86_64, 0, 3), ld(0), jeq(3, 0, 1), ret("allow"), ret("notify"))
    prove(ALLOW_THREE, made, leaf=lambda action: NOTIFY if action == KILL_PROCESS else action)
    with pytest.raises(ProofError, match="the program answers notify where the policy says kill_process"):
        prove(ALLOW_THREE, made)


@pytest.mark.parametrize(
    "insns",
    [
        (),
        (ld(0),),
        (jeq(1, 5, 0), ret("allow")),
        (ld(64), ret("allow")),
        (ld(2), ret("allow")),
        ((insn.JA, 0, 0, 9), ret("allow")),
        ((0xFFFF, 0, 0, 0), ret("allow")),
        ((insn.BPF_ALU | insn.BPF_MOD, 0, 0, 3), ret("allow")),
        ((insn.LD_MEM, 0, 0, 99), ret("allow")),
    ],
)
def test_what_is_no_program_is_a_bpf_error(insns: tuple[Insn, ...]) -> None:
    with pytest.raises(BpfError):
        prove(gate(), program(*insns))
    with pytest.raises(BpfError):
        prove_equal(program(*insns), THREE)


def test_a_computed_return_value_is_understood() -> None:
    echo = program(ld(0), (insn.RET_A, 0, 0, 0))
    prove_equal(echo, program(ld(0), (insn.XOR_K, 0, 0, 7), (insn.XOR_K, 0, 0, 7), (insn.RET_A, 0, 0, 0)))
    with pytest.raises(ProofError) as caught:
        prove_equal(echo, program(ld(0), (insn.OR_K, 0, 0, 1), (insn.RET_A, 0, 0, 0)))
    assert caught.value.counterexample.nr >> 16 in (0x0003, 0x0005, 0x7FF0)  # where data is read
    # errno 1 where the number is odd, else errno 0
    odd = program(ld(0), (insn.AND_K, 0, 0, 1), (insn.OR_K, 0, 0, RET["errno"]), (insn.RET_A, 0, 0, 0))
    prove_equal(odd, program(ld(0), (insn.JSET_K, 0, 1, 1), ret("errno", 1), ret("errno", 0)))
    same = Gate(((X86_64, (Segment(0, 0xFFFF_FFFF, (), Action("errno", 1), None),)),), Action("errno", 0), False)
    by_arch = program(ld(4), jeq(X86_64, 0, 3), ld(0), (insn.RSH_K, 0, 0, 31), (insn.OR_K, 0, 0, 1),
                      (insn.AND_K, 0, 0, 1), (insn.ADD_K, 0, 0, RET["errno"]), (insn.RET_A, 0, 0, 0))  # fmt: skip
    assert refuted(same, by_arch).arch != "x86_64"


def test_rules_nested_five_hundred_deep_are_proved() -> None:
    deep: Expr = Compare(REG0, "==", 0)
    for level in range(500):
        deep = (All if level % 2 else _any)((deep, Constant(level % 2 == 1)))
    made = program(ld(4), jeq(X86_64, 0, 7), ld(0), jeq(3, 0, 5), ld(16), jeq(0, 0, 2), ld(20), jeq(0, 0, 0),
                   ret("errno", 1), ret("kill"))  # fmt: skip
    assert refuted(gate((3, deep)), made).args[0] == 0


def _any(parts: tuple[Expr, ...]) -> Expr:
    from sysgate.policy.ruleset import Any

    return Any(parts)


@pytest.mark.parametrize("registers", [2, 3])
@pytest.mark.parametrize("rules", [8, 12, 20])
def test_rules_whose_masks_overlap_are_settled_at_the_first_try(
    rules: int, registers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "BUDGETS", BUDGETS[:1])
    tests = (
        " && ".join(
            f"(reg{register} & {5 << bit:#x}) == {1 << bit:#x} && !(reg{register} & {0x40 << bit:#x})"
            for register in range(registers)
        )
        for bit in range(rules)
    )
    policy = Policy.parse("openat: " + " || ".join(f"({test})" for test in tests))
    assert len(policy.compile("x86_64", optimize="fast")) < 10 * rules


def test_what_is_not_decided_within_budget_is_neither_proved_nor_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "BUDGETS", (Budget(10_000, 20_000), Budget(20_000, 40_000)))
    # (a + 1) * x == a * x + x holds, and is too hard
    product = program(
        ld(20), (insn.TAX, 0, 0, 0), ld(16), (insn.ADD_K, 0, 0, 1), (insn.MUL_X, 0, 0, 0), (insn.ST, 0, 0, 0),
        ld(16), (insn.MUL_X, 0, 0, 0), (insn.ADD_X, 0, 0, 0), (insn.LDX_MEM, 0, 0, 0), (insn.JEQ_X, 0, 1, 0),
        ret("allow"), ret("kill"),
    )  # fmt: skip
    with pytest.raises(CompileError, match="could not be proved within budget"):
        prove_equal(product, program(ret("allow")))
