"""Programs and gates as z3 formulas: a judge that shares nothing with the prover, the machine or the reference."""

from __future__ import annotations

import z3

from sysgate.bpf import insn
from sysgate.bpf.program import Program
from sysgate.policy.ruleset import All, Among, Any, Constant, Expr, Gate, Not, Segment, Shares

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
            a = _alu(operation, a, operand)
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


def _alu(operation: int, a: z3.BitVecRef, operand: z3.BitVecRef) -> z3.BitVecRef:
    shift = operand & 31
    return {
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


def meets(gate: Gate, program: Program, seconds: float = 20) -> bool | None:
    """Does a program answer every call as a gate does? None where z3 does not know within the time."""
    data = words()
    solver = z3.Solver()
    solver.set("timeout", int(seconds * 1000))
    solver.add(answer(returned(program, data)) != answer(due(gate, data)))
    verdict = solver.check()
    return None if verdict == z3.unknown else verdict == z3.unsat


def due(gate: Gate, data: list[z3.BitVecRef]) -> z3.BitVecRef:
    """The return value that a gate asks for, in a reading of its own: on whole arguments, as bit vectors."""
    args = []
    for index in range(6):
        one, two = data[4 + 2 * index], data[5 + 2 * index]
        args.append(z3.Concat(one, two) if gate.big_endian else z3.Concat(two, one))
    result = z3.BitVecVal(gate.foreign.ret, 32)
    for audit, segments in reversed(gate.entries):
        here = result
        for segment in segments:
            inside = z3.And(z3.UGE(data[0], segment.low), z3.ULE(data[0], segment.high))
            here = z3.If(inside, _strictest(segment, args), here)
        result = z3.If(data[1] == audit, here, result)
    return result


def _strictest(segment: Segment, args: list[z3.BitVecRef]) -> z3.BitVecRef:
    if not segment.rules:
        return z3.BitVecVal(segment.answer.ret, 32)
    won = None
    for rule in segment.rules:
        given = z3.BitVecVal(rule.otherwise.ret, 32)
        for expr, action in reversed(rule.cases):
            given = z3.If(_holds(expr, args), z3.BitVecVal(action.ret, 32), given)
        # As numbers with a sign the actions rank as the kernel has it; of equals the later.
        won = given if won is None else z3.If((given & 0xFFFF_0000) <= (won & 0xFFFF_0000), given, won)
    return won


def _holds(expr: Expr, args: list[z3.BitVecRef]) -> z3.BoolRef:
    if isinstance(expr, Constant):
        return z3.BoolVal(expr.holds)
    if isinstance(expr, Not):
        return z3.Not(_holds(expr.inner, args))
    if isinstance(expr, (All, Any)):
        return (z3.And if isinstance(expr, All) else z3.Or)([_holds(part, args) for part in expr.parts])
    term = expr.term
    bits = args[term.regs[0]]
    if len(term.regs) == 2:
        bits = z3.Concat(z3.Extract(31, 0, args[term.regs[1]]), z3.Extract(31, 0, bits))
    bits = z3.Extract(term.bits - 1, 0, bits)
    if isinstance(expr, Shares):
        return bits & z3.BitVecVal(expr.mask, term.bits) != 0
    if term.mask is not None:
        bits = bits & z3.BitVecVal(term.mask, term.bits)
    # 70 bits hold every value and every constant, so that comparisons are those of integers.
    signed = term.signed and term.mask is None
    number = z3.SignExt(70 - term.bits, bits) if signed else z3.ZeroExt(70 - term.bits, bits)

    def equal(value: int) -> z3.BoolRef:
        if not -(1 << term.bits - 1) <= value < 1 << term.bits:
            return z3.BoolVal(False)
        return bits == z3.BitVecVal(value, term.bits)

    if isinstance(expr, Among):
        return z3.Or([
            equal(low) if high is None else z3.And(number >= low, number <= high) for low, high in expr.items
        ])  # fmt: skip
    return {
        "==": lambda: equal(expr.value),
        "!=": lambda: z3.Not(equal(expr.value)),
        "<": lambda: number < expr.value,
        "<=": lambda: number <= expr.value,
        ">": lambda: number > expr.value,
        ">=": lambda: number >= expr.value,
    }[expr.op]()
