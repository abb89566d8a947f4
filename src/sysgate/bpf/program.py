"""A seccomp-BPF program as a value: read from bytes, written to bytes, checked by the kernel's rules."""

from __future__ import annotations

from sysgate.bpf import insn
from sysgate.errors import BpfError
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

Insn = tuple[int, int, int, int]
"""One instruction: code, jt, jf, k, as in struct sock_filter (include/uapi/linux/filter.h)."""

_SIZE = 8  # sizeof(struct sock_filter)
_AUDIT_ARCH_LE = 0x4000_0000


class Program(Value):
    """Classic BPF instructions for seccomp. big_endian: the byte order of the machine it is for."""

    insns: tuple[Insn, ...]
    big_endian: bool


def from_bytes(raw: bytes, big_endian: bool | None = None) -> Program:
    """The program in raw, a `struct sock_filter` array in the given byte order.

    big_endian=None finds the order out: the bytes are read the way that makes them a valid program, and a
    program that compares its architecture with big-endian ones only is for these, however it was written down.
    Raises BpfError, naming instruction and reason, for anything that the kernel would refuse.
    """
    if big_endian is not None:
        insns = _unpack(raw, big_endian)
        validate(insns)
        return Program(insns, big_endian)
    try:
        insns = _unpack(raw, False)
        validate(insns)
    except BpfError:
        swapped = _unpack(raw, True) if raw and len(raw) % _SIZE == 0 else ()
        try:
            validate(swapped)
        except BpfError:
            pass
        else:
            return Program(swapped, True)
        raise
    return Program(insns, _made_for_big_endian(insns))


def to_bytes(program: Program) -> bytes:
    """The `struct sock_filter` array, in the byte order of the program's machine."""
    order = ">" if program.big_endian else "<"
    from _struct import pack

    flat = [field for one in program.insns for field in one]
    return pack(order + "HBBI" * len(program.insns), *flat)


def compared_arches(insns: Sequence[Insn]) -> tuple[int, ...]:
    """The audit values that a valid program compares its architecture with, in order of appearance."""
    from sysgate.bpf import flow

    found: dict[int, None] = {}
    for (code, _, _, k), state in zip(insns, flow.states(insns)):
        if code == insn.JEQ_K and state is not None and state.word == insn.ARCH and state.mask is None:
            found[k] = None
    return tuple(found)


def validate(insns: Sequence[Insn]) -> None:
    """Raises BpfError where the kernel's seccomp(2) would answer EINVAL for this program, and only there.

    net/core/filter.c: bpf_check_classic, check_load_and_stores; kernel/seccomp.c: seccomp_prepare_filter,
    seccomp_check_filter.
    """
    length = len(insns)
    if not length:
        raise BpfError("a program has at least one instruction")
    if length > insn.BPF_MAXINSNS:
        raise BpfError(f"{length} instructions: the kernel takes at most {insn.BPF_MAXINSNS}")
    for pc, one in enumerate(insns):
        reason = _wrong(one, length - pc - 1)
        if reason:
            raise BpfError(f"instruction {pc}: {reason}")
    if insns[-1][0] not in (insn.RET_K, insn.RET_A):
        raise BpfError(f"instruction {length - 1}: the last instruction is not a return")
    _check_scratch_memory(insns)


def _unpack(raw: bytes, big_endian: bool) -> tuple[Insn, ...]:
    if len(raw) % _SIZE:
        raise BpfError(f"{len(raw)} bytes: a program is a whole number of {_SIZE}-byte instructions")
    if len(raw) > _SIZE * insn.BPF_MAXINSNS:
        raise BpfError(f"{len(raw) // _SIZE} instructions: the kernel takes at most {insn.BPF_MAXINSNS}")
    from _struct import iter_unpack

    return tuple(iter_unpack(">HBBI" if big_endian else "<HBBI", raw))


# An AUDIT_ARCH value says its own byte order: __AUDIT_ARCH_LE, include/uapi/linux/audit.h.
def _made_for_big_endian(insns: tuple[Insn, ...]) -> bool:
    compared = compared_arches(insns)
    if not compared or any(audit & _AUDIT_ARCH_LE for audit in compared):
        return False
    from sysgate.facts import constants

    known = constants.members("audit_arch", "x86_64").values()
    return all(audit in known for audit in compared)


# What is wrong with one instruction that `left` others follow; "" if nothing.
def _wrong(one: Insn, left: int) -> str:
    code, jt, jf, k = one
    name = insn.MNEMONICS.get(code)
    if name is None:
        return f"seccomp has no instruction with code {code:#06x}"
    if code in insn.JUMPS:
        if jt >= left or jf >= left:
            return f"{name} jumps past the end"
    elif code == insn.JA:
        if k >= left:
            return "ja jumps past the end"
    elif code == insn.LD_ABS:
        if k >= insn.SECCOMP_DATA_SIZE or k & 3:
            return f"load from offset {k}: only whole words of struct seccomp_data, 0 … 60, can be loaded"
    elif code in (insn.LD_MEM, insn.LDX_MEM, insn.ST, insn.STX):
        if k >= insn.BPF_MEMWORDS:
            return f"M[{k}]: scratch memory ends at M[{insn.BPF_MEMWORDS - 1}]"
    elif code == insn.DIV_K:
        if k == 0:
            return "division by the constant 0"
    elif code in (insn.LSH_K, insn.RSH_K) and k >= 32:
        return f"shift by {k}: at most 31"
    return ""


# A word of scratch memory may only be read where every way there has written it. As in the kernel the
# scan is in text order, and a return does not end it: what was written before one counts after it.
def _check_scratch_memory(insns: Sequence[Insn]) -> None:
    anything = 0xFFFF
    reaching = [anything] * len(insns)
    written = 0
    for pc, (code, jt, jf, k) in enumerate(insns):
        written &= reaching[pc]
        if code in (insn.ST, insn.STX):
            written |= 1 << k
        elif code in (insn.LD_MEM, insn.LDX_MEM):
            if not written >> k & 1:
                raise BpfError(f"instruction {pc}: M[{k}] is read where nothing may have been written to it")
        elif code == insn.JA:
            reaching[pc + 1 + k] &= written
            written = anything
        elif code in insn.JUMPS:
            reaching[pc + 1 + jt] &= written
            reaching[pc + 1 + jf] &= written
            written = anything
