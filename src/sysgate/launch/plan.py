"""What a child does between clone and execve, step by step: the same things in the same order as CPython's
subprocess (Modules/_posixsubprocess.c, child_exec), then the filter, then the program.
"""

from __future__ import annotations

from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.launch.orders import Orders

# arch/x86/entry/syscalls/syscall_64.tbl
_DUP2, _SENDMSG, _RECVMSG, _EXECVE, _FCNTL, _CHDIR, _UMASK = 33, 46, 47, 59, 72, 80, 95
_SETPGID, _SETSID, _SETREUID, _SETREGID, _SETGROUPS, _PRCTL = 109, 112, 113, 114, 116, 157
_RT_SIGACTION, _RT_SIGPROCMASK, _WRITE, _EXIT_GROUP, _SECCOMP, _CLOSE_RANGE = 13, 14, 1, 231, 317, 436

TICKETED = frozenset({_SENDMSG, _RECVMSG, _EXECVE, _EXIT_GROUP})
"""The calls that a launch makes behind the filter: these pass it by ticket."""
TICKETED_IN_PLACE = frozenset({_WRITE, _EXECVE, _EXIT_GROUP})
"""The same for a process that becomes the program itself."""

_F_SETFD, _SIG_SETMASK, _SIG_IGN, _SIGPIPE, _SIGXFSZ = 2, 2, 1, 13, 25
_SECCOMP_SET_MODE_FILTER, _PR_SET_NO_NEW_PRIVS, _PR_SET_DUMPABLE = 1, 38, 4
_MSG_NOSIGNAL, _SOL_SOCKET, _SCM_RIGHTS, _CMSG_LEN = 0x4000, 1, 1, 20
_LAST_FD = 0xFFFF_FFFF
_ENOENT, _ENOTDIR = 2, 20
FAILED_TO_START = 125

EXECVE, SECCOMP, NO_NEW_PRIVS, CHDIR = "execve", "seccomp", "no_new_privs", "chdir"
REPORTED, HELD, FAILED = "reported", "held", "failed"
"""The names of steps that are asked about afterwards; execve and seccomp are followed by a number."""
CUT_SHORT = "cut short"
"""What stands for a step at which the child just ended."""


Streams = tuple[int | None, int | None, int | None]
UNCHANGED: Streams = (None, None, None)


class Plan(Value):
    """What to start, and how: subprocess's keywords in the kernel's terms.

    paths: the files to try in order. env: entries NAME=value, None for this process's own. streams: descriptors of
    this process that become 0, 1 and 2; None leaves one as it is. keep: the descriptors that pass, all others from 3
    on are closed; None closes none. groups, gid, uid, umask, process_group: None leaves them as they are.
    blocked: the signals it starts with blocked, as bits 1 << (n - 1); None: those of the calling thread. ignored:
    signals it starts with ignored, beside those that this process ignores.
    """

    argv: tuple[bytes, ...]
    paths: tuple[bytes, ...]
    env: tuple[bytes, ...] | None = None
    streams: Streams = UNCHANGED
    keep: tuple[int, ...] | None = None
    cwd: bytes | None = None
    umask: int | None = None
    restore_signals: bool = True
    new_session: bool = False
    process_group: int | None = None
    groups: tuple[int, ...] | None = None
    gid: int | None = None
    uid: int | None = None
    blocked: int | None = None
    ignored: tuple[int, ...] = ()

    @property
    def changes_user(self) -> bool:
        """Whether it must not share memory with this process: who may trace the child could then write here."""
        return self.groups is not None or self.gid is not None or self.uid is not None

    def room(self) -> int:
        """Bytes enough for its steps, strings and tables."""
        texts = (*self.argv, *self.paths, *(self.env or ()), self.cwd or b"")
        steps = 100 + 2 * len(self.keep or ()) + len(self.paths)
        return sum(map(len, texts)) + 24 * len(texts) + 4 * len(self.groups or ()) + 96 * steps


