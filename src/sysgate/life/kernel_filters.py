"""The filters of a process as the kernel holds them: for root only, and only while a thread stands still."""

from __future__ import annotations

import os
import struct

from sysgate.errors import BpfError, KernelError
from sysgate.kernel import ptrace
from sysgate.life import waits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.bpf.program import Program

_PATIENCE = 0.5  # seconds for a thread to stop
_CAP_SYS_ADMIN = 1 << 21
_LENGTH = struct.Struct("=i")


def programs(tid: int) -> tuple[Program, ...]:
    """The filters of a thread, the first installed first.

    Raises KernelError: EACCES for all but root, and where this process is itself behind a filter; EPERM where the
    thread may not be traced; EBUSY where it does not stop in time, as the parent of a vfork does not.
    """
    import errno

    from sysgate.bpf import program as bpf_program

    if not _may_see():  # then nobody is stopped for it
        raise KernelError(errno.EACCES, f"the filters of thread {tid} cannot be read: {os.strerror(errno.EACCES)}")
    raw = _fetched(tid)
    found: list[Program] = []
    at = 0
    while at + _LENGTH.size <= len(raw):
        (size,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size
        if size < 0:
            raise KernelError(-size, f"the filters of thread {tid} cannot be read: {os.strerror(-size)}")
        if size == 0:
            return tuple(found)
        try:
            found.append(bpf_program.from_bytes(raw[at : at + size], big_endian=False))
        except BpfError as error:
            raise KernelError(errno.EPROTO, f"the kernel's filter of thread {tid} cannot be read: {error}") from None
        at += size
    raise KernelError(errno.EBUSY, f"thread {tid} did not stop within {_PATIENCE} s")


def _may_see() -> bool:
    # kernel/seccomp.c, seccomp_get_filter: CAP_SYS_ADMIN, and no filter on whoever asks.
    try:
        with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
            said = dict(line.partition(":\t")[::2] for line in file)
        return bool(int(said["CapEff"], 16) & _CAP_SYS_ADMIN) and int(said.get("Seccomp", "0")) == 0
    except (OSError, KeyError, ValueError):
        return True


def _fetched(tid: int) -> bytes:
    """What a process of its own tells: in this one, any waitpid could steal the stop."""
    import warnings

    reads, writes = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of threads; the child runs nothing of theirs
        child = os.fork()
    if child == 0:
        try:
            with open(writes, "wb", buffering=0) as file:
                file.write(_told(tid))
        finally:
            os._exit(0)
    os.close(writes)
    with open(reads, "rb") as file:
        raw = file.read()
    try:  # noqa: SIM105 - contextlib is slow to load
        os.waitpid(child, 0)
    except ChildProcessError:
        pass  # somebody here waits for any child, and got ours
    return raw


def _told(tid: int) -> bytes:
    import signal

    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends this process, which lets the thread go
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
    try:
        ptrace.seize(tid)
        seen = waits.look(tid)
        ptrace.interrupt(tid)
        held = ptrace.wait(tid)
        try:
            found: list[bytes] = []
            while (raw := ptrace.seccomp_filter(tid, len(found))) is not None:
                found.append(_LENGTH.pack(len(raw)) + raw)
        finally:
            if ptrace.event(held):
                waits.undisturbed(tid, seen)
                ptrace.detach(tid)
            else:  # a signal came first: it is delivered now
                ptrace.detach(tid, os.WSTOPSIG(held))
    except KernelError as error:
        return _LENGTH.pack(-(error.errno or 1))
    return b"".join(found) + _LENGTH.pack(0)
