"""What the kernel takes for a seccomp-BPF program, rule by rule."""

from __future__ import annotations

from struct import pack

import pytest

from sysgate.bpf import insn
from sysgate.bpf.program import Program, compared_arches, from_bytes, to_bytes, validate
from sysgate.errors import BpfError

RET = (insn.RET_K, 0, 0, 0x7FFF_0000)
X86_64, S390X = 0xC000_003E, 0x8000_0016


@pytest.mark.parametrize(
    ("insns", "reason"),
    [
        ((), "at least one instruction"),
        ((RET,) * 4097, "4097 instructions: the kernel takes at most 4096"),
        (((insn.LD_ABS, 0, 0, 0),), "instruction 0: the last instruction is not a return"),
        ((RET, (insn.JA, 0, 0, 0)), "instruction 1: ja jumps past the end"),
        (((insn.JA, 0, 0, 1), RET), "instruction 0: ja jumps past the end"),
        (((insn.JA, 0, 0, 0xFFFF_FFFF), RET), "instruction 0: ja jumps past the end"),
        (((insn.JEQ_K, 1, 0, 0), RET), "instruction 0: jeq jumps past the end"),
        (((insn.JGT_X, 0, 1, 0), RET), "instruction 0: jgt jumps past the end"),
        (((insn.LD_ABS, 0, 0, 64), RET), "instruction 0: load from offset 64"),
        (((insn.LD_ABS, 0, 0, 2), RET), "instruction 0: load from offset 2"),
        # SKF_AD_OFF, the socket filters' ancillary data
        (((insn.LD_ABS, 0, 0, 0xFFFF_F000), RET), "load from offset 4294963200"),
        # half words and bytes are for socket filters
        (((insn.BPF_LD | 0x08 | insn.BPF_ABS, 0, 0, 0), RET), "no instruction with code 0x0028"),
        (((insn.BPF_LD | 0x10 | insn.BPF_ABS, 0, 0, 0), RET), "no instruction with code 0x0030"),
        (((insn.BPF_LD | 0x40, 0, 0, 0), RET), "no instruction with code 0x0040"),  # BPF_IND
        (((insn.BPF_LDX | insn.BPF_ABS, 0, 0, 0), RET), "no instruction with code 0x0021"),
        # modulo passes the classic checker, not seccomp's
        (((insn.BPF_ALU | insn.BPF_MOD, 0, 0, 3), RET), "no instruction with code 0x0094"),
        (((insn.BPF_RET | insn.BPF_X, 0, 0, 0),), "no instruction with code 0x000e"),
        (((insn.NEG | insn.BPF_X, 0, 0, 0), RET), "no instruction with code 0x008c"),
        (((insn.JEQ_K | 0x100, 0, 0, 0), RET), "no instruction with code 0x0115"),
        (((insn.DIV_K, 0, 0, 0), RET), "instruction 0: division by the constant 0"),
        (((insn.LSH_K, 0, 0, 32), RET), "instruction 0: shift by 32: at most 31"),
        (((insn.RSH_K, 0, 0, 0xFFFF_FFFF), RET), "instruction 0: shift by 4294967295: at most 31"),
        (((insn.ST, 0, 0, 16), RET), "instruction 0: M[16]: scratch memory ends at M[15]"),
        (((insn.STX, 0, 0, 16), RET), "instruction 0: M[16]"),
        (((insn.LD_MEM, 0, 0, 0), RET), "instruction 0: M[0] is read where nothing may have been written"),
        (((insn.LDX_MEM, 0, 0, 3), RET), "instruction 0: M[3] is read"),
        # written on one of two ways only
        (((insn.JEQ_K, 0, 1, 0), (insn.ST, 0, 0, 5), (insn.LD_MEM, 0, 0, 5), RET), "instruction 2: M[5] is read"),
        # what runs on into a jump's target counts too
        (((insn.JEQ_K, 1, 0, 0), (insn.ST, 0, 0, 1), (insn.LD_MEM, 0, 0, 1), RET), "instruction 2: M[1] is read"),
    ],
)
def test_what_the_kernel_refuses_is_refused_with_place_and_reason(insns, reason):
    with pytest.raises(BpfError) as caught:
        validate(insns)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "insns",
    [
        (RET,),
        (RET,) * 4096,
        ((insn.RET_A, 0, 0, 0),),
        ((insn.LD_ABS, 0, 0, 60), RET),
        ((insn.LSH_K, 0, 0, 31), RET),
        ((insn.LSH_X, 0, 0, 99), RET),  # k means nothing here
        ((insn.DIV_X, 0, 0, 0), RET),
        ((insn.RET_K, 255, 255, 0),),  # nor do jt and jf outside of jumps
        ((insn.ST, 0, 0, 15), (insn.LD_MEM, 0, 0, 15), RET),
        # written on both ways
        ((insn.STX, 0, 0, 2), (insn.JEQ_K, 1, 0, 0), (insn.ST, 0, 0, 1), (insn.LDX_MEM, 0, 0, 2), RET),
        # after a jump that nothing lands behind, the kernel takes everything for written
        ((insn.JA, 0, 0, 1), (insn.LD_MEM, 0, 0, 9), RET),
        # a return does not end its scan: what was written before one counts after it
        ((insn.ST, 0, 0, 4), RET, (insn.LD_MEM, 0, 0, 4), RET),
        ((insn.JEQ_K, 255, 0, 0),) + (RET,) * 256,
    ],
)
def test_what_the_kernel_takes_is_taken(insns):
    validate(insns)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "at least one instruction"),
        (b"\x06", "1 bytes"),
        (b"\x7fELF" + bytes(60), "no instruction with code"),
        (bytes(8 * 5000), "5000 instructions"),
        (b"#!/bin/sh\n" * 8, "no instruction with code"),
    ],
)
def test_bytes_that_are_no_program_are_refused_in_words(raw, reason):
    for order in (None, False, True):
        with pytest.raises(BpfError, match=reason):
            from_bytes(raw, big_endian=order)


def test_bytes_come_back_as_they_were():
    insns = ((insn.LD_ABS, 0, 0, 4), (insn.JEQ_K, 0, 1, S390X), RET, (insn.RET_K, 0, 0, 0))
    for big_endian in (False, True):
        program = Program(insns, big_endian)
        raw = to_bytes(program)
        assert raw[:2] == (b"\x00\x20" if big_endian else b"\x20\x00")
        assert from_bytes(raw, big_endian) == program


@pytest.mark.parametrize(
    ("audit", "order", "big_endian"),
    [
        (X86_64, "<", False),
        (S390X, ">", True),
        (S390X, "<", True),  # as the corpus has them: written down on another machine
        (0x1234, "<", False),
    ],
)
def test_the_byte_order_is_found_out(audit, order, big_endian):
    insns = ((insn.LD_ABS, 0, 0, 4), (insn.JEQ_K, 0, 1, audit), RET, (insn.RET_K, 0, 0, 0))
    raw = b"".join(pack(f"{order}HBBI", *one) for one in insns)
    assert from_bytes(raw) == Program(insns, big_endian)


def test_the_architectures_that_a_program_tests_for_are_named_in_order():
    load_arch, load_nr = (insn.LD_ABS, 0, 0, insn.ARCH), (insn.LD_ABS, 0, 0, insn.NR)
    insns = (load_arch, (insn.JEQ_K, 1, 0, S390X), (insn.JEQ_K, 0, 2, X86_64), load_nr, (insn.JEQ_K, 0, 0, 9), RET)
    assert compared_arches(insns) == (S390X, X86_64)
