"""Stopping a thread, looking at it, changing its registers: ptrace(2), for x86_64.

Every function raises KernelError where the kernel refuses; ESRCH where the thread is gone or not stopped.
"""

from __future__ import annotations

import os
from _struct import unpack

from sysgate.kernel import libc

_NR = 101

# include/uapi/linux/ptrace.h
_POKEUSER, _CONT, _GETREGS, _SETREGS, _DETACH, _SYSCALL = 6, 7, 12, 13, 17, 24
_GETEVENTMSG, _GETSIGINFO, _SEIZE, _INTERRUPT, _LISTEN = 0x4201, 0x4202, 0x4206, 0x4207, 0x4208
_GETSIGMASK, _SETSIGMASK, _GET_FILTER = 0x420A, 0x420B, 0x420C
O_TRACESYSGOOD, O_TRACEFORK, O_TRACEVFORK, O_TRACECLONE, O_TRACEEXEC, O_TRACEEXIT = 1, 2, 4, 8, 16, 64
O_EXITKILL = 1 << 20
EVENT_FORK, EVENT_VFORK, EVENT_CLONE, EVENT_EXEC, EVENT_EXIT, EVENT_STOP = 1, 2, 3, 4, 6, 128
SYSCALL_STOP = 0x80 | 5  # SIGTRAP, as O_TRACESYSGOOD marks it

# struct user_regs_struct, arch/x86/include/asm/user_64.h: 27 words, these among them.
RBP, RBX, R10, R9, R8, RAX, RCX, RDX, RSI, RDI = 4, 5, 7, 8, 9, 10, 11, 12, 13, 14
ORIG_RAX, RIP, CS, RSP = 15, 16, 17, 19
_COUNT = 27
CS_32 = 0x23  # __USER32_CS: the thread runs 32-bit code

_WALL = 0x40000000


def _request(what: str, request: int, tid: int, address: int = 0, data: int = 0) -> int:
    return libc.done(f"ptrace: {what} of thread {tid}", libc.call(_NR, request, tid, address, data))


def seize(tid: int, options: int = 0) -> None:
    """Trace a thread without stopping it. Options are O_*. EPERM: traced already, or not ours to trace."""
    _request("tracing", _SEIZE, tid, 0, options)


def interrupt(tid: int) -> None:
    """Ask a seized thread to stop: an EVENT_STOP as soon as it can, at the latest before its next instruction."""
    _request("interrupting", _INTERRUPT, tid)


def detach(tid: int, signal: int = 0) -> None:
    """Let a stopped thread go, with a signal if not 0."""
    _request("releasing", _DETACH, tid, 0, signal)


def resume(tid: int, signal: int = 0) -> None:
    """Let a stopped thread run on, traced."""
    _request("resuming", _CONT, tid, 0, signal)


def resume_to_syscall(tid: int, signal: int = 0) -> None:
    """Let a stopped thread run to its next entry into, or exit from, a system call."""
    _request("resuming", _SYSCALL, tid, 0, signal)


def listen(tid: int) -> None:
    """Leave a thread in its group stop, but hear of what ends it (a SIGCONT)."""
    _request("leaving stopped", _LISTEN, tid)


def registers(tid: int) -> list[int]:
    """The 27 words of a stopped thread's user_regs_struct; indexes are RAX, RIP, …"""
    raw = bytearray(8 * _COUNT)
    _request("reading the registers", _GETREGS, tid, 0, libc.address(raw))
    return list(unpack(f"={_COUNT}Q", raw))


def set_registers(tid: int, values: list[int]) -> None:
    """Give a stopped thread these 27 words, modulo 2**64."""
    words = libc.words(*values)
    _request("writing the registers", _SETREGS, tid, 0, libc.address(words))


def block_signals(tid: int, mask: int) -> None:
    """Set the signals a stopped thread blocks: bit N-1 stands for signal N."""
    word = libc.words(mask)
    _request("blocking signals", _SETSIGMASK, tid, 8, libc.address(word))


def blocked_signals(tid: int) -> int:
    """The signals a stopped thread blocks, as `block_signals` takes them.

    Where it waits with a mask of its own for the time being (sigsuspend, ppoll, …) this is the one it goes back to.
    """
    word = bytearray(8)
    _request("asking for the blocked signals", _GETSIGMASK, tid, 8, libc.address(word))
    return int.from_bytes(word, "little")


def event_message(tid: int) -> int:
    """What goes with the event a thread stopped for: the new thread's number, or the exit status."""
    word = bytearray(8)
    _request("asking", _GETEVENTMSG, tid, 0, libc.address(word))
    return int.from_bytes(word, "little")


def signal_info(tid: int) -> bytes:
    """The 128 bytes of siginfo_t of the signal that a thread stopped for."""
    raw = bytearray(128)
    _request("asking about the signal", _GETSIGINFO, tid, 0, libc.address(raw))
    return bytes(raw)


def poke_user(tid: int, offset: int, value: int) -> None:
    """Write a word of a stopped thread's struct user (its debug registers, for one)."""
    _request("writing the debug registers", _POKEUSER, tid, offset, value)


def seccomp_filter(tid: int, index: int) -> bytes | None:
    """One of a stopped thread's filters as struct sock_filter[], 0 the first installed; None where it has no more.

    Raises KernelError EACCES without CAP_SYS_ADMIN, or when the caller is itself under seccomp.
    Source: PTRACE_SECCOMP_GET_FILTER, kernel/seccomp.c, seccomp_get_filter.
    """
    count = libc.call(_NR, _GET_FILTER, tid, index, 0)
    if count == -2:  # ENOENT
        return None
    libc.done(f"ptrace: reading the filters of thread {tid}", count)
    raw = bytearray(count * 8)
    _request("reading the filters", _GET_FILTER, tid, index, libc.address(raw))
    return bytes(raw)


def wait(tid: int) -> int:
    """The status of a traced thread's next stop, or of its end, as waitpid(2) has it. Only for the tracing process."""
    return os.waitpid(tid, _WALL)[1]


def poll(tid: int) -> int | None:
    """As `wait`, but at once: None where it goes on."""
    found, status = os.waitpid(tid, _WALL | os.WNOHANG)
    return status if found else None


def wait_any() -> tuple[int, int]:
    """(thread, status) of the next stop or end among all that this process traces or begot."""
    return os.waitpid(-1, _WALL)


def event(status: int) -> int:
    """Which EVENT_* a stop is; 0 for others."""
    return status >> 16