def enter(orders: Orders, plan: Plan, *, caught: int, spare: Sequence[int] = ()) -> None:
    """Add what comes before the filter.

    caught: signals to put back to their default, as a handler must not run in the child; bit 1 << (n - 1).
    spare: descriptors not to close though the program does not get them (they are close-on-exec).
    """
    for fd in plan.keep or ():
        orders.step(_FCNTL, fd, _F_SETFD, 0)
    for number, source in enumerate(plan.streams):
        if source == number:
            orders.step(_FCNTL, number, _F_SETFD, 0)
        elif source is not None:
            orders.step(_DUP2, source, number)
    if plan.cwd is not None:
        orders.step(_CHDIR, orders.place(plan.cwd + b"\0"), name=CHDIR)
    if plan.umask is not None:
        orders.step(_UMASK, plan.umask)
    reset = caught
    if plan.restore_signals:
        reset |= 1 << _SIGPIPE - 1 | 1 << _SIGXFSZ - 1
    default = orders.words(0, 0, 0, 0)  # struct kernel_sigaction: SIG_DFL
    while reset:
        signal = (reset & -reset).bit_length()
        reset &= reset - 1
        orders.step(_RT_SIGACTION, signal, default, 0, 8, orelse="")
    for signal in plan.ignored:
        orders.step(_RT_SIGACTION, signal, orders.words(_SIG_IGN, 0, 0, 0), 0, 8)
    mask = orders.old_mask if plan.blocked is None else orders.words(plan.blocked)
    orders.step(_RT_SIGPROCMASK, _SIG_SETMASK, mask, 0, 8)
    if plan.new_session:
        orders.step(_SETSID)
    if plan.process_group is not None:
        orders.step(_SETPGID, 0, plan.process_group)
    if plan.groups is not None:
        table = b"".join(group.to_bytes(4, "little") for group in plan.groups)
        orders.step(_SETGROUPS, len(plan.groups), orders.place(table))
    if plan.gid is not None:
        orders.step(_SETREGID, plan.gid, plan.gid)
    if plan.uid is not None:
        orders.step(_SETREUID, plan.uid, plan.uid)
    if plan.keep is not None:
        _close_others(orders, sorted({*plan.keep, *spare}))


def _close_others(orders: Orders, keep: Sequence[int]) -> None:
    first = 3
    for fd in keep:
        if fd > first:
            orders.step(_CLOSE_RANGE, first, fd - 1, 0)
        first = max(first, fd + 1)
    orders.step(_CLOSE_RANGE, first, _LAST_FD, 0)


def traceable(orders: Orders) -> None:
    """Add what lets a witness trace a child with memory of its own: it was forked not dumpable (supervise.shield)."""
    orders.step(_PRCTL, _PR_SET_DUMPABLE, 1)


def confine(orders: Orders, program: int, flags: Sequence[int], *, listener: int = 0, refused: str = "failed") -> None:
    """Add the filter: a `struct sock_fprog` at address program, with the first of these flags that the kernel takes.

    listener: an address for the new descriptor's number. refused: the step to go on with where none is taken.
    no_new_privs is set only when the kernel would not without: EACCES, kernel/seccomp.c, seccomp_prepare_filter.
    """
    for attempt in range(2 * len(flags)):
        if attempt == len(flags):
            orders.step(_PRCTL, _PR_SET_NO_NEW_PRIVS, 1, name=NO_NEW_PRIVS, orelse=refused)
        orders.step(
            _SECCOMP,
            _SECCOMP_SET_MODE_FILTER,
            flags[attempt % len(flags)],
            program,
            name=f"{SECCOMP} {attempt % len(flags)}",
            store=listener,
            then="confined",
            orelse=refused if attempt == 2 * len(flags) - 1 else "",
        )
    orders.mark("confined")


def handover(orders: Orders, *, with_listener: bool) -> tuple[int, int]:
    """Place a message of one byte, with a listener or without: its address, and that of the listener's number.

    struct msghdr and cmsghdr: sendmsg(2), unix(7).
    """
    control = orders.words(_CMSG_LEN, _SOL_SOCKET | _SCM_RIGHTS << 32, 0)
    return _message(orders, control, _CMSG_LEN if with_listener else 0), control + 16


def report(orders: Orders, channel: int, message: int, *, hold: bool) -> None:
    """Add the sending of that message on a socket, and with hold the wait for a byte that says to go on."""
    orders.step(_SENDMSG, channel, message, _MSG_NOSIGNAL, name=REPORTED, ticket=True)
    if hold:
        orders.step(_RECVMSG, channel, _message(orders, 0, 0), 0, name=HELD, ticket=True)


def _message(orders: Orders, control: int, control_bytes: int) -> int:
    vector = orders.words(orders.place(bytes(8)), 1)
    return orders.words(0, 0, vector, 1, control, control_bytes, 0)


def execute(orders: Orders, plan: Plan, environment: int) -> None:
    """Add the program's start. environment: the address of what to use where plan.env is None."""
    argv = orders.strings(plan.argv)
    envp = environment if plan.env is None else orders.strings(plan.env)
    for attempt, path in enumerate(plan.paths):
        orders.step(_EXECVE, orders.place(path + b"\0"), argv, envp, name=f"{EXECVE} {attempt}", orelse="", ticket=True)


def give_up(orders: Orders, code: int = FAILED_TO_START, message: bytes = b"") -> None:
    """Add the end of a child that could not start its program: a message on standard error, if any, and exit(code)."""
    if message:
        orders.step(_WRITE, 2, orders.place(message), len(message), orelse="", ticket=True)
    orders.step(_EXIT_GROUP, code, name=FAILED, then="return", orelse="return", ticket=True)


def why_not_executed(errnos: Sequence[int]) -> int:
    """The errno to report when every path failed: the first that is not "no such file", else the last.

    As execvp(3) and CPython's child_exec have it.
    """
    return next((errno for errno in errnos if errno not in (_ENOENT, _ENOTDIR)), errnos[-1])
