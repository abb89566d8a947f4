"""Which calls the kernel's constant-allow bitmap answers."""

from __future__ import annotations

import pytest

from sysgate.bpf import insn
from sysgate.bpf.bitmap import constant_allow, served, size
from sysgate.bpf.program import Program
from sysgate.facts import arches, calls

X86_64, I386 = 0xC000_003E, 0x4000_0003
ALLOW, KILL = (insn.RET_K, 0, 0, 0x7FFF_0000), (insn.RET_K, 0, 0, 0)
LD_NR, LD_ARCH = (insn.LD_ABS, 0, 0, 0), (insn.LD_ABS, 0, 0, 4)


@pytest.mark.parametrize(
    ("insns", "nr", "answer"),
    [
        ((ALLOW,), 0, True),
        ((KILL,), 0, False),
        (((insn.RET_K, 0, 0, 0x7FFF_0001),), 0, False),  # data on an allow: not "exactly allow"
        (((insn.RET_K, 0, 0, 0x7FFC_0000),), 0, False),  # log is no allow
        (((insn.LD_IMM, 0, 0, 0x7FFF_0000), (insn.RET_A, 0, 0, 0)), 0, False),
        ((LD_NR, (insn.JEQ_K, 0, 1, 5), ALLOW, KILL), 5, True),
        ((LD_NR, (insn.JEQ_K, 0, 1, 5), ALLOW, KILL), 6, False),
        ((LD_NR, (insn.JGE_K, 0, 1, 5), ALLOW, KILL), 5, True),
        ((LD_NR, (insn.JGT_K, 0, 1, 5), ALLOW, KILL), 5, False),
        ((LD_NR, (insn.JSET_K, 0, 1, 4), ALLOW, KILL), 6, True),
        ((LD_NR, (insn.AND_K, 0, 0, 3), (insn.JEQ_K, 0, 1, 2), ALLOW, KILL), 6, True),
        (((insn.JA, 0, 0, 1), KILL, ALLOW), 0, True),
        ((LD_ARCH, (insn.JEQ_K, 0, 1, X86_64), ALLOW, KILL), 0, True),
        (((insn.JEQ_K, 0, 1, 0), ALLOW, KILL), 9, True),  # A starts at 0
        # an argument is loaded, if only to throw it away
        (((insn.LD_ABS, 0, 0, 16), ALLOW), 0, False),
        (((insn.LD_ABS, 0, 0, 8), ALLOW), 0, False),
        # the emulator knows AND alone of the arithmetic, and no X
        ((LD_NR, (insn.OR_K, 0, 0, 0), ALLOW), 0, False),
        ((LD_NR, (insn.SUB_K, 0, 0, 0), ALLOW), 0, False),
        ((LD_NR, (insn.JEQ_X, 0, 0, 0), ALLOW), 0, False),
        ((LD_NR, (insn.TAX, 0, 0, 0), ALLOW), 0, False),
        ((LD_NR, (insn.ST, 0, 0, 0), ALLOW), 0, False),
        (((insn.LD_IMM, 0, 0, 0), ALLOW), 0, False),
        (((insn.LD_LEN, 0, 0, 0), ALLOW), 0, False),
    ],
)
def test_the_emulation_follows_what_the_kernels_does(insns, nr, answer):
    assert constant_allow(Program(insns, False), X86_64, nr) is answer
    assert served(Program(insns, False), X86_64, nr) is answer


@pytest.mark.parametrize(
    ("audit", "nr", "answer"),
    [
        (X86_64, 0, True),
        (X86_64, 334, True),
        (X86_64, 400, True),  # numbers that no call has lie in the bitmap too
        (X86_64, 0x4000_0000, False),  # x32 numbers do not
        (X86_64, 4000, False),
        (X86_64, -1, False),
        (I386, 0, True),  # the compat bitmap
        (0x4000_0028, 0, True),
        (0x4000_0028, 983041, False),  # arm's private calls
        (0x8000_0016, 1, True),
        (0xC000_0008, 5000, False),  # mips keeps no bitmap
        (0x1234, 0, False),
    ],
)
def test_only_numbers_below_the_size_of_a_bitmap_are_served(audit, nr, answer):
    assert served(Program((ALLOW,), False), audit, nr) is answer


def test_a_bitmap_has_a_place_for_every_call_of_its_architecture():
    for name in arches.ARCHES:
        known = arches.arch(name)
        assert known is not None
        numbers = [nr for nr in calls.table(name).values() if nr < 0xF_0000]
        if "mips" in name or name == "x32":
            continue
        assert size(known.audit) == max(numbers) + 1
