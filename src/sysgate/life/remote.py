"""System calls made by a stopped thread of another process, in whose registers, memory and signals nothing of it is
left to see.

The thread is made to execute an instruction it has anyway: the `syscall` of the vdso. Meanwhile it blocks all signals,
so that each is delivered afterwards, by the kernel and unchanged.

A call that the stop interrupted has a result of -512 … -516 (include/linux/errno.h), which no program may see. The
kernel goes on with the call only where it looks for signals (arch/x86/kernel/signal.c, arch_do_signal_or_restart). A
thread that runs on from the exit of our call, with PTRACE_CONT, does not look; one that is detached there does, since
detaching marks it as having signals pending, and nothing takes that mark away before (kernel/ptrace.c,
__ptrace_unlink; kernel/signal.c, recalc_sigpending_tsk). So no further stop is needed before it is let go.
"""

from __future__ import annotations

import errno
import os

from sysgate.errors import KernelError
from sysgate.kernel import procfs, procmap, ptrace
from sysgate.life import waits
from sysgate.life.abi import I386, abi_of
from sysgate.life.attach_program import passes
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.bpf.program import Program
    from sysgate.life.waits import Wait

WORD = (1 << 64) - 1
_ALL_SIGNALS = WORD
_RED_ZONE = 128  # below the stack pointer; System V ABI of x86-64
_SURELY_STACK = 1 << 16
_SEARCHED = 1 << 20  # bytes of each mapping
_PROT_READ_WRITE, _MAP_PRIVATE_ANONYMOUS = 3, 0x22
_RESTARTS = range(512, 517)  # ERESTARTSYS … ERESTART_RESTARTBLOCK
_RESTART_BLOCK = 516
_MAX_ERRNO = 4095  # include/linux/err.h


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

    saved: its registers there. near: where an instruction that makes calls may be; top: where its process's first stack
    began; 0 where that is not known. filters: the programs it stands behind, all of them asked before each call; None
    where they are known to let these calls pass. seen: the wait it was seen in shortly before it was stopped. Raises
    KernelError where it has no instruction to make calls with. Then, too, `release` is due.
    """

    def __init__(
        self,
        tid: int,
        *,
        at_entry: bool = False,
        near: int = 0,
        top: int = 0,
        filters: Sequence[Program] | None = None,
        seen: Wait | None = None,
    ) -> None:
        self.tid = tid
        self.saved = ptrace.registers(tid) if at_entry else waits.undisturbed(tid, seen)
        self._mask = ptrace.blocked_signals(tid)
        self.filters = filters
        self._at_entry = at_entry
        self._dirty = False
        self._near = near
        self._top = top
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
        """Put everything back but leave it stopped and traced: it is to be detached next.

        A call at whose entry it was held is made anew when the thread goes on.
        """
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1
        if not self._dirty:
            return
        saved = list(self.saved)
        if self._at_entry:
            saved[ptrace.RIP] -= 2
            saved[ptrace.RAX], saved[ptrace.ORIG_RAX] = saved[ptrace.ORIG_RAX], WORD
        ptrace.block_signals(self.tid, self._mask)
        ptrace.set_registers(self.tid, saved)

    # ---- memory

    def place(self, size: int) -> Place:
        """Memory to write to: below the first thread's stack pointer, else a mapping made for it.

        Other threads' stacks are no stacks to everybody: Go keeps many small ones side by side.
        """
        sp = self.saved[ptrace.RSP]
        address = sp - _RED_ZONE - size & ~15
        if self._on_stack(address, sp):
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

    def _on_stack(self, address: int, sp: int) -> bool:
        # The kernel makes a first stack of 128 KiB below where it begins: fs/exec.c, setup_arg_pages.
        if self._top - _SURELY_STACK <= address and sp <= self._top:
            return True
        stack = procmap.mapping_of(self.tid, sp)
        return stack is not None and stack.name == b"[stack]" and stack.low <= address

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
            self._instruction = self._near if seen else self._search()
            if not self._instruction:
                raise KernelError(
                    errno.ENOEXEC, f"thread {self.tid} has no instruction mapped that makes a system call"
                )
        return self._instruction

    def _search(self) -> int:
        executable = [region for region in procfs.maps(self.tid) if region.rights[2] == "x" and region.rights[0] == "r"]
        for region in sorted(executable, key=lambda region: region.name != b"[vdso]"):
            if region.name == b"[vsyscall]":
                continue
            found = self.read(region.low, min(region.high - region.low, _SEARCHED)).find(self.abi.instruction)
            if found >= 0:
                return region.low + found
        return 0

    def _ask_filters(self, name: str, nr: int, args: Sequence[int]) -> None:
        ip = (self._instruction or self.saved[ptrace.RIP] - 2) + 2
        for program in self.filters or ():
            if not passes(program, self.abi.audit, nr, args, ip):
                raise KernelError(
                    errno.EPERM,
                    f"the process stands behind a filter that refuses {name}, which putting it behind another takes",
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
