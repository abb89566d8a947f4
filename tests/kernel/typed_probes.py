"""Makes each call with garbage in the bits the tables say the kernel drops, and says whether that changed anything.

Run by test_typed_arguments.py as a program of its own, x86_64 only. It moves into namespaces of its own (user, pid,
mount, IPC, network, UTS), so that nothing it does leaves them, and prints JSON: argument → what was seen. Every
single call is made by a fresh child in a fresh folder, and what it did is its result and what `after` saw.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import select
import shutil
import signal
import socket
import stat
import struct
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from sysgate.facts import calls, prototypes

WORD = (1 << 64) - 1
HIGH = (0, 1, 0x8000_0000, 0xFFFF_FFFF)  # tried as the upper half of a register
LOW = (-1, 0x7FFF_FFFF, 0, 1, 2, 3, 0x4000_0000, 77, 0xFFF0)  # tried to find a value that makes a difference
USER = 61184  # an ordinary user nobody is: systemd's range for dynamic users begins here
PATIENCE = 0.3  # seconds until a call that sleeps is interrupted

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_kept: list[object] = []  # memory that calls point at


def syscall(name: str, *words: int) -> int:
    """The kernel's own answer: a result, or -errno."""
    number = calls.number("x86_64", name)
    assert number is not None, name
    ctypes.set_errno(0)
    result: int = _libc.syscall(ctypes.c_long(number), *(ctypes.c_ulong(word & WORD) for word in words))
    return -ctypes.get_errno() if result == -1 and ctypes.get_errno() else result


def memory(data: bytes, size: int = 0) -> int:
    """The address of a copy of data, zeroes behind it."""
    held = ctypes.create_string_buffer(data, max(size, len(data) + 1))
    _kept.append(held)
    return ctypes.addressof(held)


def at(address: int, form: str) -> int:
    """An integer in memory."""
    found: int = struct.unpack(form, ctypes.string_at(address, struct.calcsize(form)))[0]
    return found


def words(*values: int) -> int:
    """The address of 64-bit words."""
    return memory(struct.pack(f"={len(values)}q", *values))


def ints(*values: int) -> int:
    """The address of 32-bit words."""
    return memory(struct.pack(f"={len(values)}i", *values))


