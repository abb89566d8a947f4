"""What becomes of a policy's answers in the program that is loaded, so that refusals can be explained.

A refusal beats a notification in the kernel's ranking, so a notification must take its place (kernel/seccomp.c,
seccomp_run_filters). But a supervisor can only imitate a kill, and badly where SIGSYS is caught, ignored or blocked, or
where one thread is to die. So the kernel keeps the kill in its hands as well: a refused call whose instruction pointer
lies in the upper half of the address space, which is the kernel's own, is killed without asking. A program's own
instructions lie below; only its jumps into x86_64's vsyscall page come with a pointer above (emulate_vsyscall), and
those, where refused, get the kernel's kill unexplained. A tracer can set the pointer between the entry into a call and
its filter (ptrace(2): seccomp runs after the syscall-entry stop since Linux 4.8), and `kill` does.
"""

from __future__ import annotations

from sysgate.action import KILL_PROCESS, KILL_THREAD, NOTIFY, Action
from sysgate.bpf.program import Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.bpf.program import Insn

# The data of a notification reaches nobody: here it tells the leaves apart until `guard` has seen them.
_MARKED = {"kill_process": Action("notify", 1), "kill_thread": Action("notify", 2)}
_KILLS = ((_MARKED["kill_process"], KILL_PROCESS), (_MARKED["kill_thread"], KILL_THREAD))
_REFUSALS = ("kill_process", "kill_thread", "trap", "errno", "trace", "notify")

# BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JA, BPF_JMP|BPF_JSET|BPF_K, BPF_RET|BPF_K: include/uapi/linux/bpf_common.h
_LOAD, _JUMP, _IF_SET, _RETURN = 0x20, 0x05, 0x45, 0x06
_IP = 8  # offsetof(struct seccomp_data, instruction_pointer)
KERNEL_HALF = 0x8000_0000  # in the pointer's upper word


def explained(action: Action) -> Action:
    """The leaf for a program whose refusals are explained. To be followed by `guard`."""
    return NOTIFY if action.kind == "errno" else _MARKED.get(action.kind, action)


def observed(action: Action) -> Action:
    """The leaf for a program that refuses nothing and reports all it would refuse."""
    return NOTIFY if action.kind in _REFUSALS else action


def accepted(action: Action) -> tuple[Action, ...]:
    """The answers of a guarded program that keep a policy's answer: what a proof of it must find."""
    if action.kind == "errno":
        return (NOTIFY,)
    return (action, NOTIFY) if action.kind in _MARKED else (action,)


def guard(program: Program) -> Program:
    """A program compiled with `explained`, its kills left to the kernel for calls from the kernel's half.

        ret notify|1    →    ja tail;   tail: ld ip.high; jset 0x80000000 ? ret kill_process : ret notify

    Instructions are only replaced and appended: every index stays as it is.
    """
    body: list[Insn] = list(program.insns)
    for marked, kill in _KILLS:
        asked_at = [at for at, insn in enumerate(body) if insn[0] == _RETURN and insn[3] == marked.ret]
        if not asked_at:
            continue
        tail = len(body)
        for at in asked_at:
            body[at] = (_JUMP, 0, 0, tail - at - 1)
        body += [
            (_LOAD, 0, 0, _IP if program.big_endian else _IP + 4),
            (_IF_SET, 0, 1, KERNEL_HALF),
            (_RETURN, 0, 0, kill.ret),
            (_RETURN, 0, 0, NOTIFY.ret),
        ]
    return Program(tuple(body), program.big_endian)
