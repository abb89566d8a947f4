"""Waits that a tracer's stop would end with EINTR though no signal comes, made to go on.

Most calls go on by themselves after such a stop. Those of signal(7), "Interruption of system calls and library
functions by stop signals", do not: the program sees an error that it may not be prepared for. Nothing was done yet when
a call ends so; it can be made anew. What it waits at most would then begin anew too, so the limit is lessened by what
is over: in the register where epoll_wait has it, and for calls that point to it by another limit in the dead memory
below the stack pointer, where any signal handler would write. A socket's own limit (SO_RCVTIMEO) begins anew.

How much is over nobody tells but the scheduler: when a thread that sleeps ran last (/proc/PID/sched, se.exec_start).
Where it does not tell, the limit begins anew.
"""

from __future__ import annotations

import os
from _thread import get_native_id
from functools import cache

from sysgate.facts import calls
from sysgate.kernel import memory, procfs, procmap, ptrace, writing
from sysgate.life.abi import I386, X86_64, abi_of
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sysgate.life.abi import Abi

_WORD = (1 << 64) - 1
_EINTR, _ERESTARTNOHAND = -4 & 0xFFFF_FFFF, -514 & _WORD
_RED_ZONE = 128  # below the stack pointer; System V ABI of x86-64
_SECOND, _MILLISECOND = 10**9, 10**6

# How a call's longest wait is said. A timespec's size is that of its two words.
_MILLISECONDS, _TIMESPEC, _TIMESPEC_OF_32_BITS, _ANEW = 1, 16, 8, 0
_LIMITS: Mapping[str, tuple[int, int]] = {  # → how, in which argument
    "epoll_wait": (_MILLISECONDS, 3),
    "epoll_pwait": (_MILLISECONDS, 3),
    "epoll_pwait2": (_TIMESPEC, 3),
    "semtimedop": (_TIMESPEC, 3),
    "rt_sigtimedwait": (_TIMESPEC, 2),
    "io_getevents": (_TIMESPEC, 4),
    "io_pgetevents": (_TIMESPEC, 4),
}
_LIMITS_OF_32_BITS: Mapping[str, tuple[int, int]] = {
    **{name: _LIMITS[name] for name in ("epoll_wait", "epoll_pwait", "epoll_pwait2")},
    **{f"{name}_time64": _LIMITS[name] for name in ("semtimedop", "rt_sigtimedwait", "io_pgetevents")},
    **{name: (_TIMESPEC_OF_32_BITS, _LIMITS[name][1]) for name in ("rt_sigtimedwait", "io_getevents", "io_pgetevents")},
    "ipc": (_TIMESPEC_OF_32_BITS, 5),
}
_IPC, _SEMTIMEDOP = 117, 4  # of the calls that ipc(2) makes for i386, by its first argument, the one with a limit
_WITHOUT_LIMIT = (
    *("semop", "io_uring_enter", "socketcall", "connect", "accept", "accept4"),
    *("read", "readv", "recvfrom", "recvmsg", "recvmmsg", "recvmmsg_time64"),
    *("write", "writev", "sendto", "sendmsg", "sendmmsg"),
)


class Wait(Value):
    """A timed wait that a thread was seen in. nr: its call. began: when, in nanoseconds of its processor's clock."""

    nr: int
    began: int
    processor: int


def look(tid: int) -> Wait | None:
    """The timed wait a thread is in, for `undisturbed` after it was stopped; None where it is in none of those."""
    said = procfs.read(tid, "syscall") or b""
    number = said.partition(b" ")[0]
    if not number.isdigit() or int(number) not in _timed():
        return None
    began = _last_ran(tid)
    fields = (procfs.read(tid, "stat") or b"").rpartition(b")")[2].split()
    return None if began is None or len(fields) < 37 else Wait(int(number), began, int(fields[36]))


