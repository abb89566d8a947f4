"""Carrying out a kill: the program must die as if the kernel had killed it on the spot, by SIGSYS.

A signal is pending before its call is answered, so not one instruction of the program runs in between. But a signal
can be caught, ignored or blocked, the first process of a pid namespace is deaf to it, and it never kills one thread
alone. Then the kernel is made to do it: the thread is stopped by a tracer behind its refused call, sent into that call
once more, and at the entry given an instruction pointer for which the program has the policy's own kill (`leaf.guard`).
A process of its own traces: for the children it traces any waitpid of the tracing process steals the stops.
"""

from __future__ import annotations

import errno
import os
import select
import time
from contextlib import suppress

from sysgate.errors import KernelError
from sysgate.kernel import memory, notify, procfs, ptrace, signals
from sysgate.supervise.leaf import KERNEL_HALF

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.kernel.procfs import Status

_PATIENCE = 0.1  # seconds for a signal to do its work, before SIGKILL
_TRACING = 2  # seconds for the tracer, all told
_ALL_SIGNALS = _ALL_BITS = (1 << 64) - 1
_SYSCALLS = (b"\x0f\x05", b"\xcd\x80")  # syscall, int 0x80


class Doomed:
    """A process that has a deadly signal pending, until it is seen dead or killed by force.

    Raises OSError where no descriptor is to be had.
    """

    def __init__(self, pid: int, tid: int) -> None:
        self._tid = tid
        self._pidfd = os.pidfd_open(pid)
        self._due = time.monotonic() + _PATIENCE

    def over(self) -> bool:
        """Whether nothing is left to do: it is dead, or is killed now because its time is up."""
        dead = select.poll()
        dead.register(self._pidfd, select.POLLIN)
        if not dead.poll(0):
            if time.monotonic() < self._due or self._held(procfs.status(self._tid)):
                return False
            signals.to_process(self._pidfd, signals.SIGKILL)
        os.close(self._pidfd)
        return True

    @staticmethod
    def _held(status: Status | None) -> bool:
        # Stopped, it dies when it is continued; dumping core, it is dying. Neither runs an instruction.
        if status is None:
            return False
        pending = bool(status.pending >> (signals.SIGSYS - 1) & 1)
        return status.dumping or (status.state in ("T", "t") and pending)


def process(listener: int, cookie: int, nr: int, tid: int, status: Status | None) -> Doomed | None:
    """Kill the process of a thread whose call waits for an answer, and answer it. A Doomed is to be looked after.

    status: of the thread; None where it could not be read.
    """
    deaf = status is None or status.blocks(signals.SIGSYS) or status.pids[-1] == 1
    if status is None or deaf:
        natively(listener, cookie, nr, tid, status)
        return None
    try:
        doomed = Doomed(status.tgid, tid)
    except OSError:
        _by_force(listener, cookie, status.tgid)
        return None
    signals.to_thread(status.tgid, tid, signals.SIGSYS)
    notify.answer(listener, cookie, error=errno.ENOSYS)
    return doomed


def natively(listener: int, cookie: int, nr: int, tid: int, status: Status | None) -> None:
    """Have the kernel kill a thread whose call waits for an answer, or its process, whichever the policy says.

    Where that cannot be done (it is being debugged) the process gets SIGKILL. The call is answered either way.
    """
    if status is None or status.tracer or not _traced_to_death(listener, cookie, nr, tid):
        _by_force(listener, cookie, tid if status is None else status.tgid)


def _by_force(listener: int, cookie: int, pid: int) -> None:
    # Either the call still waits, and the number is its thread's; or the tracer answered it and failed a moment ago.
    with suppress(ProcessLookupError):
        os.kill(pid, signals.SIGKILL)
    notify.answer(listener, cookie, error=errno.ENOSYS)


def _traced_to_death(listener: int, cookie: int, nr: int, tid: int) -> bool:
    """Whether the kernel killed it. If not, the call may be unanswered still, and the thread is let go."""
    import signal
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of threads; the child runs nothing of theirs
        tracer = os.fork()
    if tracer == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, _TRACING)
            _trace(listener, cookie, nr, tid)
            os._exit(0)
        finally:
            os._exit(1)
    try:
        return os.waitpid(tracer, 0)[1] == 0
    except ChildProcessError:  # somebody here waits for any child, and got ours
        return procfs.status(tid) is None


def _trace(listener: int, cookie: int, nr: int, tid: int) -> None:
    ptrace.seize(tid, ptrace.O_TRACESYSGOOD)
    ptrace.interrupt(tid)
    notify.answer(listener, cookie, error=errno.ENOSYS)
    while ptrace.event(ptrace.wait(tid)) != ptrace.EVENT_STOP:
        ptrace.resume(tid)  # the stop for a signal, withheld: nothing of the program shall run
    ptrace.block_signals(tid, _ALL_SIGNALS)
    words = ptrace.registers(tid)
    words[ptrace.RIP] -= 2
    if memory.Reader().read(tid, words[ptrace.RIP], 2) not in _SYSCALLS:
        raise KernelError(errno.ENOEXEC, f"thread {tid} made its call by no instruction known")
    words[ptrace.RAX], words[ptrace.ORIG_RAX] = nr, _ALL_BITS
    ptrace.set_registers(tid, words)
    ptrace.resume_to_syscall(tid)
    if ptrace.wait(tid) >> 8 != ptrace.SYSCALL_STOP:
        raise KernelError(errno.ESRCH, f"thread {tid} did not repeat its call")
    words[ptrace.RIP] = (words[ptrace.RIP] + 2) | KERNEL_HALF << 32
    words[ptrace.RAX], words[ptrace.ORIG_RAX] = -errno.ENOSYS, nr
    ptrace.set_registers(tid, words)
    ptrace.detach(tid)
