"""seccomp(2): what this kernel has of it, and putting the calling thread or process behind a filter."""

from __future__ import annotations

import errno
import os
from _struct import pack
from sys import byteorder

from sysgate.errors import KernelError
from sysgate.kernel import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_NR = {"x86_64": 317, "aarch64": 277, "riscv64": 277, "ppc64le": 358, "s390x": 348, "loongarch64": 277}
_NR_PRCTL = {"x86_64": 157, "aarch64": 167, "riscv64": 167, "ppc64le": 171, "s390x": 172, "loongarch64": 167}

# include/uapi/linux/seccomp.h
_SET_MODE_FILTER, _GET_ACTION_AVAIL, _GET_NOTIF_SIZES = 1, 2, 3
FLAGS: Mapping[str, int] = {
    "tsync": 1 << 0,
    "log": 1 << 1,
    "spec_allow": 1 << 2,
    "new_listener": 1 << 3,
    "tsync_esrch": 1 << 4,
    "wait_killable_recv": 1 << 5,
}
_TSYNC, _NEW_LISTENER, _WAIT_KILLABLE_RECV = FLAGS["tsync"], FLAGS["new_listener"], FLAGS["wait_killable_recv"]
_PR_SET_NO_NEW_PRIVS = 38
_MACHINE = os.uname().machine  # asked once: a later filter of this process may refuse uname(2)


def knows_action(ret: int) -> bool:
    """Whether the kernel has the action of a program's return value (a SECCOMP_RET_* number; data does not count)."""
    word = bytearray((ret & 0xFFFF_0000).to_bytes(4, byteorder))
    return libc.call(_nr(_NR), _GET_ACTION_AVAIL, 0, libc.address(word)) == 0


def knows_flag(name: str) -> bool:
    """Whether the kernel has a flag of seccomp(2); names are those of FLAGS.

    Asked with no program at all: EFAULT where the flag is known, EINVAL where not; nothing is installed.
    """
    # Only together with a listener: kernel/seccomp.c, seccomp_set_mode_filter.
    with_it = _NEW_LISTENER if name == "wait_killable_recv" else 0
    return libc.call(_nr(_NR), _SET_MODE_FILTER, FLAGS[name] | with_it, 0) == -errno.EFAULT


def notification_sizes() -> tuple[int, int, int] | None:
    """Bytes of struct seccomp_notif, seccomp_notif_resp and seccomp_data; None before Linux 5.0."""
    raw = bytearray(6)
    if libc.call(_nr(_NR), _GET_NOTIF_SIZES, 0, libc.address(raw)) != 0:
        return None
    request, answer, data = (int.from_bytes(raw[at : at + 2], byteorder) for at in (0, 2, 4))
    return request, answer, data


def load(filter: bytes, flags: int = 0) -> int:
    """Put this thread behind a filter (with the tsync flag all threads, or none); a listener's descriptor, or 0.

    filter: a struct sock_filter[]. no_new_privs is set first where the kernel refuses without, and only there.
    Raises KernelError, its words saying why; then nothing was installed.
    """
    body = bytearray(filter)
    # struct sock_fprog: u16 len, padding, pointer
    program = bytearray(pack("@HP", len(filter) // 8, libc.address(body)))
    result = set_mode_filter(flags, libc.address(program))
    if result == -errno.EACCES:
        # Neither CAP_SYS_ADMIN nor no_new_privs: kernel/seccomp.c, seccomp_prepare_filter.
        set_no_new_privs()
        result = set_mode_filter(flags, libc.address(program))
    if result > 0 and flags & _TSYNC:  # no errno: the thread that could not be brought along
        raise KernelError(
            errno.ESRCH,
            f"thread {result} could not be brought along: it stands behind a filter that this thread does not "
            "stand behind, or is in strict mode",
        )
    if result < 0:
        raise KernelError(-result, refusal(-result))
    return result


def set_mode_filter(flags: int, program: int) -> int:
    """What seccomp(SECCOMP_SET_MODE_FILTER) returns, -errno for a failure. program: a struct sock_fprog's address."""
    return libc.call(_nr(_NR), _SET_MODE_FILTER, flags, program)


def set_no_new_privs() -> None:
    """From now on no execve gives this thread, or what it starts, more rights than it has. Cannot be undone."""
    libc.done("prctl(PR_SET_NO_NEW_PRIVS)", libc.call(_nr(_NR_PRCTL), _PR_SET_NO_NEW_PRIVS, 1))


def refusal(number: int) -> str:
    """In words, why seccomp(2) failed with this errno when it was given a valid program."""
    said = {
        errno.EINVAL: "the kernel does not take the filter: it was built without seccomp filters, is too old for a "
        "flag that was asked for, or this thread is in strict mode",
        errno.ENOSYS: "this kernel has no seccomp(2): sysgate needs Linux 3.17",
        errno.ENOMEM: "the filters of this process would be too long together: the kernel takes 32,768 instructions, "
        "and counts four more for each filter (or it is out of memory)",
        errno.EBUSY: "a filter that this process stands behind has a listener already; there can be one only",
        errno.EACCES: "the kernel does not take a filter from this process, not even with no_new_privs",
        errno.EPERM: "something refuses seccomp(2) to this process: another filter, perhaps",
        errno.EMFILE: "no descriptor is free for the listener",
    }
    return said.get(number, f"seccomp(2): {os.strerror(number)}")


def _nr(numbers: Mapping[str, int]) -> int:
    if _MACHINE not in numbers:
        raise KernelError(errno.ENOSYS, f"sysgate does not know how to ask a {_MACHINE} kernel for seccomp")
    return numbers[_MACHINE]
