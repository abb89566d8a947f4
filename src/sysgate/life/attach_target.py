"""What must be known of a running process before it is touched, and all that speaks against touching it."""

from __future__ import annotations

import errno
import os
import time

from sysgate.errors import KernelError
from sysgate.kernel import procfs
from sysgate.life import vdso
from sysgate.life.abi import I386, X86_64
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.kernel.procfs import Status
    from sysgate.life.abi import Abi

_ELF_HEADER = 20
_ELFCLASS32, _EM_X86_64 = 1, 62
_PF_KTHREAD = 0x0020_0000  # include/linux/sched.h
_CAN_STOP = ("R", "S", "T", "I")
_STRICT, FILTER = 1, 2
_PATIENCE = 0.5  # seconds for a thread to come out of an uninterruptible wait
_ENOUGH = 1 << 13  # bytes of a status file
_MOST = 64  # files that are held open


class Thread(Value):
    """What /proc says of a thread, as procfs.Status has it; these fields alone cost a third of all."""

    pid: int
    tgid: int
    state: str
    tracer: int
    uid: int
    seccomp: int
    filters: int

    @property
    def dead(self) -> bool:
        """Whether nothing of it will run again."""
        return self.state in ("Z", "X", "x")


class Target(Value):
    """A process that may be put behind a filter.

    started: its start time, which with pid names it for good. candidates: the threads that can be stopped for it, the
    first one first. filtered: whether it stands behind filters; filters: how many (-1: the kernel does not say).
    abi: what its program was built for. near: where an instruction that makes calls should be, 0 if nobody knows.
    processor: where it ran last. top: where the first thread's stack began, 0 or 1 if nobody knows.
    """

    pid: int
    started: int | None
    candidates: tuple[int, ...]
    filtered: bool
    filters: int
    abi: Abi
    near: int
    processor: int
    top: int


def examine(pid: int, audits: Sequence[int], watched: Threads) -> Target:
    """Look at a process without touching it. audits: what the policy covers. watched: its threads.

    Raises KernelError where putting it behind a filter cannot work, saying why.
    """
    threads = watched.living() if pid > 0 else ()
    known: Status | Thread | None = threads[0] if threads else procfs.status(pid) if pid > 0 else None
    if known is None:
        raise KernelError(errno.ESRCH, f"there is no process {pid}")
    if known.tgid != pid:
        raise KernelError(errno.ESRCH, f"{pid} is a thread of process {known.tgid}: name that")
    if pid == os.getpid():
        raise KernelError(errno.EINVAL, "a process puts itself behind a policy with Policy.install, not by attaching")
    started, kernel_thread, processor, top = _stat(pid)
    if not threads:
        raise KernelError(errno.ESRCH, f"process {pid} has ended already; nobody has waited for it (a zombie)")
    if kernel_thread:
        raise KernelError(errno.EINVAL, f"{pid} is a thread of the kernel, which makes no system calls")
    _refuse_traced(pid, threads)
    _refuse_unlike(pid, threads)
    candidates = tuple(thread.pid for thread in threads if thread.state in _CAN_STOP)
    due = time.monotonic() + _PATIENCE
    while not candidates and time.monotonic() < due:  # most such waits are over at once
        time.sleep(1e-3)
        candidates = tuple(thread.pid for thread in watched.living() if thread.state in _CAN_STOP)
    if not candidates:
        states = ", ".join(sorted({thread.state for thread in threads}))
        raise KernelError(
            errno.EBUSY,
            f"process {pid} waits in the kernel without interruption (state {states}): for its vfork child, or a disk",
        )
    abi = _abi(pid, candidates[0], known)
    _refuse_uncovered(pid, abi, audits)
    near = vdso.instruction(candidates[0], abi)
    return Target(pid, started, candidates, threads[0].seccomp == FILTER, threads[0].filters, abi, near, processor, top)


def living(pid: int) -> tuple[Thread, ...]:
    """The threads of a process that run or may run again, by number."""
    threads = Threads(pid)
    try:
        return threads.living()
    finally:
        threads.close()


