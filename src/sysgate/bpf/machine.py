"""Runs a seccomp-BPF program on one call, as the kernel would, and counts the steps."""

from __future__ import annotations

from sysgate.bpf import insn
from sysgate.errors import BpfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.bpf.program import Insn, Program

_WORD = 0xFFFF_FFFF


def words(audit: int, nr: int, args: Sequence[int], ip: int, *, big_endian: bool) -> tuple[int, ...]:
    """struct seccomp_data as sixteen 32-bit words, each as a load on that machine sees it.

    audit, nr: taken modulo 2**32. args: up to six, missing ones are 0; they and ip modulo 2**64.
    """
    halves = [nr & _WORD, audit & _WORD]
    for value in (ip, *args, *(0,) * (6 - len(args))):
        low, high = value & _WORD, value >> 32 & _WORD
        halves += (high, low) if big_endian else (low, high)
    return tuple(halves)


def run(program: Program, audit: int, nr: int, args: Sequence[int] = (), ip: int = 0) -> tuple[int, int]:
    """What the program returns for a call, as an unsigned 32-bit number, and how many instructions that took.

    audit: the AUDIT_ARCH value. nr, args and ip as in `words`. The program must be valid; one that is not
    raises BpfError where it goes wrong.
    """
    data = words(audit, nr, args, ip, big_endian=program.big_endian)
    try:
        return run_words(program, data)
    except IndexError:
        raise BpfError("the program runs past its end, its data or its scratch memory") from None


# Arithmetic is 32 bits wide with wrap-around, as BPF_ALU is in the eBPF that classic programs become
# (net/core/filter.c, bpf_convert_filter). Shifts by X take its low five bits (kernel/bpf/core.c,
# ___bpf_prog_run, SHT; the JITs' shift instructions do the same). Division by an X of 0 ends the program
# with 0, "for cBPF programs, this was always return 0".
def run_words(program: Program, data: Sequence[int]) -> tuple[int, int]:
    """As `run`, on the sixteen words of `words`. The program must be valid."""
    insns = program.insns
    a = x = pc = steps = 0
    memory = [0] * insn.BPF_MEMWORDS
    while True:
        code, jt, jf, k = insns[pc]
        pc += 1
        steps += 1
        # In the order of what real programs execute most.
        if code == insn.JEQ_K:
            pc += jt if a == k else jf
        elif code == insn.LD_ABS:
            a = data[k >> 2]
        elif code == insn.JGE_K:
            pc += jt if a >= k else jf
        elif code == insn.JGT_K:
            pc += jt if a > k else jf
        elif code == insn.RET_K:
            return k, steps
        elif code == insn.JA:
            pc += k
        elif code == insn.JSET_K:
            pc += jt if a & k else jf
        elif code == insn.AND_K:
            a &= k
        elif code == insn.RET_A:
            return a, steps
        elif code == insn.ST:
            memory[k] = a
        elif code == insn.STX:
            memory[k] = x
        elif code == insn.LD_MEM:
            a = memory[k]
        elif code == insn.LDX_MEM:
            x = memory[k]
        elif code == insn.LD_IMM:
            a = k
        elif code == insn.LDX_IMM:
            x = k
        elif code == insn.TAX:
            x = a
        elif code == insn.TXA:
            a = x
        elif code == insn.JEQ_X:
            pc += jt if a == x else jf
        elif code == insn.JGT_X:
            pc += jt if a > x else jf
        elif code == insn.JGE_X:
            pc += jt if a >= x else jf
        elif code == insn.JSET_X:
            pc += jt if a & x else jf
        elif code == insn.LD_LEN:
            a = insn.SECCOMP_DATA_SIZE
        elif code == insn.LDX_LEN:
            x = insn.SECCOMP_DATA_SIZE
        elif code == insn.NEG:
            a = -a & _WORD
        elif code & 7 == insn.BPF_ALU and code in insn.MNEMONICS:
            operand = x if code & insn.BPF_X else k
            if code & 0xF0 == insn.BPF_DIV and operand == 0:
                return 0, steps
            a = alu(code & 0xF0, a, operand)
        else:
            raise BpfError(f"instruction {pc - 1}: seccomp has no instruction with code {code:#06x}")


def path(program: Program, audit: int, nr: int, args: Sequence[int] = (), ip: int = 0) -> tuple[int, ...]:
    """The instructions that a valid program executes for a call, by index, in order."""
    from sysgate.value import replace

    visited = _Visited(program.insns)
    run(replace(program, insns=visited), audit, nr, args, ip)
    return tuple(visited.seen)


class _Visited:
    """Instructions that remember which of them were asked for."""

    def __init__(self, insns: Sequence[Insn]) -> None:
        self.insns = insns
        self.seen: list[int] = []

    def __getitem__(self, pc: int) -> Insn:
        self.seen.append(pc)
        return self.insns[pc]


def alu(operation: int, a: int, operand: int) -> int:
    """a (operation) operand on unsigned 32-bit words. operation: BPF_ADD … BPF_XOR; a divisor is not 0."""
    if operation == insn.BPF_AND:
        return a & operand
    if operation == insn.BPF_OR:
        return a | operand
    if operation == insn.BPF_XOR:
        return a ^ operand
    if operation == insn.BPF_ADD:
        return (a + operand) & _WORD
    if operation == insn.BPF_SUB:
        return (a - operand) & _WORD
    if operation == insn.BPF_MUL:
        return (a * operand) & _WORD
    if operation == insn.BPF_DIV:
        return a // operand
    if operation == insn.BPF_LSH:
        return (a << (operand & 31)) & _WORD
    return a >> (operand & 31)
