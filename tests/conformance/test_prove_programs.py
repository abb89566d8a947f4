"""Programs of every other maker, proved and refuted: 331 of them, with the machine as witness."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random

import pytest

from sysgate.action import ALLOW, Action, from_ret
from sysgate.bpf import insn, machine
from sysgate.bpf.program import Insn, Program, compared_arches, from_bytes, validate
from sysgate.errors import ProofError
from sysgate.facts import arches
from sysgate.policy.ruleset import Gate, Segment
from sysgate.proof import prove, prove_equal

# Pairs that two settings of one compiler made from one policy: all are equal.
SETTINGS = (("-O1", "-O2"), ("-linear", "-bst"), ("", "-O2"))


@cache
def corpus(folder: Path) -> dict[str, Program]:
    return {path.stem: from_bytes(path.read_bytes()) for path in sorted(folder.glob("*.bpf"))}


@pytest.fixture
def programs(shared: Callable[[str], Path]) -> dict[str, Program]:
    return corpus(shared("conformance/programs"))


def spelled_otherwise(random: Random, program: Program) -> Program:
    """The same program in other words: turned tests, data nobody reads, detours where the jumps leave room."""
    insns: list[Insn] = []
    for code, jt, jf, k in program.insns:
        if code == insn.JGT_K and k < 0xFFFF_FFFF:
            insns.append((insn.JGE_K, jt, jf, k + 1))
        elif code == insn.JGE_K and k > 0:
            insns.append((insn.JGT_K, jt, jf, k - 1))
        elif code == insn.JEQ_K and k == 0:
            insns.append((insn.JGE_K, jf, jt, 1))
        elif code == insn.JSET_K and k == 1 << 31:
            insns.append((insn.JGE_K, jt, jf, k))
        elif code == insn.RET_K and k >> 16 in (0x7FFF, 0x8000, 0x0000, 0x7FC0, 0x7FFC):
            insns.append((code, 0, 0, k & 0xFFFF_0000 | random.getrandbits(16)))
        else:
            insns.append((code, jt, jf, k))
    for _ in range(random.randrange(1, 12)):
        longer = _with_detour(insns, random.randrange(len(insns)))
        insns = longer or insns
    validate(insns)
    return Program(tuple(insns), program.big_endian)


# With a jump to the next instruction put in front of one; None where another's jump would get too long.
def _with_detour(insns: list[Insn], place: int) -> list[Insn] | None:
    longer = []
    for pc, (code, jt, jf, k) in enumerate(insns):
        if code in insn.JUMPS:
            jt += pc < place <= pc + jt
            jf += pc < place <= pc + jf
            if max(jt, jf) > 255:
                return None
        elif code == insn.JA:
            k += pc < place <= pc + k
        longer.append((code, jt, jf, k))
    return [*longer[:place], (insn.JA, 0, 0, 0), *longer[place:]]


def test_every_program_is_proved_equal_to_itself_in_other_words(programs: dict[str, Program]) -> None:
    random = Random(0)
    for name, program in programs.items():
        other = spelled_otherwise(random, program)
        assert other.insns != program.insns, name
        prove_equal(program, other)


def test_what_two_settings_of_one_compiler_made_is_proved_equal(programs: dict[str, Program]) -> None:
    pairs = [
        (name, other)
        for name in programs
        for one, two in SETTINGS
        if name.endswith(one) and (other := f"{name.removesuffix(one)}{two}") in programs and other != name
    ]
    assert len(pairs) >= 28
    for one, two in pairs:
        prove_equal(programs[one], programs[two])


def audit_of(arch: str | int) -> int:
    if isinstance(arch, int):
        return arch
    known = arches.arch(arch)
    assert known is not None
    return known.audit


def test_programs_of_different_policies_are_told_apart_by_a_call_that_the_machine_confirms(
    programs: dict[str, Program],
) -> None:
    random = Random(1)
    names = list(programs)
    equal = 0
    for _ in range(200):
        one, two = (programs[name] for name in random.sample(names, 2))
        try:
            prove_equal(one, two)
        except ProofError as error:
            call = error.counterexample
            answers = [
                from_ret(machine.run(Program(each.insns, order), audit_of(call.arch), call.nr, call.args, call.ip)[0])
                for each in (one, two)
                for order in {one.big_endian, two.big_endian}
            ]
            assert len(set(answers)) > 1, call
        else:
            equal += one.insns != two.insns
    assert equal < 20


PLAIN = {insn.LD_ABS, insn.JA, insn.RET_K, insn.JEQ_K, insn.JGT_K, insn.JGE_K}


def policy_of(program: Program, audit: int) -> Gate:
    """What a program answers on one architecture, by running it on both sides of every constant; for those that look
    at number and architecture alone.
    """
    edges = {0}
    for code, _, _, k in program.insns:
        if code in insn.JUMPS:  # between these numbers no comparison changes
            edges |= {k & 0xFFFF_FFFF, k + 1 & 0xFFFF_FFFF}
    starts = sorted(edges)
    segments = []
    for low, after in zip(starts, [*starts[1:], 1 << 32]):
        action = from_ret(machine.run(program, audit, low)[0])
        segments.append(Segment(low, after - 1, (), action, None))
    return Gate(((audit, tuple(segments)),), ALLOW, program.big_endian)


def test_programs_that_ask_for_numbers_alone_are_proved_against_their_policy(programs: dict[str, Program]) -> None:
    random = Random(2)
    judged = 0
    for name, program in programs.items():
        loads = {k for code, _, _, k in program.insns if code == insn.LD_ABS}
        codes = {code for code, _, _, _ in program.insns}
        if not loads <= {insn.NR, insn.ARCH} or not codes <= PLAIN:
            continue
        for audit in compared_arches(program.insns):
            gate = policy_of(program, audit)
            prove(gate, program, audits=(audit,))
            [(_, segments)] = gate.entries
            place = random.randrange(len(segments))
            old = segments[place]
            other = Action("errno", 77 if old.answer != Action("errno", 77) else 78)
            spoiled = (*segments[:place], Segment(old.low, old.high, (), other, None), *segments[place + 1 :])
            with pytest.raises(ProofError) as caught:
                prove(Gate(((audit, spoiled),), ALLOW, program.big_endian), program, audits=(audit,))
            assert old.low <= caught.value.counterexample.nr <= old.high, name
            judged += 1
    assert judged > 50
