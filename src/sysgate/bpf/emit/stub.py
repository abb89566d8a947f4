"""The stub: machine code that makes a list of system calls, in a child it creates or in the caller itself.

What a launch does between clone and execve is data, not code: `Orders` in memory, a list of steps, each one system
call with its arguments, the place for its answer, and the steps to go on with where it succeeds and where it fails.
So everything that is particular to a launch is decided, and tested, in Python; and between a filter and the execve
behind it nothing runs but these few instructions, which touch no memory outside the orders and no stack. That is why
the child can share the parent's memory (vfork), and why a filter that allows nothing else can stand in between.
"""

from __future__ import annotations

from sysgate.bpf.emit.x86_64 import (
    ABOVE_OR_EQUAL,
    EQUAL,
    NOT_EQUAL,
    R8,
    R9,
    R10,
    RAX,
    RBP,
    RBX,
    RCX,
    RDI,
    RDX,
    RSI,
    Assembler,
)

# Orders: seven words. All are filled in by the caller but PID and OLD_MASK.
CLONE, CLONE_ARGUMENTS, AT, PID, OLD_MASK, ALL_SIGNALS = 0, 8, 24, 32, 40, 48
ORDERS_BYTES = 56
"""CLONE: the number of the call that makes the child, 0 to stay in the caller. CLONE_ARGUMENTS: its first two, the
others are 0. AT: the address of the first step, and then of the one that is being made. PID: what it returned.
OLD_MASK: the signals blocked before; all are blocked from before it on, and the caller gets these back. ALL_SIGNALS:
the mask to set meanwhile."""

# A step: eleven words.
NUMBER, ARGUMENTS, RESULT, STORE, ON_SUCCESS, ON_ERROR = 0, 8, 56, 64, 72, 80
STEP_BYTES = 88
"""NUMBER: the call. ARGUMENTS: six words. RESULT: what it returned. STORE: an address that gets the result too, 0 for
none. ON_SUCCESS, ON_ERROR: the address of the next step; 0 returns to the caller, and ends a child by SIGILL."""

# arch/x86/entry/syscalls/syscall_64.tbl
_RT_SIGPROCMASK = 14
_SIG_SETMASK = 2


def code() -> bytes:
    """A function `void stub(struct orders *)` for x86-64."""
    a = Assembler()
    a.push(RBX)
    a.push(RBP)
    a.copy(RBX, RDI)
    _set_mask(a, new=ALL_SIGNALS, old=OLD_MASK)

    a.load(RAX, RBX, CLONE)
    a.test(RAX)
    a.jump_if(EQUAL, "steps")
    a.load(RDI, RBX, CLONE_ARGUMENTS)
    a.load(RSI, RBX, CLONE_ARGUMENTS + 8)
    for register in (RDX, R10, R8, R9):
        a.set(register, 0)
    a.system_call()
    a.test(RAX)
    a.jump_if(EQUAL, "steps")
    a.store(RBX, PID, RAX)

    a.label("return")
    _set_mask(a, new=OLD_MASK, old=None)
    a.pop(RBP)
    a.pop(RBX)
    a.ret()

    a.label("steps")
    a.load(RBP, RBX, AT)
    a.label("step")
    a.store(RBX, AT, RBP)
    a.load(RAX, RBP, NUMBER)
    for index, register in enumerate((RDI, RSI, RDX, R10, R8, R9)):
        a.load(register, RBP, ARGUMENTS + 8 * index)
    a.system_call()
    a.store(RBP, RESULT, RAX)
    a.load(RCX, RBP, STORE)
    a.test(RCX)
    a.jump_if(EQUAL, "stored")
    a.store(RCX, 0, RAX)
    a.label("stored")
    a.compare(RAX, -4095)  # MAX_ERRNO, include/linux/err.h: from here up it is an error
    a.jump_if(ABOVE_OR_EQUAL, "failed")
    a.load(RBP, RBP, ON_SUCCESS)
    a.jump("next")
    a.label("failed")
    a.load(RBP, RBP, ON_ERROR)
    a.label("next")
    a.test(RBP)
    a.jump_if(NOT_EQUAL, "step")
    a.load(RAX, RBX, CLONE)
    a.test(RAX)
    a.jump_if(EQUAL, "return")
    a.die()  # a child on the parent's stack
    return a.code()


def _set_mask(a: Assembler, *, new: int, old: int | None) -> None:
    a.set(RDI, _SIG_SETMASK)
    a.address(RSI, RBX, new)
    if old is None:
        a.set(RDX, 0)
    else:
        a.address(RDX, RBX, old)
    a.set(R10, 8)
    a.set(RAX, _RT_SIGPROCMASK)
    a.system_call()
