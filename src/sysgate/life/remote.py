"""System calls made by a stopped thread of another process, in whose registers, memory and signals nothing of it is
left to see.

The thread is made to execute an instruction it has anyway: the `syscall` of the vdso. Meanwhile it blocks all signals,
so that each is delivered afterwards, by the kernel and unchanged. It is let go from an EVENT_STOP: only from there does
the kernel go on with a call that the stop interrupted (results -512 … -516, include/linux/errno.h); let go from the
exit of a call, the thread would see such a number as an errno (kernel: arch/x86/kernel/signal.c,
arch_do_signal_or_restart).
"""

from __future__ import annotations

import errno
import os

from sysgate.errors import KernelError
from sysgate.kernel import procfs, ptrace
from sysgate.life.attach_program import passes
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sysgate.bpf.program import Program
    from sysgate.kernel.procfs import Region

WORD = (1 << 64) - 1
_ALL_SIGNALS = WORD
_RED_ZONE = 128  # below the stack pointer; System V ABI of x86-64
_SEARCHED = 1 << 20  # bytes of each mapping
_PROT_READ_WRITE, _MAP_PRIVATE_ANONYMOUS = 3, 0x22
_RESTARTS = range(512, 517)  # ERESTARTSYS … ERESTART_RESTARTBLOCK
_RESTART_BLOCK = 516
_MAX_ERRNO = 4095  # include/linux/err.h


class Abi(Value):
    """How a thread asks the kernel. instruction: its bytes. words: the registers of the arguments."""

    name: str
    audit: int
    instruction: bytes
    words: tuple[int, ...]
    numbers: Mapping[str, int]


X86_64 = Abi(
    "x86_64",
    0xC000_003E,
    b"\x0f\x05",
    (ptrace.RDI, ptrace.RSI, ptrace.RDX, ptrace.R10, ptrace.R8, ptrace.R9),
    {"mmap": 9, "munmap": 11, "prctl": 157, "restart_syscall": 219, "seccomp": 317},
)
# mmap with six arguments is mmap2 there: arch/x86/entry/syscalls/syscall_32.tbl
I386 = Abi(
    "i386",
    0x4000_0003,
    b"\xcd\x80",
    (ptrace.RBX, ptrace.RCX, ptrace.RDX, ptrace.RSI, ptrace.RDI, ptrace.RBP),
    {"mmap": 192, "munmap": 91, "prctl": 172, "restart_syscall": 0, "seccomp": 354},
)


def abi_of(registers: Sequence[int]) -> Abi:
    """What a stopped thread's code segment says it speaks."""
    return I386 if registers[ptrace.CS] == ptrace.CS_32 else X86_64


class GoneError(KernelError):
    """The thread ended while it was worked on."""

    def __init__(self, tid: int) -> None:
        super().__init__(errno.ESRCH, f"thread {tid} ended")


class Place(Value):
    """Memory of the thread's process that is lent. old: what was there; None for a mapping of its own."""

    address: int
    size: int
    old: bytes | None