class World:
    """What calls are made on: each thing is made when first asked for, in the folder and process of the call."""

    def __init__(self) -> None:
        os.umask(0)
        self.buf = memory(b"", 1 << 16)
        self.pid = os.getpid()

    def path(self, name: str) -> int:
        return memory(name.encode())

    @cached_property
    def f(self) -> int:
        """The name of a file."""
        Path("f").write_bytes(b"x" * 100)
        return self.path("f")

    @cached_property
    def file(self) -> int:
        return os.open(ctypes.string_at(self.f), os.O_RDWR)

    @cached_property
    def other(self) -> int:
        return os.open("other", os.O_RDWR | os.O_CREAT)

    @cached_property
    def link(self) -> int:
        """The name of a symbolic link."""
        os.symlink("target", "l")
        return self.path("l")

    @cached_property
    def folder(self) -> int:
        """A descriptor of a folder that is not the current one, with a file f and a link l in it."""
        os.mkdir("d")
        Path("d/f").write_bytes(b"x" * 100)
        os.symlink("target", "d/l")
        return os.open("d", os.O_RDONLY)

    @cached_property
    def full(self) -> tuple[int, int]:
        """A pipe with ten bytes in it."""
        ends = os.pipe()
        os.write(ends[1], b"0123456789")
        return ends

    @cached_property
    def empty(self) -> tuple[int, int]:
        """A pipe with nothing in it."""
        return os.pipe()

    def pair(self, kind: int = socket.SOCK_STREAM) -> tuple[int, int]:
        """Connected sockets, four bytes on their way to the second."""
        a, b = socket.socketpair(socket.AF_UNIX, kind)
        _kept.extend((a, b))
        a.send(b"data")
        return a.fileno(), b.fileno()

    def sock(self, kind: int = socket.SOCK_STREAM, family: int = socket.AF_UNIX) -> int:
        made = socket.socket(family, kind)
        made.setblocking(False)
        _kept.append(made)
        return made.fileno()

    @cached_property
    def listener(self) -> int:
        """A listening socket with one connection waiting."""
        made, client = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        made.bind("listener")
        made.listen(1)
        made.setblocking(False)
        client.connect("listener")
        _kept.extend((made, client))
        return made.fileno()

    @cached_property
    def receiver(self) -> int:
        """The address of a datagram socket, `size` bytes long."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.bind("receiver")
        _kept.append(made)
        return self.name("receiver")

    def bound(self) -> int:
        """A socket with the name `bound` that does not listen yet."""
        made = socket.socket(socket.AF_UNIX)
        made.bind("bound")
        _kept.append(made)
        return made.fileno()

    def connections(self) -> int:
        """How many connections a socket of that name takes before somebody accepts one: its backlog, and one."""
        taken = 0
        while taken < 9 and syscall("connect", self.sock(), self.name("bound"), 7) == 0:
            taken += 1
        return taken

    def name(self, path: str) -> int:
        return memory(struct.pack("=H", socket.AF_UNIX) + path.encode())

    @cached_property
    def iov(self) -> int:
        """One struct iovec of four bytes."""
        return words(self.buf, 4)

    @cached_property
    def message(self) -> int:
        """A struct mmsghdr, which begins with a struct msghdr."""
        return memory(struct.pack("=QIIQQQQII", 0, 0, 0, self.iov, 1, 0, 0, 0, 0), 64)

    @cached_property
    def pages(self) -> int:
        """Four pages of anonymous memory."""
        held = mmap.mmap(-1, 4 * 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        _kept.append(held)
        return ctypes.addressof(ctypes.c_char.from_buffer(held))

    @cached_property
    def ready(self) -> int:
        """A struct pollfd: an eventfd to be written to, which is possible."""
        return memory(struct.pack("=ihh", self.event, select.POLLOUT, 0))

    @cached_property
    def event(self) -> int:
        return os.eventfd(0)

    @cached_property
    def child(self) -> int:
        """A child that sleeps."""
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
        return pid

    @cached_property
    def zombie(self) -> int:
        """A pidfd of a child that was killed and not waited for."""
        found = os.pidfd_open(self.child)
        os.kill(self.child, signal.SIGKILL)
        select.select([found], [], [], 5)
        return found

    @cached_property
    def me(self) -> int:
        return os.pidfd_open(self.pid)

    def made(self, name: str, *words: int) -> int:
        """What a call makes that must succeed."""
        result = syscall(name, *words)
        if result < 0:
            raise OSError(-result, name)
        return result

    @cached_property
    def alone(self) -> int:
        """0, after moving into an IPC namespace of its own, where no earlier call has left anything."""
        return self.made("unshare", 0x0800_0000)

    @cached_property
    def shm(self) -> int:
        return self.made("shmget", 0x1234 + self.alone, 4096, 0o1600)

    @cached_property
    def sem(self) -> int:
        return self.made("semget", 0x1234 + self.alone, 1, 0o1600)

    @cached_property
    def msg(self) -> int:
        return self.made("msgget", 0x1234 + self.alone, 0o1600)

    @cached_property
    def full_msg(self) -> int:
        """A message queue that takes no more."""
        while syscall("msgsnd", self.msg, words(1), 4096, 0o4000) == 0:
            pass
        return self.msg

    @cached_property
    def few(self) -> int:
        """A struct mq_attr: a user may have few bytes in queues, and dead namespaces give them back late."""
        return words(0, 2, 64, 0, 0, 0, 0, 0)

    @cached_property
    def mq(self) -> int:
        """A POSIX message queue with one message in it."""
        found = self.made("mq_open", self.path("queue") + self.alone, os.O_CREAT | os.O_RDWR, 0o600, self.few)
        self.made("mq_timedsend", found, self.buf, 1, 0, 0)
        return found

    @cached_property
    def timer(self) -> int:
        self.made("timer_create", 1, 0, self.buf)
        return at(self.buf, "=i")

    @cached_property
    def timerfd(self) -> int:
        return self.made("timerfd_create", 1, 0)

    @cached_property
    def epoll(self) -> int:
        found = select.epoll()
        _kept.append(found)
        return found.fileno()

    @cached_property
    def inotify(self) -> int:
        return self.made("inotify_init1", 0)

    @cached_property
    def watch(self) -> int:
        return self.made("inotify_add_watch", self.inotify, self.f, 2)

    @cached_property
    def fanotify(self) -> int:
        return self.made("fanotify_init", 0x200, 0)

    @cached_property
    def key(self) -> int:
        """The description of a key in the process keyring."""
        self.made("add_key", self.path("user"), self.path("a"), self.buf, 1, -2)
        return self.path("a")

    @cached_property
    def mount(self) -> int:
        """The name of a tmpfs's root, in a mount namespace of this process."""
        self.made("unshare", 0x0002_0000)
        os.mkdir("m")
        self.made("mount", self.path("tmpfs"), self.path("m"), self.path("tmpfs"), 0, 0)
        return self.path("m")

    @cached_property
    def root(self) -> int:
        """A descriptor of that root."""
        return os.open(ctypes.string_at(self.mount), os.O_RDONLY)

    @cached_property
    def detached(self) -> int:
        """A copy of that mount which is nowhere yet."""
        return self.made("open_tree", self.root, self.path(""), 0x1001)

    @cached_property
    def mount_id(self) -> int:
        """The number of the mount this folder lies on: STATX_MNT_ID_UNIQUE, include/uapi/linux/stat.h."""
        self.made("statx", -100, self.path("."), 0, 0x4000, self.buf)
        return at(self.buf + 0x90, "=Q")

    @cached_property
    def fs(self) -> int:
        """A tmpfs being configured."""
        return self.made("fsopen", self.path("tmpfs"), 0)

    @cached_property
    def created(self) -> int:
        """A tmpfs configured, to be mounted."""
        self.made("fsconfig", self.fs, 6, 0, 0, 0)
        return self.fs

    @cached_property
    def handle(self) -> int:
        found = memory(struct.pack("=Ii", 128, 0), 256)
        self.made("name_to_handle_at", -100, self.f, found, self.buf, 0)
        return found

    @cached_property
    def ruleset(self) -> int:
        self.made("prctl", 38, 1, 0, 0, 0)
        return self.made("landlock_create_ruleset", words(1), 8, 0)

    @cached_property
    def ring(self) -> int:
        """An io_uring with one no-op to be submitted. Layout: struct io_uring_params, include/uapi/linux/io_uring.h."""
        params = memory(b"", 120)
        ring = self.made("io_uring_setup", 1, params)
        queue = mmap.mmap(ring, 4096, mmap.MAP_SHARED | mmap.MAP_POPULATE, offset=0)
        _kept.append(queue)
        tail = at(params + 40 + 4, "=I")  # sq_off.tail; the array and the entries are zero, IORING_OP_NOP
        queue[tail : tail + 4] = struct.pack("=I", 1)
        return ring

    @cached_property
    def rseq(self) -> int:
        """The restartable-sequences area that glibc registered for this thread."""
        self.made("arch_prctl", 0x1003, self.buf)
        return at(self.buf, "=Q") + ctypes.c_ssize_t.in_dll(_libc, "__rseq_offset").value

    @cached_property
    def slept_on(self) -> int:
        """A futex on which two children sleep. They come by FUTEX_CMP_REQUEUE, which counts those that do sleep."""
        shared = mmap.mmap(-1, 4096)
        _kept.append(shared)
        first = ctypes.addressof(ctypes.c_char.from_buffer(shared))
        for _ in range(2):
            if os.fork() == 0:
                syscall("futex", first, 0, 0, 0, 0, 0)
                os._exit(0)
        moved = 0
        while moved < 2:
            moved += max(0, syscall("futex", first, 4, 0, 9, first + 64, 0))
        return first + 64


