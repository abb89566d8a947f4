"""What /proc tells about a process. Everything here may be gone, or another's, by the time it is read."""

from __future__ import annotations

import os
import struct

from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

AT_BASE, AT_ENTRY, AT_SYSINFO_EHDR = 7, 9, 33  # include/uapi/linux/auxvec.h
_ENOUGH = 1 << 14  # bytes: most files of /proc come in one piece


class Status(Value):
    """A task, from /proc/PID/status (proc_pid_status(5)).

    name: its comm, the kernel's escapes undone. state: "R", "S", "D", "T" (stopped), "t" (traced stop), "Z", "X", …
    tgid, pid (the thread's), parent, tracer (0: none). uid: the real one. pids: its number in each pid namespace, the
    innermost last. seccomp: 0 off, 1 strict, 2 filter; filters: how many (-1 before Linux 5.9).
    pending (of thread and process), blocked, ignored, caught: bit N-1 stands for signal N.
    store_bypass, indirect_branch: the speculation state in the kernel's words, "" where it does not say.
    dumping: a core dump is being written.
    """

    name: bytes
    state: str
    tgid: int
    pid: int
    parent: int
    tracer: int
    uid: int
    pids: tuple[int, ...]
    seccomp: int
    filters: int
    no_new_privs: bool
    pending: int
    blocked: int
    ignored: int
    caught: int
    store_bypass: str
    indirect_branch: str
    dumping: bool

    def blocks(self, signal: int) -> bool:
        """Whether the signal cannot kill by its default: caught, ignored or blocked."""
        return bool((self.blocked | self.ignored | self.caught) >> (signal - 1) & 1)

    @property
    def dead(self) -> bool:
        """Whether nothing of it will run again."""
        return self.state in ("Z", "X", "x")


def status(pid: int, tid: int | None = None) -> Status | None:
    """A process, or one of its threads; None where it is gone."""
    raw = read(pid, "status") if tid is None else read(pid, f"task/{tid}/status")
    return None if raw is None else parse_status(raw)


def parse_status(raw: bytes) -> Status | None:
    """The text of a status file; None where it has no process in it (a task that ended while it was read)."""
    said: dict[bytes, bytes] = {}
    for line in raw.split(b"\n"):
        key, _, value = line.partition(b":\t")
        said[key] = value
    if b"Pid" not in said:
        return None

    def number(key: bytes, base: int = 10, absent: bytes = b"0") -> int:
        return int(said.get(key, absent), base)

    return Status(
        name=_unescaped(said.get(b"Name", b"")),
        state=said.get(b"State", b"?")[:1].decode("ascii", "replace"),
        tgid=number(b"Tgid"),
        pid=number(b"Pid"),
        parent=number(b"PPid"),
        tracer=number(b"TracerPid"),
        uid=int(said.get(b"Uid", b"0").split()[0]),
        pids=tuple(map(int, said.get(b"NSpid", said[b"Pid"]).split())),
        seccomp=number(b"Seccomp"),
        filters=number(b"Seccomp_filters", absent=b"-1"),
        no_new_privs=number(b"NoNewPrivs") == 1,
        pending=number(b"SigPnd", 16) | number(b"ShdPnd", 16),
        blocked=number(b"SigBlk", 16),
        ignored=number(b"SigIgn", 16),
        caught=number(b"SigCgt", 16),
        store_bypass=said.get(b"Speculation_Store_Bypass", b"").decode("ascii", "replace"),
        indirect_branch=said.get(b"SpeculationIndirectBranch", b"").decode("ascii", "replace"),
        dumping=number(b"CoreDumping") == 1,
    )


def _unescaped(name: bytes) -> bytes:
    # fs/proc/array.c, proc_task_name: newline and backslash only
    return name.replace(b"\\n", b"\n").replace(b"\\\\", b"\\")


class Region(Value):
    """One line of /proc/PID/maps: addresses low … high (high not in it), its rights ("r-xp"), and what is mapped."""

    low: int
    high: int
    rights: str
    name: bytes


def maps(pid: int, tid: int | None = None) -> tuple[Region, ...]:
    """A process's memory, by address; empty where it cannot be read.

    tid: through which thread. Of a process whose leader has exited only the threads still show it.
    """
    raw = read(pid, f"task/{pid if tid is None else tid}/maps") or b""
    found = []
    for line in raw.splitlines():
        fields = line.split(None, 5)
        low, _, high = fields[0].partition(b"-")
        name = fields[5] if len(fields) > 5 else b""
        found.append(Region(int(low, 16), int(high, 16), fields[1].decode("ascii"), name))
    return tuple(found)


def auxv(pid: int) -> Mapping[int, int]:
    """The auxiliary vector of a 64-bit process: AT_* → value; empty where it cannot be read."""
    raw = read(pid, "auxv") or b""
    words = struct.unpack(f"={len(raw) // 16 * 2}Q", raw[: len(raw) // 16 * 16])
    return dict(zip(words[::2], words[1::2], strict=True))


def tasks(pid: int) -> tuple[int, ...]:
    """The threads of a process, by number; empty where it is gone."""
    try:
        return tuple(sorted(map(int, os.listdir(f"/proc/{pid}/task"))))
    except OSError:
        return ()


def processes() -> tuple[int, ...]:
    """Every process that /proc shows us, by number."""
    return tuple(sorted(int(name) for name in os.listdir("/proc") if name.isdigit()))


def start_time(pid: int) -> int | None:
    """When a process began, in clock ticks since boot; None where it is gone.

    With its pid it names a process for good.
    """
    raw = read(pid, "stat")
    if raw is None or b")" not in raw:
        return None
    # The comm may hold spaces and parentheses; what follows its last ")" is field 3 (proc_pid_stat(5)).
    return int(raw.rpartition(b")")[2].split()[19])


def comm(tid: int) -> bytes:
    """The name of a thread, up to 15 bytes; b"" where it is gone."""
    return (read(tid, "comm") or b"").removesuffix(b"\n")


def executable(pid: int) -> str | None:
    """The path of the program; None where it is gone or not ours to see."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None


def command(pid: int) -> tuple[bytes, ...]:
    """The command line; empty where it is gone or has none."""
    raw = read(pid, "cmdline") or b""
    return tuple(raw.removesuffix(b"\0").split(b"\0")) if raw else ()


def read(pid: int, name: str) -> bytes | None:
    """The bytes of /proc/PID/name; None where it is gone or not ours to read."""
    # By hand: a file object asks three things more of the kernel, and takes longer than most of these files.
    try:
        file = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            raw = os.read(file, _ENOUGH)
            while more := os.read(file, _ENOUGH):
                raw += more
        finally:
            os.close(file)
    except OSError:
        return None
    return raw
