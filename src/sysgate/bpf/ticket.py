"""Where the launch ticket's secret words stand in a program, and how they get there.

The compiler leaves them zero: so a program is digested and proved, and each launch has its own words (MECHANISMS §1).
Nothing else it emits uses XOR.
"""

from __future__ import annotations

from sysgate.bpf.insn import XOR_K
from sysgate.bpf.program import Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

WORDS = 6
"""How many 32-bit words a ticket has: args[3], args[4] and args[5], the low half of each first."""


def slots(program: Program) -> tuple[int, ...]:
    """The indexes of the XOR instructions, in sixes: each six is one block that asks for the same six words."""
    return tuple(index for index, (code, _, _, _) in enumerate(program.insns) if code == XOR_K)


def patch(program: Program, words: Sequence[int]) -> Program:
    """The program that lets the six words pass. words: 32 bits each, in the order of the arguments' halves."""
    insns = list(program.insns)
    for place, index in enumerate(slots(program)):
        code, jt, jf, _ = insns[index]
        insns[index] = code, jt, jf, words[place % WORDS]
    return Program(tuple(insns), program.big_endian)