class Probe:
    """How a call is made so that its arguments show: each base has some of them matter."""

    def __init__(
        self,
        *bases: Callable[[World], tuple[int, ...]],
        after: Callable[[World, int], object] | None = None,
        low: dict[str, Sequence[int]] | None = None,
        number: bool = True,
        patient: bool = False,
    ) -> None:
        self.bases = bases
        self.after = after  # what to look at besides the result
        self.low = low or {}  # by argument, values that make a difference, where those of LOW do not
        self.number = number  # False: the result is a new number each time
        self.patient = patient  # True: the call is about the very timer that interrupts others


def mode_of(name: str) -> Callable[[World, int], object]:
    return lambda world, result: oct(os.lstat(name).st_mode) if os.path.lexists(name) else None


def _clone(world: World) -> tuple[int, ...]:
    return 17, 0, 0, 0, 0


P = Probe
CWD = -100
ZERO = (0, 0)

PROBES: dict[str, Probe] = {
    "read": P(lambda w: (w.file, w.buf, 4)),
    "write": P(lambda w: (w.file, w.buf, 4)),
    "open": P(lambda w: (w.path("n"), os.O_CREAT | os.O_RDWR, 0o640), after=mode_of("n")),
    "close": P(lambda w: (w.file,)),
    "fstat": P(lambda w: (w.file, w.buf)),
    "poll": P(lambda w: (w.ready, 1, 0), lambda w: (w.buf, 0, 0)),
    "lseek": P(lambda w: (w.file, 10, 0)),
    "mmap": P(lambda w: (0, 4096, 1, 2, w.file, 0), number=False),
    "rt_sigaction": P(lambda w: (10, 0, w.buf, 8)),
    "rt_sigprocmask": P(lambda w: (0, words(1 << 9), w.buf, 8)),
    "ioctl": P(lambda w: (w.full[0], 0x541B, w.buf), after=lambda w, _: at(w.buf, "=i")),  # FIONREAD
    "pread64": P(lambda w: (w.file, w.buf, 4, 0)),
    "pwrite64": P(lambda w: (w.file, w.buf, 4, 0)),
    "readv": P(lambda w: (w.file, w.iov, 1)),
    "writev": P(lambda w: (w.file, w.iov, 1)),
    "access": P(lambda w: (w.f, 4)),
    "select": P(lambda w: (w.event + 1, 0, words(1 << w.event), 0, words(*ZERO))),
    "msync": P(lambda w: (w.pages, 4096, 1)),
    "madvise": P(lambda w: (w.pages, 4096, 0)),
    "shmget": P(lambda w: (w.shm and 0x1234, 4096, 0), lambda w: (w.alone + 0x777, 4096, 0o1600), number=False),
    "shmat": P(lambda w: (w.shm, 0, 0o10000), low={"shmflg": (0o40000,)}, number=False),  # SHM_REMAP wants an address
    "shmctl": P(lambda w: (w.shm, 2, w.buf), number=False),
    "dup": P(lambda w: (w.file,)),
    "dup2": P(lambda w: (w.file, 40)),
    "getitimer": P(lambda w: (0, w.buf)),
    "alarm": P(lambda w: (100,), after=lambda *_: signal.alarm(0), patient=True),
    "setitimer": P(lambda w: (1, words(0, 0, 100, 0), 0)),
    "sendfile": P(lambda w: (w.empty[1], w.file, 0, 4)),
    "socket": P(lambda w: (1, 1, 0)),
    "connect": P(lambda w: (w.listener and w.sock(), w.name("listener"), 10)),
    "accept": P(lambda w: (w.listener, 0, 0)),
    "sendto": P(lambda w: (w.pair()[0], w.buf, 4, 0, 0, 0), lambda w: (w.sock(2), w.buf, 4, 0, w.receiver, 10)),
    "recvfrom": P(lambda w: (w.pair()[1], w.buf, 8, 0x40, 0, 0)),
    "sendmsg": P(lambda w: (w.pair(2)[0], w.message, 0)),
    "recvmsg": P(lambda w: (w.pair(2)[1], w.message, 0x40)),
    "shutdown": P(lambda w: (w.pair()[0], 0)),
    "bind": P(lambda w: (w.sock(), w.name("bound"), 7)),
    "listen": P(lambda w: (w.bound(), 1), after=lambda w, _: w.connections(), low={"backlog": (3,)}),
    "getsockname": P(lambda w: (w.pair()[0], w.buf, ints(100))),
    "getpeername": P(lambda w: (w.pair()[0], w.buf, ints(100))),
    "socketpair": P(lambda w: (1, 1, 0, w.buf)),
    "setsockopt": P(lambda w: (w.sock(), 1, 2, ints(1), 4)),
    "getsockopt": P(lambda w: (w.sock(), 1, 3, w.buf, ints(4)), after=lambda w, _: at(w.buf, "=i")),
    "clone": P(_clone, low={"clone_flags": (0x10000 | 17,)}, number=False),  # CLONE_THREAD alone is refused
    "exit": P(lambda w: (5,)),
    "wait4": P(lambda w: (w.child, w.buf, 1, 0)),
    "kill": P(lambda w: (w.pid, 0), low={"pid": (0x7FFF_FFFF,), "sig": (77, -1)}),
    "semget": P(lambda w: (w.sem and 0x1234, 1, 0), lambda w: (w.alone + 0x777, 1, 0o1600), number=False),
    "semop": P(lambda w: (w.sem, memory(struct.pack("=Hhh", 0, 1, 0)), 1)),
    "semctl": P(
        lambda w: (w.sem, 0, 12, 0), lambda w: (w.sem, 0, 16, 7), after=lambda w, _: w.made("semctl", w.sem, 0, 12)
    ),
    "msgget": P(lambda w: (w.msg and 0x1234, 0), lambda w: (w.alone + 0x777, 0o1600), number=False),
    "msgsnd": P(lambda w: (w.full_msg, words(1), 4096, 0o4000)),
    "msgrcv": P(lambda w: (w.msg, w.buf, 100, 0, 0o4000)),
    "msgctl": P(lambda w: (w.msg, 2, w.buf), number=False),
    "fcntl": P(lambda w: (w.file, 1, 0), lambda w: (w.file, 0, 45)),
    "flock": P(lambda w: (w.file, 6)),
    "fsync": P(lambda w: (w.file,)),
    "fdatasync": P(lambda w: (w.file,)),
    "ftruncate": P(lambda w: (w.file, 10)),
    "getdents": P(lambda w: (w.folder, w.buf, 4096)),
    "fchdir": P(lambda w: (w.folder,)),
    "mkdir": P(lambda w: (w.path("n"), 0o750), after=mode_of("n")),
    "creat": P(lambda w: (w.path("n"), 0o640), after=mode_of("n")),
    "readlink": P(lambda w: (w.link, w.buf, 100)),
    "chmod": P(lambda w: (w.f, 0o640), after=mode_of("f")),
    "fchmod": P(lambda w: (w.file, 0o640), after=mode_of("f")),
    "chown": P(lambda w: (w.f, 0, 0), lambda w: (w.f, -1, -1)),
    "fchown": P(lambda w: (w.file, 0, 0), lambda w: (w.file, -1, -1)),
    "lchown": P(lambda w: (w.f, 0, 0), lambda w: (w.f, -1, -1)),
    "umask": P(lambda w: (0o22,), after=lambda *_: os.umask(0)),
    "getrlimit": P(lambda w: (7, w.buf)),
    "getrusage": P(lambda w: (0, w.buf)),
    "ptrace": P(lambda w: (0x4206, w.child, 0, 0)),  # PTRACE_SEIZE
    "setuid": P(lambda w: (0,)),
    "setgid": P(lambda w: (0,)),
    "setpgid": P(lambda w: (0, 0)),
    "setreuid": P(lambda w: (0, 0), lambda w: (-1, -1)),
    "setregid": P(lambda w: (0, 0), lambda w: (-1, -1)),
    "getgroups": P(lambda w: (0, 0)),
    "setresuid": P(lambda w: (0, 0, 0), lambda w: (-1, -1, -1)),
    "setresgid": P(lambda w: (0, 0, 0), lambda w: (-1, -1, -1)),
    "getpgid": P(lambda w: (0,), low={"pid": (0x7FFF_FFFF,)}, number=False),
    "getsid": P(lambda w: (0,), low={"pid": (0x7FFF_FFFF,)}, number=False),
    "rt_sigqueueinfo": P(lambda w: (w.pid, 0, ints(0, 0, -1)), low={"pid": (0x7FFF_FFFF,), "sig": (77,)}),
    "mknod": P(
        lambda w: (w.path("n"), stat.S_IFIFO | 0o640, 0), lambda w: (w.path("n"), stat.S_IFCHR, 0), after=mode_of("n")
    ),
    "personality": P(lambda w: (8,), after=lambda *_: syscall("personality", 0xFFFF_FFFF)),
    "ustat": P(lambda w: (os.stat(ctypes.string_at(w.f)).st_dev, w.buf)),
    "fstatfs": P(lambda w: (w.file, w.buf)),
    "sysfs": P(lambda w: (3, 0, 0)),
    "getpriority": P(lambda w: (0, 0), low={"who": (0x7FFF_FFFF,)}),
    "setpriority": P(
        lambda w: (0, 0, 19),
        after=lambda *_: syscall("getpriority", 0, 0),
        low={"which": (77,), "who": (0x7FFF_FFFF,), "niceval": (15,)},
    ),
    "sched_setparam": P(lambda w: (0, ints(0))),
    "sched_getparam": P(lambda w: (0, w.buf)),
    "sched_setscheduler": P(lambda w: (0, 3, ints(0))),
    "sched_getscheduler": P(lambda w: (0,)),
    "sched_get_priority_max": P(lambda w: (1,)),
    "sched_get_priority_min": P(lambda w: (1,)),
    "sched_rr_get_interval": P(lambda w: (0, w.buf)),
    "mlockall": P(lambda w: (0,)),
    "modify_ldt": P(lambda w: (0, w.buf, 0)),
    "prctl": P(lambda w: (3, 0, 0, 0, 0)),
    "arch_prctl": P(lambda w: (0x1003, w.buf)),
    "setrlimit": P(lambda w: (7, words(64, 64))),
    "umount2": P(lambda w: (w.mount, 2)),
    "swapon": P(lambda w: (w.f, 0)),
    "sethostname": P(lambda w: (w.path("abc"), 3)),
    "setdomainname": P(lambda w: (w.path("abc"), 3)),
    "iopl": P(lambda w: (0,)),
    "ioperm": P(lambda w: (0, 1, 0)),
    "quotactl": P(lambda w: (0x8000_0100, 0, 0, 0)),  # QCMD(Q_SYNC, USRQUOTA)
    "readahead": P(lambda w: (w.file, 0, 4096)),
    "setxattr": P(lambda w: (w.f, w.path("user.a"), w.buf, 1, 0)),
    "lsetxattr": P(lambda w: (w.f, w.path("user.a"), w.buf, 1, 0)),
    "fsetxattr": P(lambda w: (w.file, w.path("user.a"), w.buf, 1, 0)),
    "fgetxattr": P(lambda w: (w.file, w.path("user.a"), w.buf, 1)),
    "flistxattr": P(lambda w: (w.file, w.buf, 100)),
    "fremovexattr": P(lambda w: (w.file, w.path("user.a"))),
    "tkill": P(lambda w: (w.pid, 0)),
    "futex": P(lambda w: (w.buf, 1, 1, 0, 0, 0), lambda w: (w.buf, 0, 5, 0, 0, 0), lambda w: (w.buf, 9, 5, 0, 0, 1)),
    "sched_setaffinity": P(lambda w: (0, 8, words(-1))),
    "sched_getaffinity": P(lambda w: (0, 1024, w.buf)),
    "io_setup": P(lambda w: (1, w.buf)),
    "epoll_create": P(lambda w: (1,)),
    "getdents64": P(lambda w: (w.folder, w.buf, 4096)),
    "semtimedop": P(lambda w: (w.sem, memory(struct.pack("=Hhh", 0, 1, 0)), 1, 0)),
    "fadvise64": P(lambda w: (w.file, 0, 0, 0)),
    "timer_create": P(lambda w: (1, 0, w.buf)),
    "timer_settime": P(
        lambda w: (w.timer, 0, words(0, 0, 1, 0), 0),
        after=lambda w, _: syscall("timer_gettime", w.timer, w.buf) or at(w.buf + 24, "=q") > 0,
        low={"flags": (1,)},
    ),
    "timer_gettime": P(lambda w: (w.timer, w.buf)),
    "timer_getoverrun": P(lambda w: (w.timer,)),
    "timer_delete": P(lambda w: (w.timer,)),
    "clock_settime": P(lambda w: (0, words(*ZERO))),
    "clock_gettime": P(lambda w: (1, w.buf)),
    "clock_getres": P(lambda w: (1, w.buf)),
    "clock_nanosleep": P(lambda w: (1, 1, words(1, 0), 0)),
    "exit_group": P(lambda w: (5,)),
    "epoll_wait": P(lambda w: (w.epoll, w.buf, 1, 0)),
    "epoll_ctl": P(lambda w: (w.epoll, 1, w.full[0], w.buf)),
    "tgkill": P(lambda w: (w.pid, w.pid, 0)),
    "mbind": P(lambda w: (w.pages, 4096, 0, 0, 0, 0)),
    "set_mempolicy": P(lambda w: (0, 0, 0)),
    "mq_open": P(
        lambda w: (w.path("q") + w.alone, os.O_CREAT | os.O_RDWR, 0o640, w.few),
        after=lambda _, fd: oct(os.fstat(fd).st_mode) if fd > 0 else None,
    ),
    "mq_timedsend": P(lambda w: (w.mq, w.buf, 1, 0, 0)),
    "mq_timedreceive": P(lambda w: (w.mq, w.buf, 8192, 0, 0)),
    "mq_notify": P(lambda w: (w.mq, 0)),
    "mq_getsetattr": P(lambda w: (w.mq, 0, w.buf)),
    "waitid": P(lambda w: (1, w.child, w.buf, 5, 0)),
    "add_key": P(lambda w: (w.path("user"), w.path("a"), w.buf, 1, -2), low={"ringid": (0x7FFF_FFFF,)}, number=False),
    "request_key": P(lambda w: (w.path("user"), w.key, 0, -2), low={"destringid": (0x7FFF_FFFF,)}, number=False),
    "keyctl": P(lambda w: (0, -3, 0, 0, 0), number=False),
    "ioprio_set": P(lambda w: (1, 0, 2 << 13 | 4), low={"which": (77,), "who": (0x7FFF_FFFF,)}),
    "ioprio_get": P(lambda w: (1, 0)),
    "inotify_add_watch": P(lambda w: (w.inotify, w.f, 2)),
    "inotify_rm_watch": P(lambda w: (w.watch and w.inotify, w.watch)),
    "migrate_pages": P(lambda w: (0, 2, words(1), words(1))),
    "openat": P(
        lambda w: (w.folder, w.path("n"), os.O_CREAT | os.O_RDWR, 0o640),
        lambda w: (CWD, w.f, 0, 0),
        after=mode_of("d/n"),
    ),
    "mkdirat": P(lambda w: (w.folder, w.path("n"), 0o750), after=mode_of("d/n")),
    "mknodat": P(
        lambda w: (w.folder, w.path("n"), stat.S_IFIFO | 0o640, 0),
        lambda w: (w.folder, w.path("n"), stat.S_IFCHR, 0),
        after=mode_of("d/n"),
    ),
    "fchownat": P(lambda w: (w.folder, w.f, 0, 0, 0)),
    "futimesat": P(lambda w: (w.folder, w.f, 0)),
    "newfstatat": P(lambda w: (w.folder, w.f, w.buf, 0)),
    "unlinkat": P(lambda w: (w.folder, w.f, 0)),
    "renameat": P(lambda w: (w.folder, w.f, w.folder, w.path("n"))),
    "linkat": P(lambda w: (w.folder, w.f, w.folder, w.path("n"), 0)),
    "symlinkat": P(lambda w: (w.path("x"), w.folder, w.path("n"))),
    "readlinkat": P(lambda w: (w.folder, w.link, w.buf, 100)),
    "fchmodat": P(lambda w: (w.folder, w.f, 0o640), after=mode_of("d/f")),
    "faccessat": P(lambda w: (w.folder, w.f, 4)),
    "pselect6": P(lambda w: (w.event + 1, 0, words(1 << w.event), 0, words(*ZERO), 0)),
    "ppoll": P(lambda w: (w.ready, 1, words(*ZERO), 0, 0)),
    "get_robust_list": P(lambda w: (0, w.buf, w.buf + 8)),
    "splice": P(lambda w: (w.full[0], 0, w.empty[1], 0, 4, 0)),
    "tee": P(lambda w: (w.full[0], w.empty[1], 4, 0)),
    "sync_file_range": P(lambda w: (w.file, 0, 0, 0)),
    "vmsplice": P(lambda w: (w.empty[1], w.iov, 1, 0)),
    "move_pages": P(lambda w: (0, 0, 0, 0, 0, 2)),
    "utimensat": P(lambda w: (w.folder, w.f, 0, 0)),
    "epoll_pwait": P(lambda w: (w.epoll, w.buf, 1, 0, 0, 8)),
    "signalfd": P(lambda w: (-1, w.buf, 8)),
    "timerfd_create": P(lambda w: (1, 0)),
    "eventfd": P(lambda w: (5,), after=lambda _, fd: os.eventfd_read(fd) if fd > 0 else None),
    "fallocate": P(lambda w: (w.file, 0, 0, 100)),
    "timerfd_settime": P(lambda w: (w.timerfd, 0, words(0, 0, 1, 0), 0)),
    "timerfd_gettime": P(lambda w: (w.timerfd, w.buf)),
    "accept4": P(lambda w: (w.listener, 0, 0, 0)),
    "signalfd4": P(lambda w: (-1, w.buf, 8, 0)),
    "eventfd2": P(lambda w: (5, 0), after=lambda _, fd: os.eventfd_read(fd) if fd > 0 else None),
    "epoll_create1": P(lambda w: (0,)),
    "dup3": P(lambda w: (w.file, 40, 0)),
    "pipe2": P(lambda w: (w.buf, 0)),
    "inotify_init1": P(lambda w: (0,)),
    "preadv": P(lambda w: (w.file, w.iov, 1, 0, 0)),
    "pwritev": P(lambda w: (w.file, w.iov, 1, 0, 0)),
    "rt_tgsigqueueinfo": P(lambda w: (w.pid, w.pid, 0, ints(0, 0, -1))),
    # A software event of one's own: PERF_TYPE_SOFTWARE, PERF_ATTR_SIZE_VER0, exclude_kernel | exclude_hv.
    "perf_event_open": P(lambda w: (memory(struct.pack("=IIQQQQQ", 1, 64, 0, 0, 0, 0, 0x60), 64), 0, -1, -1, 0)),
    "recvmmsg": P(lambda w: (w.pair(2)[1], w.message, 1, 0x40, 0)),
    "fanotify_init": P(lambda w: (0x200, 0)),  # FAN_REPORT_FID: open to everybody
    "fanotify_mark": P(lambda w: (w.fanotify, 1, 2, w.folder, w.f)),
    "prlimit64": P(lambda w: (0, 7, 0, w.buf)),
    "name_to_handle_at": P(lambda w: (w.folder, w.f, memory(struct.pack("=Ii", 128, 0), 256), w.buf, 0)),
    "open_by_handle_at": P(lambda w: (w.file, w.handle, 0)),
    "clock_adjtime": P(lambda w: (0, memory(b"", 256)), number=False),
    "syncfs": P(lambda w: (os.memfd_create("m"),)),
    "sendmmsg": P(lambda w: (w.pair(2)[0], w.message, 1, 0)),
    "setns": P(lambda w: (os.open("/proc/self/ns/uts", os.O_RDONLY), 0x0400_0000)),
    "process_vm_readv": P(lambda w: (w.pid, w.iov, 1, w.iov, 1, 0)),
    "process_vm_writev": P(lambda w: (w.pid, w.iov, 1, w.iov, 1, 0)),
    "kcmp": P(lambda w: (w.pid, w.pid, 0, w.file, w.file)),
    "sched_setattr": P(lambda w: (0, memory(struct.pack("=II", 48, 0), 48), 0)),
    "sched_getattr": P(lambda w: (0, w.buf, 56, 0)),
    "renameat2": P(lambda w: (w.folder, w.f, w.folder, w.path("n"), 0)),
    "seccomp": P(lambda w: (2, 0, ints(0x7FFF_0000))),  # SECCOMP_GET_ACTION_AVAIL, SECCOMP_RET_ALLOW
    "getrandom": P(lambda w: (w.buf, 4, 0)),
    "memfd_create": P(lambda w: (w.path("m"), 0)),
    "execveat": P(
        lambda w: (os.open("/bin/true", os.O_RDONLY), w.path(""), words(w.path("true"), 0), words(0), 0x1000)
    ),
    "userfaultfd": P(lambda w: (1,)),  # UFFD_USER_MODE_ONLY
    "membarrier": P(lambda w: (0, 0, 0), number=False),
    "mlock2": P(lambda w: (w.pages, 4096, 0)),
    "copy_file_range": P(lambda w: (w.file, 0, w.other, 0, 4, 0)),
    "preadv2": P(lambda w: (w.file, w.iov, 1, 0, 0, 0)),
    "pwritev2": P(lambda w: (w.file, w.iov, 1, 0, 0, 0)),
    "pkey_mprotect": P(lambda w: (w.pages, 4096, 1, -1)),
    "pkey_free": P(lambda w: (max(0, syscall("pkey_alloc", 0, 0)),)),
    "statx": P(lambda w: (w.folder, w.f, 0, 0x7FF, w.buf), low={"mask": (0x8000_0000,)}),
    "rseq": P(lambda w: (w.rseq, 32, 0, 0x5305_3053)),  # registered already; another length, flag or signature is worse
    "pidfd_send_signal": P(lambda w: (w.me, 0, 0, 0)),
    "io_uring_setup": P(lambda w: (1, memory(b"", 120))),
    "io_uring_enter": P(lambda w: (w.ring, 1, 0, 0, 0, 0), lambda w: (w.ring, 0, 0, 1, 0, 0)),
    "io_uring_register": P(lambda w: (w.ring, 8, w.buf, 1)),  # IORING_REGISTER_PROBE
    "open_tree": P(lambda w: (w.folder, w.f, 0)),
    "move_mount": P(lambda w: (w.detached, w.path(""), w.root, w.path(""), 0x44)),
    "fsopen": P(lambda w: (w.path("tmpfs"), 0)),
    "fsconfig": P(lambda w: (w.fs, 1, w.path("size"), w.path("4096"), 0)),
    "fsmount": P(lambda w: (w.created, 0, 0)),
    "fspick": P(lambda w: (w.root, w.path(""), 8)),
    "pidfd_open": P(lambda w: (w.pid, 0), low={"pid": (0x7FFF_FFFF,)}),
    "close_range": P(lambda w: (w.file, w.file, 0)),
    "openat2": P(lambda w: (w.folder, w.f, words(0, 0, 0), 24)),
    "pidfd_getfd": P(lambda w: (w.me, w.file, 0)),
    "faccessat2": P(lambda w: (w.folder, w.f, 4, 0)),
    "process_madvise": P(lambda w: (w.me, words(w.pages, 4096), 1, 20, 0)),  # MADV_COLD
    "epoll_pwait2": P(lambda w: (w.epoll, w.buf, 1, words(*ZERO), 0, 8)),
    "mount_setattr": P(lambda w: (w.root, w.path(""), 0x1000, words(1, 0, 0, 0), 32)),
    "quotactl_fd": P(lambda w: (w.file, 0x8000_0400, 0, w.buf)),  # QCMD(Q_GETFMT, USRQUOTA)
    "landlock_create_ruleset": P(lambda w: (0, 0, 1)),
    "landlock_add_rule": P(lambda w: (w.ruleset, 1, memory(struct.pack("=Qi", 1, w.folder)), 0)),
    "landlock_restrict_self": P(lambda w: (w.ruleset, 0)),
    "memfd_secret": P(lambda w: (0,)),
    "process_mrelease": P(lambda w: (w.zombie, 0)),
    "futex_waitv": P(lambda w: (words(5, w.buf, 2), 1, 0, words(*ZERO), 1)),
    "cachestat": P(lambda w: (w.file, words(0, 4096), w.buf, 0)),
    "fchmodat2": P(lambda w: (w.folder, w.f, 0o640, 0), after=mode_of("d/f")),
    "map_shadow_stack": P(lambda w: (0, 4096, 0), number=False),
    "futex_wake": P(lambda w: (w.slept_on, 0xFFFF_FFFF, 1, 2)),
    "futex_wait": P(lambda w: (w.buf, 5, 0xFFFF_FFFF, 2, words(*ZERO), 1)),
    "futex_requeue": P(lambda w: (words(0, w.slept_on, 2, 0, w.slept_on + 64, 2), 0, 1, 1)),
    "statmount": P(lambda w: (words(24, w.mount_id, 1), w.buf, 512, 0)),
    "listmount": P(lambda w: (words(24, -1, 0), w.buf, 1, 0)),
    "lsm_get_self_attr": P(lambda w: (100, w.buf, ints(4096), 0)),
    "lsm_set_self_attr": P(lambda w: (100, words(0, 0, 32, 0), 32, 0)),
    "lsm_list_modules": P(lambda w: (w.buf, ints(4096), 0)),
    "setxattrat": P(lambda w: (w.folder, w.f, 0, w.path("user.a"), words(w.buf, 1), 16)),
    "getxattrat": P(lambda w: (w.folder, w.f, 0, w.path("user.a"), words(w.buf, 1), 16)),
    "listxattrat": P(lambda w: (w.folder, w.f, 0, w.buf, 100)),
    "removexattrat": P(lambda w: (w.folder, w.f, 0, w.path("user.a"))),
    "open_tree_attr": P(lambda w: (w.root, w.path(""), 0x1001, words(0, 0, 0, 0), 32)),
    "file_getattr": P(lambda w: (w.folder, w.f, w.buf, 24, 0)),
    "file_setattr": P(lambda w: (w.folder, w.f, memory(b"", 24), 24, 0)),
    "listns": P(lambda w: (words(32, 0, 0, 0), w.buf, 1, 0)),
}
# Made as root outside the namespaces, for root there may not. They read, or change the child alone.
AS_ROOT: dict[str, Probe] = {
    "bpf": P(lambda w: (12, w.buf, 16)),  # BPF_MAP_GET_NEXT_ID
    "syslog": P(lambda w: (10, 0, 0), lambda w: (3, w.buf, 0), number=False),  # SIZE_BUFFER, READ_ALL
    "setfsuid": P(lambda w: (1234,), after=lambda *_: syscall("setfsuid", -1)),
    "setfsgid": P(lambda w: (1234,), after=lambda *_: syscall("setfsgid", -1)),
    "setgroups": P(lambda w: (1, ints(1234))),
}


