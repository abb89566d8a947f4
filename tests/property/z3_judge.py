"""Programs as z3 formulas: a judge that shares nothing with the prover, nor with the machine."""

from __future__ import annotations

import z3

from sysgate.bpf import insn
from sysgate.bpf.program import Program

WORD = 0xFFFF_FFFF


def words(prefix: str = "") -> list[z3.BitVecRef]:
    """struct seccomp_data as sixteen unknown words, in the order of its bytes."""
    return [z3.BitVec(f"{prefix}word{index}", 32) for index in range(16)]


def returned(program: Program, data: list[z3.BitVecRef]) -> z3.BitVecRef:
    """What a program returns for the data: run once from the top, states joined where ways meet."""
    zero = z3.BitVecVal(0, 32)
    states: dict[int, tuple] = {0: (z3.BoolVal(True), zero, zero, (zero,) * 16)}
    result = zero

    def reach(pc, condition, a, x, memory):
        if pc not in states:
            states[pc] = (condition, a, x, memory)
            return
        other, b, y, kept = states[pc]
        states[pc] = (
            z3.Or(other, condition),
            z3.If(condition, a, b),
            z3.If(condition, x, y),
            tuple(z3.If(condition, one, two) for one, two in zip(memory, kept)),
        )

    for pc, (code, jt, jf, k) in enumerate(program.insns):
        if pc not in states:
            continue
        condition, a, x, memory = states.pop(pc)
        operand = x if code & insn.BPF_X else z3.BitVecVal(k, 32)
        kind = code & 7
        if code in insn.JUMPS:
            test = {
                insn.BPF_JEQ: a == operand,
                insn.BPF_JGT: z3.UGT(a, operand),
                insn.BPF_JGE: z3.UGE(a, operand),
                insn.BPF_JSET: a & operand != 0,
            }[code & 0xF0]
            reach(pc + 1 + jt, z3.And(condition, test), a, x, memory)
            reach(pc + 1 + jf, z3.And(condition, z3.Not(test)), a, x, memory)
            continue
        if code == insn.JA:
            reach(pc + 1 + k, condition, a, x, memory)
            continue
        if kind == insn.BPF_RET:
            result = z3.If(condition, a if code == insn.RET_A else z3.BitVecVal(k, 32), result)
            continue
        if kind == insn.BPF_ALU:
            operation = code & 0xF0
            if operation == insn.BPF_DIV:
                # A division by 0 ends the program; the result starts as the 0 that it returns.
                condition = z3.And(condition, operand != 0)
            shift = operand & 31
            a = {
                insn.BPF_ADD: lambda: a + operand,
                insn.BPF_SUB: lambda: a - operand,
                insn.BPF_MUL: lambda: a * operand,
                insn.BPF_DIV: lambda: z3.UDiv(a, operand),
                insn.BPF_OR: lambda: a | operand,
                insn.BPF_AND: lambda: a & operand,
                insn.BPF_XOR: lambda: a ^ operand,
                insn.BPF_LSH: lambda: a << shift,
                insn.BPF_RSH: lambda: z3.LShR(a, shift),
                insn.BPF_NEG: lambda: -a,
            }[operation]()
        elif code == insn.LD_ABS:
            a = data[k >> 2]
        elif code in (insn.ST, insn.STX):
            memory = (*memory[:k], a if code == insn.ST else x, *memory[k + 1 :])
        elif code == insn.TAX:
            x = a
        elif kind in (insn.BPF_LDX, insn.BPF_LD, insn.BPF_MISC):
            value = {
                insn.LD_IMM: k, insn.LDX_IMM: k, insn.LD_LEN: 64, insn.LDX_LEN: 64,
            }.get(code)  # fmt: skip
            loaded = x if code == insn.TXA else z3.BitVecVal(value, 32) if value is not None else memory[k]
            if kind == insn.BPF_LDX:
                x = loaded
            else:
                a = loaded
        else:
            raise AssertionError(f"no instruction: {code:#x}")
        reach(pc + 1, condition, a, x, memory)
    return result


def answer(ret: z3.BitVecRef) -> z3.BitVecRef:
    """A return value as the kernel understands it (kernel/seccomp.c, __seccomp_filter)."""
    kind, data = ret & 0xFFFF_0000, ret & 0xFFFF
    result = z3.BitVecVal(0x8000_0000, 32)
    for known in (0, 0x7FC0_0000, 0x7FFC_0000, 0x7FFF_0000):
        result = z3.If(kind == known, kind, result)
    result = z3.If(z3.Or(kind == 0x0003_0000, kind == 0x7FF0_0000), ret, result)
    errno = kind | z3.If(z3.UGT(data, 4095), z3.BitVecVal(4095, 32), data)
    return z3.If(kind == 0x0005_0000, errno, result)


def equal(one: Program, two: Program, seconds: float = 20) -> bool | None:
    """Do two programs answer every call alike? None where z3 does not know within the time."""
    data = words()
    solver = z3.Solver()
    solver.set("timeout", int(seconds * 1000))
    solver.add(answer(returned(one, data)) != answer(returned(two, data)))
    verdict = solver.check()
    return None if verdict == z3.unknown else verdict == z3.unsat
