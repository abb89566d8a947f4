"""What this kernel and this user can do: each tried, none guessed from a version."""

from __future__ import annotations

import errno
import os
from _struct import pack

from sysgate.action import Action
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_KINDS = ("kill_process", "kill_thread", "trap", "errno", "notify", "trace", "log", "allow")
_NR = {"bpf": 321, "clone3": 435, "landlock_create_ruleset": 444}  # x86-64; the last two are the same everywhere
_BPF_MAP_CREATE, _BPF_MAP_TYPE_ARRAY = 0, 2
_LANDLOCK_CREATE_RULESET_VERSION = 1


class Abilities(Value):
    """What can be relied on here. Pass one with less to `run` or `install` to see what a lesser kernel would do.

    kernel: its release; machine: its architecture. launch: whether programs can be started behind a policy.
    actions: the kinds of action it has. flags: the seccomp flags it has (names of kernel.seccomp.FLAGS).
    notify: whether a filter of this process can have a listener. wait_killable: whether only a deadly signal takes a
    call away from it (Linux 5.19). no_new_privs_needed: whether it must be set before a filter.
    ptrace, read_memory: whether a child may be traced, its memory read. clone3: whether it drops signal handlers.
    pidfd: whether processes have descriptors. ebpf: whether maps can be made (programs need more).
    landlock: the version of its interface, 0 without. yama: /proc/sys/kernel/yama/ptrace_scope, None without.
    filters: how many this thread stands behind; None where the kernel does not say.
    """

    kernel: str
    machine: str
    launch: bool
    actions: tuple[str, ...]
    flags: tuple[str, ...]
    notify: bool
    wait_killable: bool
    no_new_privs_needed: bool
    ptrace: bool
    read_memory: bool
    clone3: bool
    pidfd: bool
    ebpf: bool
    landlock: int
    yama: int | None
    filters: int | None


def probe() -> Abilities:
    """Try everything. Children are made and waited for; nothing else is changed."""
    from sysgate.kernel import process, seccomp

    uname = os.uname()
    flags = tuple(name for name in seccomp.FLAGS if seccomp.knows_flag(name))
    actions = tuple(kind for kind in _KINDS if seccomp.knows_action(Action(kind).ret))
    standing = process.standing("thread-self")
    here = uname.machine == "x86_64"
    return Abilities(
        kernel=uname.release,
        machine=uname.machine,
        launch=here and _tried(_launchable),
        actions=actions,
        flags=flags,
        notify="new_listener" in flags and _in_child(_listens),
        wait_killable="wait_killable_recv" in flags,
        no_new_privs_needed=not _in_child(_filters_without_no_new_privs),
        ptrace=here and _in_child(lambda: _of_own_child(_traces)),
        read_memory=here and _in_child(_reads_memory),
        clone3=here and _tried(_clone3),
        pidfd=_tried(_opens_pidfd),
        ebpf=here and _tried(_makes_map),
        landlock=_landlock(),
        yama=_yama(),
        filters=standing.filters if standing else None,
    )


def _tried(attempt: Callable[[], bool]) -> bool:
    try:
        return attempt()
    except OSError:
        return False


def _in_child(attempt: Callable[[], bool]) -> bool:
    """Whether attempt() is true in a child, which it may change for good."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if _tried(attempt) else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _of_own_child(attempt: Callable[[int], bool]) -> bool:
    """Whether attempt(pid) is true of a child that waits."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    try:
        return attempt(child)
    finally:
        os.close(write)


def _filter(flags: int) -> int:
    # One instruction: allow everything. No no_new_privs: that is what is asked.
    from sysgate.kernel import libc, seccomp

    instruction = bytearray(pack("=HBBI", 0x06, 0, 0, Action("allow").ret))
    program = bytearray(pack("@HP", 1, libc.address(instruction)))  # struct sock_fprog
    return seccomp.set_mode_filter(flags, libc.address(program))


def _filters_without_no_new_privs() -> bool:
    return _filter(0) == 0


def _listens() -> bool:
    from sysgate.kernel import seccomp

    listener = _filter(seccomp.FLAGS["new_listener"])
    if listener == -errno.EACCES:
        seccomp.set_no_new_privs()
        listener = _filter(seccomp.FLAGS["new_listener"])
    return listener >= 0


def _launchable() -> bool:
    from sysgate.kernel import native

    native.function(b"\xc3")  # ret
    return True


def _traces(pid: int) -> bool:
    from sysgate.kernel import ptrace

    ptrace.seize(pid)
    return True  # the tracer ends, and with it the tracing


def _reads_memory() -> bool:
    from sysgate.kernel import libc, memory

    mark = bytearray(b"sysgate")  # a child has it at the same place
    return _of_own_child(lambda pid: memory.Reader().read(pid, libc.address(mark), 7) == mark)


def _clone3() -> bool:
    # Too small a size: EINVAL where the call is there; ENOSYS, or a filter's EPERM, where not.
    return _call("clone3", 0, 0) == -errno.EINVAL


def _opens_pidfd() -> bool:
    os.close(os.pidfd_open(os.getpid()))
    return True


def _makes_map() -> bool:
    from sysgate.kernel import libc

    attributes = bytearray(pack("=4I48x", _BPF_MAP_TYPE_ARRAY, 4, 4, 1))
    made = _call("bpf", _BPF_MAP_CREATE, libc.address(attributes), 64)
    if made >= 0:
        os.close(made)
    return made >= 0


def _landlock() -> int:
    return max(0, _call("landlock_create_ruleset", 0, 0, _LANDLOCK_CREATE_RULESET_VERSION))


def _yama() -> int | None:
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as file:
            return int(file.read())
    except OSError:
        return None


def _call(name: str, *args: int) -> int:
    from sysgate.kernel import libc

    return libc.call(_NR[name], *args)
