"""What must be known of a running process before it is touched, and all that speaks against touching it."""

from __future__ import annotations

import errno
import os
import time

from sysgate.errors import KernelError
from sysgate.kernel import procfs
from sysgate.kernel.procfs import Region
from sysgate.life.remote import I386, X86_64, instruction
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.kernel.procfs import Status
    from sysgate.life.remote import Abi

_ELF_HEADER = 20
_ELFCLASS32, _EM_X86_64 = 1, 62
_PF_KTHREAD = 0x0020_0000  # include/linux/sched.h
_CAN_STOP = ("R", "S", "T", "I")
_STRICT, _FILTER = 1, 2
_PATIENCE = 0.5  # seconds for a thread to come out of an uninterruptible wait


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
    abi: what its program was built for. regions: the parts of its memory that the kernel names, the stack among them.
    near: where an instruction that makes calls was seen, 0 if nowhere.
    processor: where it ran last.
    """

    pid: int
    started: int | None
    candidates: tuple[int, ...]
    filtered: bool
    filters: int
    abi: Abi
    regions: tuple[Region, ...]
    near: int
    processor: int


def examine(pid: int, audits: Sequence[int]) -> Target:
    """Look at a process without touching it. audits: what the policy covers.

    Raises KernelError where putting it behind a filter cannot work, saying why.
    """
    threads = living(pid) if pid > 0 else ()
    known: Status | Thread | None = threads[0] if threads else procfs.status(pid) if pid > 0 else None
    if known is None:
        raise KernelError(errno.ESRCH, f"there is no process {pid}")
    if known.tgid != pid:
        raise KernelError(errno.ESRCH, f"{pid} is a thread of process {known.tgid}: name that")
    if pid == os.getpid():
        raise KernelError(errno.EINVAL, "a process puts itself behind a policy with Policy.install, not by attaching")
    started, kernel_thread, processor = _stat(pid)
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
        candidates = tuple(thread.pid for thread in living(pid) if thread.state in _CAN_STOP)
    if not candidates:
        states = ", ".join(sorted({thread.state for thread in threads}))
        raise KernelError(
            errno.EBUSY,
            f"process {pid} waits in the kernel without interruption (state {states}): for its vfork child, or a disk",
        )
    abi = _abi(pid, candidates[0], known)
    _refuse_uncovered(pid, abi, audits)
    regions = _named_regions(pid, candidates[0])
    if not regions:
        raise not_ours(pid, known)
    near = instruction(candidates[0], abi, regions) or 0
    return Target(
        pid, started, candidates, threads[0].seccomp == _FILTER, threads[0].filters, abi, regions, near, processor
    )


def living(pid: int) -> tuple[Thread, ...]:
    """The threads of a process that run or may run again, by number."""
    found = (_thread(pid, tid) for tid in procfs.tasks(pid))
    return tuple(thread for thread in found if thread is not None and not thread.dead)


def _thread(pid: int, tid: int) -> Thread | None:
    raw = procfs.read(pid, f"task/{tid}/status") or b""
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
    except (ValueError, IndexError):  # it ended while it was read
        return None


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


def _stat(pid: int) -> tuple[int | None, bool, int]:
    # Start time, as procfs.start_time; whether it is a thread of the kernel (field 9, flags); field 39.
    fields = (procfs.read(pid, "stat") or b"").rpartition(b")")[2].split()
    if len(fields) < 37:
        return None, False, 0
    return int(fields[19]), bool(int(fields[6]) & _PF_KTHREAD), int(fields[36])


def _named_regions(pid: int, tid: int) -> tuple[Region, ...]:
    # Those that the kernel names itself, stack and vdso among them: all that is needed as a rule.
    found = []
    for line in (procfs.read(pid, f"task/{tid}/maps") or b"").splitlines():
        if line.endswith(b"]"):
            addresses, rights, *_, name = line.split()
            low, _, high = addresses.partition(b"-")
            found.append(Region(int(low, 16), int(high, 16), rights.decode("ascii"), name))
    return tuple(found)


def _abi(pid: int, tid: int, known: Status | Thread) -> Abi:
    # Through a thread: of a process whose leader has exited only the threads still show its program.
    try:
        with open(f"/proc/{pid}/task/{tid}/exe", "rb", buffering=0) as file:
            header = file.read(_ELF_HEADER)
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