class Held:
    """A thread that this process traces, at an EVENT_STOP, or at the entry of a call (which is then not made yet).

    saved: its registers there. regions: its process's memory as it was shortly before; b"[stack]" and b"[vdso]" are
    looked up there, and checked. near: where an instruction that makes calls was seen, 0 if nowhere. filters: the
    programs it stands behind, all of them asked before each call; None where they are known to let these calls pass.
    Raises KernelError where it has no instruction to make calls with. Then, too, `release` is due.
    """

    def __init__(
        self,
        tid: int,
        regions: Sequence[Region],
        *,
        at_entry: bool = False,
        near: int = 0,
        filters: Sequence[Program] | None = None,
    ) -> None:
        self.tid = tid
        self.saved = ptrace.registers(tid) if at_entry else undisturbed(tid)
        self._mask = ptrace.blocked_signals(tid)
        self._regions = regions
        self._filters = filters
        self._at_entry = at_entry
        self._dirty = False
        self._near = near
        self._memory = -1
        self.abi = abi_of(self.saved)
        self._instruction = self.saved[ptrace.RIP] - 2 if at_entry else 0

    @property
    def interrupted(self) -> int | None:
        """The number of the call that the stop interrupted and that is to be made again; None without."""
        nr = self.saved[ptrace.ORIG_RAX]
        return nr & 0xFFFF_FFFF if not nr >> 63 and self._result() in _RESTARTS else None

    @property
    def needs_restart(self) -> bool:
        """Whether it goes on by a call of restart_syscall: a sleep, for one, that must not begin anew."""
        return self.interrupted is not None and self._result() == _RESTART_BLOCK

    def arguments(self) -> tuple[int, ...]:
        """The six words of the call it is in."""
        return tuple(self.saved[index] for index in self.abi.words)

    def _result(self) -> int:
        # A 32-bit task's result may lie in the low half only.
        return -self.saved[ptrace.RAX] & 0xFFFF_FFFF

    def call(self, name: str, *args: int) -> int:
        """The result of one of the calls of Abi.numbers, -errno for a failure.

        Raises KernelError EPERM, and nothing was done, where a filter of the thread would refuse it.
        """
        nr = self.abi.numbers[name]
        registers = list(self.saved)
        for index, value in zip(self.abi.words, (*args, *(0,) * (6 - len(args)))):
            registers[index] = value & WORD
        if not self._at_entry or self._dirty:
            registers[ptrace.RIP] = self._find_instruction()
        self._ask_filters(name, nr, args)
        if not self._dirty:
            ptrace.block_signals(self.tid, _ALL_SIGNALS)
        if self._at_entry and not self._dirty:
            registers[ptrace.ORIG_RAX] = nr
        else:
            registers[ptrace.RAX], registers[ptrace.ORIG_RAX] = nr, WORD
        entered = self._at_entry and not self._dirty
        self._dirty = True
        ptrace.set_registers(self.tid, registers)
        if not entered:
            self._to_syscall_stop()
        self._to_syscall_stop()
        result = ptrace.registers(self.tid)[ptrace.RAX]
        bits = 32 if self.abi is I386 else 64
        result &= (1 << bits) - 1
        return result - (1 << bits) if result >= (1 << bits) - _MAX_ERRNO else result

    def release(self) -> None:
        """Let it go on as if nothing had been. Raises KernelError where it has ended."""
        self.settle()
        ptrace.detach(self.tid)

    def settle(self) -> None:
        """Put everything back but leave it stopped and traced: at an EVENT_STOP where it was held at one.

        A call at whose entry it was held is made anew when the thread goes on.
        """
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1
        if not self._dirty:
            return
        if self._at_entry:
            saved = list(self.saved)
            saved[ptrace.RIP] -= 2
            saved[ptrace.RAX], saved[ptrace.ORIG_RAX] = saved[ptrace.ORIG_RAX], WORD
        else:
            saved = self.saved
            ptrace.interrupt(self.tid)
            to_event_stop(self.tid)
        ptrace.block_signals(self.tid, self._mask)
        ptrace.set_registers(self.tid, saved)

    # ---- memory

    def place(self, size: int) -> Place:
        """Memory to write to: below the first thread's stack pointer, else a mapping made for it.

        Other threads' stacks are no stacks to everybody: Go keeps many small ones side by side.
        """
        sp = self.saved[ptrace.RSP]
        address = sp - _RED_ZONE - size & ~15
        stack = next((region for region in self._regions if region.name == b"[stack]"), None)
        if stack is not None and stack.low <= address and sp < stack.high:
            old = self.read(address, size)
            if len(old) == size:
                return Place(address, size, old)
        size = size + 4095 & ~4095
        address = self.call("mmap", 0, size, _PROT_READ_WRITE, _MAP_PRIVATE_ANONYMOUS, -1, 0)
        if -4096 < address < 0:
            raise KernelError(
                -address, f"process of thread {self.tid}: no memory for the filter: {os.strerror(-address)}"
            )
        return Place(address, size, None)

    def give_back(self, place: Place, *, unmap: bool) -> None:
        """Restore what was lent. unmap: whether a mapping made for it may be taken away again."""
        if place.old is not None:
            self.write(place.address, place.old)
        elif unmap:
            self.call("munmap", place.address, place.size)

    def read(self, address: int, size: int) -> bytes:
        """Bytes of its memory; fewer, or none, where it is not mapped."""
        try:
            return os.pread(self._open_memory(), size, address)
        except (OSError, OverflowError):
            return b""

    def write(self, address: int, data: bytes) -> None:
        """Put bytes into its memory. Raises KernelError."""
        try:
            written = os.pwrite(self._open_memory(), data, address)
        except OSError as error:
            raise KernelError(
                error.errno or 0, f"thread {self.tid}: its memory cannot be written: {error.strerror}"
            ) from error
        if written != len(data):
            raise KernelError(errno.EFAULT, f"thread {self.tid}: its memory cannot be written at {address:#x}")

    def _open_memory(self) -> int:
        # Opened while it is stopped, for an execve before would have given it another memory.
        if self._memory < 0:
            self._memory = os.open(f"/proc/{self.tid}/mem", os.O_RDWR | os.O_CLOEXEC)
        return self._memory

    # ---- steps

    def _find_instruction(self) -> int:
        if not self._instruction:
            seen = self._near and self.read(self._near, 2) == self.abi.instruction
            known = self._near if seen else instruction(self.tid, self.abi, self._regions)
            # The process may have become another program since its memory was looked up.
            self._instruction = known or instruction(self.tid, self.abi, procfs.maps(self.tid)) or 0
            if not self._instruction:
                raise KernelError(
                    errno.ENOEXEC, f"thread {self.tid} has no instruction mapped that makes a system call"
                )
        return self._instruction

    def _ask_filters(self, name: str, nr: int, args: Sequence[int]) -> None:
        ip = (self._instruction or self.saved[ptrace.RIP] - 2) + 2
        for place, program in enumerate(self._filters or ()):
            if not passes(program, self.abi.audit, nr, args, ip):
                raise KernelError(
                    errno.EPERM,
                    f"the process stands behind a filter (the {_ordinal(place + 1)}) that refuses {name}, "
                    "which putting it behind another takes",
                )

    def _to_syscall_stop(self) -> None:
        signal = 0
        while True:
            ptrace.resume_to_syscall(self.tid, signal)
            status = ptrace.wait(self.tid)
            if not os.WIFSTOPPED(status):
                raise GoneError(self.tid)
            if status >> 8 == ptrace.SYSCALL_STOP:
                return
            # SIGSTOP cannot be blocked; a process stopped by it is so again when it is let go.
            signal = 0 if ptrace.event(status) else os.WSTOPSIG(status)