def seen(name: str, probe: Probe, base: int, change: Callable[[list[int]], None]) -> str:
    """What a call does: its result, as a fresh child in a fresh folder sees it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            os.write(writer, _made(name, probe, base, change).encode())
        except OSError as error:  # what the call is made on cannot be had here
            os.write(writer, f"no {error}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    ready = select.select([reader], [], [], 10)[0]
    told = os.read(reader, 4096).decode() if ready else "blocked"
    if not ready:
        os.kill(child, signal.SIGKILL)
    os.close(reader)
    _, status = os.waitpid(child, 0)
    return told or f"ended {os.waitstatus_to_exitcode(status)}"


def _made(name: str, probe: Probe, base: int, change: Callable[[list[int]], None]) -> str:
    folder = tempfile.mkdtemp(dir=".")
    os.chdir(folder)
    world = World()
    registers = [word & WORD for word in probe.bases[base](world)]
    change(registers)
    # A call that sleeps is interrupted, again and again, for one signal may come before it sleeps.
    signal.signal(signal.SIGALRM, lambda *_: None)
    if not probe.patient:
        signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)
    result = syscall(name, *registers)
    if os.getpid() != world.pid:  # the child of clone
        os._exit(0)
    if result == -4:
        return "blocked"
    shown = f"{result}" if result < 0 or probe.number else "done"
    return shown if probe.after is None else f"{shown}, {probe.after(world, result)}"


def judged(name: str, probe: Probe) -> dict[str, dict[str, object]]:
    """For each argument but pointers: what garbage above its bits changed, and what another value changed.

    Of an argument with 64 bits the upper half is taken for garbage; that it changes nothing is then the surprise.
    """
    prototype = prototypes.prototype(name, "x86_64")
    assert prototype is not None
    plain = [seen(name, probe, base, lambda registers: None) for base in range(len(probe.bases))]
    found: dict[str, dict[str, object]] = {}
    for position, argument in enumerate(prototype.args or ()):
        if argument.kind not in {"pointer", "path", "string", "address"}:
            lows, bits = probe.low.get(argument.name, LOW), min(argument.bits, 32)
            changes = _judged(name, probe, plain, position, bits, lows)
            found[argument.name] = {"bits": argument.bits, "plain": plain, **changes}
    return found


def _judged(
    name: str, probe: Probe, plain: list[str], position: int, bits: int, lows: Sequence[int]
) -> dict[str, object]:
    changed, differs = [], None

    def with_value(base: int, high: int, low: int | None) -> str:
        def put(registers: list[int]) -> None:
            value = registers[position] if low is None else low
            registers[position] = (value & ((1 << bits) - 1) | high << bits) & WORD

        return seen(name, probe, base, put)

    def pour(base: int, expected: str, low: int | None) -> None:
        for high in HIGH:
            got = with_value(base, high, low)
            # What another process does to a sleeping child (it goes back to where it was before a requeue) passes.
            if got != expected and with_value(base, high, low) == got:
                changed.append(f"{high:#x} above {bits} bits: {got}, not {expected}")

    for base, expected in enumerate(plain):
        pour(base, expected, None)
        for low in () if differs else lows:
            other = with_value(base, 0, low)
            if other != expected:
                differs = f"{low}: {other}, not {expected}"
                pour(base, other, low)  # nor does garbage make another value of this one
                break
    return {"changed": changed, "differs": differs}


def confine() -> str:
    """Move into new namespaces as their root; "" or why that cannot be."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
        syscall("prctl", 4, 1, 0, 0, 0)  # dumpable again, or /proc/self belongs to root
    uid, gid = os.geteuid(), os.getegid()
    # CLONE_NEWUSER, NEWNS, NEWPID, NEWIPC, NEWNET, NEWUTS
    result = syscall("unshare", 0x1000_0000 | 0x0002_0000 | 0x2000_0000 | 0x0800_0000 | 0x4000_0000 | 0x0400_0000)
    if result < 0:
        return f"user namespaces are not to be had: {os.strerror(-result)}"
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    syscall("mount", 0, memory(b"/"), 0, 0x44000, 0)  # MS_REC | MS_PRIVATE
    return ""


def lines(probes: dict[str, Probe]) -> None:
    for name, probe in probes.items():
        if calls.number("x86_64", name) is not None:
            print(json.dumps({name: judged(name, probe)}), flush=True)


def main() -> None:
    top = tempfile.mkdtemp(prefix="sysgate-probes-")
    os.chmod(top, 0o777)
    os.chdir(top)
    wanted = sys.argv[1:]
    chosen = {name: probe for name, probe in PROBES.items() if not wanted or name in wanted}
    if os.geteuid() == 0:
        lines({name: probe for name, probe in AS_ROOT.items() if not wanted or name in wanted})
    # The one who confines itself does so in a child: this process stays as it is, to clean up.
    child = os.fork()
    if child == 0:
        reason = confine()
        if reason:
            print(json.dumps({"": reason}), flush=True)
            os._exit(0)
        inner = os.fork()  # the first process of the pid namespace
        if inner == 0:
            lines(chosen)
            os._exit(0)
        os.waitpid(inner, 0)
        os._exit(0)
    os.waitpid(child, 0)
    shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
