"""Every single-instruction corruption of real programs: what changes the meaning is refuted, what does not is proved.

Which is which is judged by the machine near every boundary in the text, and where it sees no difference by z3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
import z3_judge

from sysgate.action import from_ret
from sysgate.bpf import insn, machine
from sysgate.bpf.program import Insn, Program, from_bytes, validate
from sysgate.errors import BpfError, ProofError
from sysgate.facts import arches
from sysgate.proof import prove_equal

# Small and large, of every maker; some with scratch memory, X, and arithmetic.
REAL = (
    "minijail-minijail__examples__cat-bst",
    "minijail-minijail__test__stdin_stdout-linear",
    "libseccomp-12-sim-basic_masked_ops-O2",
    "libseccomp-42-sim-adv_chains",
    "kafel-samples__sample_and_cmp_var-x86_64",
    "kafel-samples__sample_and_eq_var_long_set-x86_64",
    "kafel-samples__sample_var_cmp-x86_64",
    "firejail-protocol",
    "openssh-sshd-preauth",
    "chronyd-level1",
)


def corruptions(random: Random, one: Insn) -> Iterator[Insn]:
    """One instruction with one thing changed: its constant, a bit of it, a target, the operation, the word it loads."""
    code, jt, jf, k = one
    for changed in (k + 1, k - 1, k ^ 1 << random.randrange(32), 0):
        yield code, jt, jf, changed & 0xFFFF_FFFF
    if code in insn.JUMPS:
        yield code, jf, jt, k
        yield code, jt + 1, jf, k
        yield code, jt, jf + 1, k
        yield code, max(0, jt - 1), max(0, jf - 1), k
        for operation in (insn.BPF_JEQ, insn.BPF_JGT, insn.BPF_JGE, insn.BPF_JSET):
            yield code & ~0xF0 | operation, jt, jf, k
    elif code & 7 == insn.BPF_ALU:
        for operation in (insn.BPF_AND, insn.BPF_OR, insn.BPF_XOR, insn.BPF_ADD):
            yield code & ~0xF0 | operation, jt, jf, k
    elif code == insn.LD_ABS:
        yield code, jt, jf, k ^ 4
        yield code, jt, jf, (k + 8) % 64
    elif code & 7 == insn.BPF_RET:
        yield code, jt, jf, k ^ 1
        yield code, jt, jf, 0x7FFF_0000
        yield insn.RET_A, 0, 0, 0


def mutants(random: Random, program: Program) -> Iterator[tuple[int, Program]]:
    for place, one in enumerate(program.insns):
        for other in dict.fromkeys(corruptions(random, one)):
            insns = (*program.insns[:place], other, *program.insns[place + 1 :])
            try:
                validate(insns)
            except BpfError:
                continue
            if other != one:
                yield place, Program(insns, program.big_endian)


def near(*programs: Program) -> list[int]:
    """32-bit values on both sides of every constant in the text."""
    found = {0, 1, 0xFFFF_FFFF, 1 << 31, 1 << 30}
    for code, _, _, k in {one for program in programs for one in program.insns}:
        if code in insn.JUMPS or code & 7 == insn.BPF_ALU:
            found |= {k - 1, k, k + 1, ~k}
    return sorted(value & 0xFFFF_FFFF for value in found)


def differ(random: Random, one: Program, two: Program, tries: int) -> bool:
    """Does the machine see a difference, on calls made of values near the constants?"""
    values = near(one, two)
    audits = [arch.audit for name in arches.ARCHES if (arch := arches.arch(name))]
    asked = {*audits} & {*values} or {0xC000_003E}
    for _ in range(tries):
        data = [random.choice(values) for _ in range(16)]
        data[1] = random.choice(sorted(asked)) if random.random() < 0.8 else data[1]
        if from_ret(machine.run_words(one, data)[0]) != from_ret(machine.run_words(two, data)[0]):
            return True
    return False


def judged(original: Program, tries: int) -> tuple[int, int]:
    """How many mutants were refuted, and how many proved equal; fails where a judge disagrees."""
    random = Random(len(original.insns))
    refuted = proved = 0
    for place, mutant in mutants(random, original):
        try:
            prove_equal(original, mutant)
        except ProofError as error:
            refuted += 1
            call = error.counterexample
            audit = call.arch if isinstance(call.arch, int) else arches.arch(call.arch).audit  # type: ignore[union-attr]
            answers = [
                from_ret(machine.run(each, audit, call.nr, call.args, call.ip)[0]) for each in (original, mutant)
            ]
            assert answers[0] != answers[1], f"instruction {place}: {call} shows nothing"
            continue
        proved += 1
        assert not differ(random, original, mutant, tries), f"instruction {place}: {mutant.insns[place]} was accepted"
        if proved % 4 == 0 and len(original.insns) < 100:
            assert z3_judge.equal(original, mutant) is True, f"instruction {place}: {mutant.insns[place]} was accepted"
    return refuted, proved


@pytest.mark.parametrize("name", REAL)
def test_every_corruption_of_a_real_program_is_judged_rightly(name: str, shared: Callable[[str], Path]) -> None:
    program = from_bytes(shared(f"conformance/programs/{name}.bpf").read_bytes())
    refuted, proved = judged(program, 300)
    assert refuted > 2 * len(program.insns)
    assert proved > 0


@pytest.mark.parametrize("text", [
    "read, write: fd < 3\nopenat: (flags & O_ACCMODE) == O_RDONLY else errno(EROFS)\nclose: 1\nexit_group: 1",
    "default: allow\nmkdir, mkdirat: 0 else errno(EACCES)\nmmap: !(prot & PROT_EXEC)\n@reboot: 0",
    "default: errno(EPERM)\nlseek: offset >= 0 && offset < 0x100000000\nkill: pid == -1 || sig in {0, 15}",
    "ioctl: cmd in {1, 2, 3, 0x5401, 0x5413..0x5415}\nfchmod: mode < 01000",
])  # fmt: skip
def test_every_corruption_of_a_compiled_policy_is_judged_rightly(text: str) -> None:
    from sysgate import Policy

    made = Policy.parse(text).compile("x86_64", optimize="fast")
    refuted, proved = judged(Program(made.insns, made.big_endian), 300)
    assert refuted > 4 * len(made.insns)
    assert proved < refuted


@pytest.mark.parametrize("arches", [("s390x",), ("x86_64", "i386", "x32"), ("aarch64", "arm")])
def test_every_corruption_of_a_program_for_other_architectures_is_judged_rightly(arches: tuple[str, ...]) -> None:
    from sysgate import Policy

    # An argument of 64 bits, split over two registers on 32-bit ABIs; the halves swap places on s390x.
    text = "default: errno(EPERM)\nread, write: fd < 3\npread64: pos < 0x100000001\nclose: 1"
    if arches != ("s390x",):
        text += f"\n[{arches[-1]}]\nftruncate: fd == 7"
    made = Policy.parse(text).compile(arches, optimize="fast")
    refuted, proved = judged(Program(made.insns, made.big_endian), 300)
    assert refuted > 3 * len(made.insns)
    assert proved < refuted
