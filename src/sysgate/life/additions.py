"""What sysgate adds to a program when it loads it, taken away again: the policy, seen in the kernel's own copy."""

from __future__ import annotations

from sysgate.action import NOTIFY
from sysgate.bpf import ticket
from sysgate.bpf.program import Program
from sysgate.supervise import leaf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.bpf.program import Insn

# include/uapi/linux/bpf_common.h
_LOAD, _JUMP, _IF_EQUAL, _IF_SET, _RETURN = 0x20, 0x05, 0x15, 0x45, 0x06
_ARGS_3 = 16 + 8 * 3  # offsetof(struct seccomp_data, args[3])


def without(program: Program) -> Program:
    """The program without the launch ticket and without the guard of its explained kills, which are kills again.

    Refusals by errno stay notifications: their numbers only the supervisor knows. Other programs stay as they are.
    """
    body = list(program.insns)
    _unguard(body, high_at=8 if program.big_endian else 12)
    _withdraw(body, ticket.slots(program))
    return Program(tuple(body), program.big_endian)


def _unguard(body: list[Insn], high_at: int) -> None:
    for at in range(len(body) - 3):
        load, test, kill, ask = body[at : at + 4]
        guards = load[0] == _LOAD and load[3] == high_at and test == (_IF_SET, 0, 1, leaf.KERNEL_HALF)
        if guards and kill[0] == _RETURN and ask == (_RETURN, 0, 0, NOTIFY.ret):
            body[at] = kill


def _withdraw(body: list[Insn], slots: tuple[int, ...]) -> None:
    for first in range(0, len(slots) - ticket.WORDS + 1, ticket.WORDS):
        six = slots[first : first + ticket.WORDS]
        # The six halves of args[3], args[4] and args[5], each loaded just before its XOR, and one test of them all.
        loads = [body[at - 1] for at in six]
        if [(code, k) for code, _, _, k in loads] != [(_LOAD, _ARGS_3 + 4 * half) for half in range(ticket.WORDS)]:
            continue
        end = next((at for at in range(six[-1], min(six[-1] + 4, len(body))) if body[at][0] == _IF_EQUAL), None)
        if end is not None and body[end][3] == 0:
            # Past the whole block: its last jump may be shared with tests that have not looked at the words.
            start = six[0] - 1
            body[start] = (_JUMP, 0, 0, end + body[end][2] - start)