class Threads:
    """The threads of a process, to be looked at more than once; `close` is due afterwards.

    What is held open of a thread stays that thread's: should it end, whoever gets its number is not taken for it.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._files: dict[int, int] = {}

    def living(self) -> tuple[Thread, ...]:
        """Those that run or may run again, by number."""
        found = (self._looked_at(tid) for tid in procfs.tasks(self._pid))
        return tuple(thread for thread in found if thread is not None and not thread.dead)

    def same(self, tid: int) -> bool:
        """Whether a thread's number is still that of the thread that was seen."""
        known = tid if tid in self._files else self._pid
        return known in self._files and self._status(known) != b"" and os.path.exists(f"/proc/{self._pid}/task/{tid}")

    def close(self) -> None:
        """Nothing is to be looked at any more."""
        while self._files:
            os.close(self._files.popitem()[1])

    def _looked_at(self, tid: int) -> Thread | None:
        raw = self._status(tid) if tid in self._files else b""
        if not raw:
            raw = self._opened(tid)
        try:
            return Thread(
                tid,
                int(_field(raw, b"\nTgid:\t")),
                _field(raw, b"\nState:\t")[:1].decode("ascii", "replace"),
                int(_field(raw, b"\nTracerPid:\t")),
                int(_field(raw, b"\nUid:\t").split()[0]),
                int(_field(raw, b"\nSeccomp:\t", b"0")),
                int(_field(raw, b"\nSeccomp_filters:\t", b"-1")),
            )
        except (ValueError, IndexError):  # it has ended
            return None

    def _status(self, tid: int) -> bytes:
        try:
            return os.pread(self._files[tid], _ENOUGH, 0)
        except OSError:  # ESRCH: it has ended
            return b""

    def _opened(self, tid: int) -> bytes:
        if tid in self._files:
            os.close(self._files.pop(tid))
        if len(self._files) >= _MOST and tid != self._pid:
            return procfs.read(self._pid, f"task/{tid}/status") or b""
        try:
            self._files[tid] = os.open(f"/proc/{self._pid}/task/{tid}/status", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return b""
        return self._status(tid)


def _field(raw: bytes, key: bytes, absent: bytes = b"") -> bytes:
    start = raw.find(key)
    if start < 0:
        return absent
    start += len(key)
    return raw[start : raw.find(b"\n", start)]


def not_ours(pid: int, known: Status | Thread | None = None) -> KernelError:
    """Why the kernel refuses to let this process trace that one."""
    known = known or procfs.status(pid)
    if known is None or known.dead:
        return KernelError(errno.ESRCH, f"process {pid} has ended")
    if known.tracer:
        return _traced(pid, known.tracer)
    scope = _yama()
    if scope in ("2", "3"):
        who = "nobody" if scope == "3" else "only root"
        return KernelError(errno.EPERM, f"{who} may trace processes here (kernel.yama.ptrace_scope is {scope})")
    uid = os.geteuid()
    if uid and known.uid != uid:
        return KernelError(
            errno.EPERM, f"process {pid} is user {known.uid}'s, and this is user {uid}: only root may attach"
        )
    if scope == "1":
        return KernelError(
            errno.EPERM,
            f"process {pid} may be traced only by its ancestors (kernel.yama.ptrace_scope is 1): attach as root, or "
            "start it with sysgate run",
        )
    return KernelError(
        errno.EPERM,
        f"the kernel does not let this process trace {pid}: it has rights that this one has not, has asked not to be "
        "traced (PR_SET_DUMPABLE), or is being ended",
    )


def _yama() -> str:
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as file:
            return file.read().strip()
    except OSError:  # no Yama here
        return "0"


def _traced(pid: int, tracer: int) -> KernelError:
    name = procfs.comm(tracer).decode("utf-8", "backslashreplace")
    return KernelError(
        errno.EPERM,
        f"process {pid} is traced already, by process {tracer} ({name}); the kernel allows one tracer",
    )


def _refuse_traced(pid: int, threads: Sequence[Thread]) -> None:
    for thread in threads:
        if thread.tracer:
            raise _traced(pid, thread.tracer)


def _refuse_unlike(pid: int, threads: Sequence[Thread]) -> None:
    # The kernel brings a thread along only from the very filters that the first one stands behind, else all fails:
    # kernel/seccomp.c, seccomp_can_sync_threads. By then no_new_privs may be set, for good.
    first = threads[0]
    for thread in threads:
        if thread.seccomp == _STRICT:
            raise KernelError(
                errno.EINVAL, f"thread {thread.pid} of process {pid} is in seccomp's strict mode: it takes no filter"
            )
        if (thread.seccomp, thread.filters) != (first.seccomp, first.filters):
            raise KernelError(
                errno.EINVAL,
                f"process {pid} has threads behind different filters ({_filters(first)}, {_filters(thread)}): "
                "the kernel cannot bring them all behind one more",
            )


def _filters(thread: Thread) -> str:
    return f"thread {thread.pid} behind {max(thread.filters, 0)}"


def _stat(pid: int) -> tuple[int | None, bool, int, int]:
    # Start time, as procfs.start_time; whether it is a thread of the kernel (field 9, flags); fields 39 and 28.
    fields = (procfs.read(pid, "stat") or b"").rpartition(b")")[2].split()
    if len(fields) < 37:
        return None, False, 0, 0
    return int(fields[19]), bool(int(fields[6]) & _PF_KTHREAD), int(fields[36]), int(fields[25])


def _abi(pid: int, tid: int, known: Status | Thread) -> Abi:
    # Through a thread: of a process whose leader has exited only the threads still show its program.
    try:
        file = os.open(f"/proc/{pid}/task/{tid}/exe", os.O_RDONLY | os.O_CLOEXEC)
        try:
            header = os.read(file, _ELF_HEADER)
        finally:
            os.close(file)
    except FileNotFoundError:
        raise KernelError(errno.ESRCH, f"process {pid} has ended, or is ending") from None
    except OSError:
        raise not_ours(pid, known) from None
    if header[4:5] != bytes([_ELFCLASS32]):
        return X86_64
    if int.from_bytes(header[18:20], "little") == _EM_X86_64:
        raise KernelError(errno.ENOEXEC, f"process {pid} speaks x32, which sysgate does not attach to")
    return I386


def _refuse_uncovered(pid: int, abi: Abi, audits: Sequence[int]) -> None:
    if abi.audit not in audits:
        raise KernelError(
            errno.EINVAL,
            f"process {pid} speaks {abi.name}, of which the policy says nothing: its next call would be refused. "
            f"A section [{abi.name}] says what it may do",
        )