def undisturbed(tid: int, seen: Wait | None = None) -> list[int]:
    """The registers of a thread at a stop, with which the stop leaves no trace in a call that it interrupted.

    seen: what it was seen to wait in shortly before.
    """
    registers = ptrace.registers(tid)
    if registers[ptrace.RAX] & 0xFFFF_FFFF != _EINTR or registers[ptrace.ORIG_RAX] >> 63:
        return registers
    abi, nr = abi_of(registers), registers[ptrace.ORIG_RAX]
    limit = _made_anew(abi.name).get(nr)
    if limit is None:
        return registers
    if seen is not None and seen.nr == nr:
        now = _now(seen.processor)
        if now is not None:
            _lessen(tid, registers, abi, limit, max(now - seen.began, 0))
    # The kernel makes it anew, unless a handler is to run first: then the EINTR was due.
    registers[ptrace.RAX] = _ERESTARTNOHAND
    ptrace.set_registers(tid, registers)
    return registers


def _lessen(tid: int, registers: list[int], abi: Abi, limit: tuple[int, int], over: int) -> None:
    how, argument = limit
    if abi is I386 and registers[ptrace.ORIG_RAX] == _IPC and registers[abi.words[0]] != _SEMTIMEDOP:
        return
    register = abi.words[argument]
    value = registers[register]
    if how == _MILLISECONDS:
        if not value >> 31 & 1:  # else it is negative: without end
            registers[register] = max((value & 0x7FFF_FFFF) - over // _MILLISECOND, 0)
    elif how and value:
        registers[register] = _another(tid, registers[ptrace.RSP], value, how, over) or value


def _another(tid: int, sp: int, address: int, size: int, over: int) -> int | None:
    """The address of a lesser limit than that at an address; None where there is no place for it."""
    raw = memory.Reader().read(tid, address, size)
    half, place = size // 2, sp - _RED_ZONE - size & ~15
    stack = procmap.mapping_of(tid, sp)
    # Other threads' stacks are no stacks to everybody: Go keeps many small ones side by side.
    if len(raw) < size or stack is None or stack.name != b"[stack]" or place < stack.low:
        return None
    seconds, rest = (int.from_bytes(raw[at : at + half], "little") for at in (0, half))
    left = max(seconds * _SECOND + rest - over, 0)
    data = b"".join(word.to_bytes(half, "little") for word in divmod(left, _SECOND))
    return place if writing.write(tid, place, data) else None


# ---- the scheduler's clock


def _last_ran(tid: int) -> int | None:
    # fs/proc, kernel/sched/debug.c: proc_sched_show_task; milliseconds with six decimals
    _, found, rest = (procfs.read(tid, "sched") or b"").partition(b"\nse.exec_start")
    number = rest.partition(b"\n")[0].rpartition(b":")[2].strip().replace(b".", b"")
    return int(number) if found and number.isdigit() else None


def _now(processor: int) -> int | None:
    # Each processor has a clock of its own, which stands still while a hypervisor has it.
    everywhere = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, (processor,))
    except OSError:
        return None  # not one of those this process may use
    try:
        os.sched_yield()  # which brings the clock reading of what runs up to date
        return _last_ran(get_native_id())
    finally:
        os.sched_setaffinity(0, everywhere)


# ---- tables, made when first asked for


@cache
def _made_anew(abi: str) -> Mapping[int, tuple[int, int]]:
    limits = _LIMITS_OF_32_BITS if abi == I386.name else _LIMITS
    names = {**dict.fromkeys(_WITHOUT_LIMIT, (_ANEW, 0)), **limits}
    numbers = {calls.number(abi, name): limit for name, limit in names.items()}
    return {nr: limit for nr, limit in numbers.items() if nr is not None}


@cache
def _timed() -> frozenset[int]:
    # /proc does not say which of the two ABIs a number is of.
    return frozenset(nr for abi in (X86_64, I386) for nr, (how, _) in _made_anew(abi.name).items() if how)