# Calls that end with EINTR when their thread is stopped for a tracer, though no signal comes: signal(7), "Interruption
# of system calls and library functions by stop signals". Number → which argument is the time they wait at most, and
# the value that says without end; such a call can be made anew and nobody is the wiser. One with an end would wait
# longer than it should, so it keeps the EINTR that SIGSTOP and SIGCONT give it too.
_WITHOUT_END: Mapping[str, Mapping[int, tuple[int, int]]] = {
    # epoll_wait, epoll_pwait, epoll_pwait2, semtimedop, rt_sigtimedwait
    "x86_64": {232: (3, 0xFFFF_FFFF), 281: (3, 0xFFFF_FFFF), 441: (3, 0), 220: (3, 0), 128: (2, 0)},
    "i386": {256: (3, 0xFFFF_FFFF), 319: (3, 0xFFFF_FFFF), 441: (3, 0), 177: (2, 0)},
}
_EINTR, _ERESTARTNOHAND = -4 & 0xFFFF_FFFF, -514 & WORD


def undisturbed(tid: int) -> list[int]:
    """The registers of a thread at an EVENT_STOP, with which the stop leaves no trace in a call that it interrupted."""
    registers = ptrace.registers(tid)
    if registers[ptrace.RAX] & 0xFFFF_FFFF != _EINTR or registers[ptrace.ORIG_RAX] >> 63:
        return registers
    abi = abi_of(registers)
    known = _WITHOUT_END[abi.name].get(registers[ptrace.ORIG_RAX])
    if known is not None and registers[abi.words[known[0]]] & 0xFFFF_FFFF == known[1]:
        # The kernel makes it anew, unless a handler is to run first: then the EINTR was due.
        registers[ptrace.RAX] = _ERESTARTNOHAND
        ptrace.set_registers(tid, registers)
    return registers


def to_event_stop(tid: int, signal: int = 0) -> None:
    """Let an interrupted thread run to its EVENT_STOP, with a signal if not 0; those that come before are delivered.

    Raises GoneError.
    """
    while True:
        ptrace.resume(tid, signal)
        status = ptrace.wait(tid)
        if not os.WIFSTOPPED(status):
            raise GoneError(tid)
        if ptrace.event(status) == ptrace.EVENT_STOP:
            return
        signal = 0 if ptrace.event(status) or os.WSTOPSIG(status) == ptrace.SYSCALL_STOP else os.WSTOPSIG(status)


def instruction(tid: int, abi: Abi, regions: Sequence[Region]) -> int | None:
    """The address of an instruction that makes a system call, in the vdso if there is one there; None without."""
    executable = [region for region in regions if region.rights[2] == "x" and region.rights[0] == "r"]
    for region in sorted(executable, key=lambda region: region.name != b"[vdso]"):
        if region.name == b"[vsyscall]":
            continue
        found = read_memory(tid, region.low, min(region.high - region.low, _SEARCHED)).find(abi.instruction)
        if found >= 0:
            return region.low + found
    return None


def read_memory(tid: int, address: int, size: int) -> bytes:
    """Bytes of a thread's memory; b"" where it cannot be read."""
    try:
        file = os.open(f"/proc/{tid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(file, size, address)
        finally:
            os.close(file)
    except (OSError, OverflowError):
        return b""


def _ordinal(number: int) -> str:
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') }"
