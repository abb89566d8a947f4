"""Programs to try a prover on: random ones with every instruction seccomp takes, and ones with one thing changed."""

from __future__ import annotations

from random import Random

from sysgate.bpf import insn
from sysgate.bpf.program import Insn, Program, validate
from sysgate.errors import BpfError

OFFSETS = (0, 4, 8, 12, 16, 20, 24, 28, 36, 60)
RETURNS = (0x7FFF_0000, 0x7FFF_0001, 0x8000_0000, 0, 0x0005_0001, 0x0005_0FFF, 0x0005_FFFF, 0x0003_0007, 0x1234_0000)
NUMBERS = (
    0,
    1,
    2,
    3,
    5,
    7,
    8,
    31,
    32,
    0x7F,
    0x80,
    0xFF,
    0xFFFF,
    0x1_0000,
    0x4000_0000,
    0x8000_0000,
    0xFFFF_FFFE,
    0xFFFF_FFFF,
)
_ALU = (insn.BPF_ADD, insn.BPF_SUB, insn.BPF_OR, insn.BPF_AND, insn.BPF_LSH, insn.BPF_RSH, insn.BPF_XOR)
_JUMPS = (insn.BPF_JEQ, insn.BPF_JGT, insn.BPF_JGE, insn.BPF_JSET)


def number(random: Random) -> int:
    """A constant: a corner, a corner's neighbour, a few bits, or anything."""
    draw = random.random()
    if draw < 0.5:
        return random.choice(NUMBERS)
    if draw < 0.7:
        return (random.choice(NUMBERS) + random.choice((-2, -1, 1, 2))) & 0xFFFF_FFFF
    if draw < 0.85:
        return 1 << random.randrange(32) | 1 << random.randrange(32)
    return random.getrandbits(32)


def random_program(random: Random, length: int, *, hard: bool = False) -> Program:
    """A valid program of about that length. hard: also multiply and divide."""
    insns: list[Insn] = []
    written: list[int] = []
    operations = (*_ALU, insn.BPF_MUL, insn.BPF_DIV) if hard else _ALU
    while len(insns) < length:
        left = length - len(insns)
        draw = random.random()
        if draw < 0.3:
            insns.append(
                (insn.LD_ABS, 0, 0, random.choice(OFFSETS[:6]) if random.random() < 0.8 else random.choice(OFFSETS))
            )
        elif draw < 0.5:
            code = insn.BPF_ALU | random.choice(operations) | random.choice((insn.BPF_K, insn.BPF_K, insn.BPF_X))
            k = number(random)
            if code in (insn.LSH_K, insn.RSH_K):
                k %= 32
            elif code == insn.DIV_K:
                k = k or 3
            insns.append((code, 0, 0, 0 if code & insn.BPF_X else k))
        elif draw < 0.6:
            choices = [
                (insn.TAX, 0),
                (insn.TXA, 0),
                (insn.LDX_IMM, number(random)),
                (insn.LD_IMM, number(random)),
                (insn.NEG, 0),
            ]
            if not any(code in insn.JUMPS for code, *_ in insns):
                slot = random.randrange(3)
                written.append(slot)
                choices += [(insn.ST, slot), (insn.STX, slot)] * 2
            elif written:
                choices += [(insn.LD_MEM, random.choice(written)), (insn.LDX_MEM, random.choice(written))] * 2
            code, k = random.choice(choices)
            insns.append((code, 0, 0, k))
        elif draw < 0.985:
            code = insn.BPF_JMP | random.choice(_JUMPS) | random.choice((insn.BPF_K,) * 4 + (insn.BPF_X,))
            far = min(left, 6)
            insns.append(
                (code, random.randrange(far), random.randrange(far), 0 if code & insn.BPF_X else number(random))
            )
        elif draw < 0.995:
            insns.append((insn.RET_K, 0, 0, random.choice(RETURNS)))
        else:
            insns.append((insn.RET_A, 0, 0, 0))
    # Jumps that lead past the end end in one of several returns.
    insns += [(insn.RET_K, 0, 0, random.choice(RETURNS)) for _ in range(6)]
    made = Program(tuple(insns), random.random() < 0.2)
    try:
        validate(made.insns)
    except BpfError:  # memory that is read before it is written
        return random_program(random, length, hard=hard)
    return made


def mutant(random: Random, program: Program) -> Program:
    """The program with one field of one instruction changed, still valid."""
    while True:
        insns = list(program.insns)
        place = random.randrange(len(insns))
        insns[place] = _mutated(random, insns[place])
        made = Program(tuple(insns), program.big_endian)
        if made.insns == program.insns:
            continue
        try:
            validate(made.insns)
        except BpfError:
            continue
        return made


def _mutated(random: Random, one: Insn) -> Insn:
    code, jt, jf, k = one
    kind = code & 7
    if code in insn.JUMPS:
        draw = random.randrange(5)
        if draw == 0:
            return code, jf, jt, k
        if draw == 1:
            return code, max(0, jt + random.choice((-1, 1))), jf, k
        if draw == 2:
            return code, jt, max(0, jf + random.choice((-1, 1))), k
        if draw == 3:
            return code & ~0xF0 | random.choice(_JUMPS), jt, jf, k
    elif kind == insn.BPF_ALU and random.random() < 0.5:
        return code & ~0xF0 | random.choice(_ALU), jt, jf, k
    elif code == insn.LD_ABS:
        return code, jt, jf, random.choice(OFFSETS)
    elif kind == insn.BPF_RET:
        return code, jt, jf, random.choice(RETURNS)
    changed = random.choice((k + 1, k - 1, k ^ 1 << random.randrange(32), random.getrandbits(32), 0))
    return code, jt, jf, changed & 0xFFFF_FFFF
