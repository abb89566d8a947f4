"""The listener of a seccomp filter: receiving the calls that a program asks about, and answering them.

Source: seccomp_unotify(2), include/uapi/linux/seccomp.h. On a listener every call is a plain ioctl, so
kernel.libc is not needed here.
"""

from __future__ import annotations

import _struct as struct  # what struct wraps
import errno
from fcntl import ioctl

# _IOWR('!', 0, struct seccomp_notif) and its kin; the sizes (80, 24) are part of the number.
_RECV = 0xC0502100
_SEND = 0xC0182101
_ID_VALID = 0x40082102
_SET_FLAGS = 0x40082104
_SYNC_WAKE_UP = 1  # SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE

# struct seccomp_notif: id, pid (of the thread, as this process sees it; 0 if it does not), flags, then seccomp_data:
# nr, arch, ip, args[6]. struct seccomp_notif_resp: id, val, error, flags.
REQUEST = struct.Struct("=QIIIIQ6Q")
_ANSWER = struct.Struct("=QqiI")
# In the bytes of a request: all but the id; thread, flags, number and architecture, the last two of these; the
# arguments.
CALL, CALLER, NUMBER, ARGUMENTS = slice(8, 80), slice(8, 24), slice(16, 24), slice(32, 80)

_COOKIE = struct.Struct("=Q")
_ARGUMENTS = struct.Struct("=6Q")
_BLANK = bytes(REQUEST.size)


def receive(listener: int, request: bytearray) -> bool:
    """Fill request (REQUEST.size bytes) with the next call; False where it went away meanwhile, or no task is left.

    Blocks until there is one; poll first. Raises OSError for a descriptor that is no listener.
    """
    request[:] = _BLANK  # the kernel demands it: check_zeroed_user in seccomp_notify_recv
    while True:
        try:
            ioctl(listener, _RECV, request)
            return True
        except InterruptedError:
            continue
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise


def answer(listener: int, of: int, *, error: int = 0, go_on: bool = False) -> bool:
    """Let the call return -error, or with go_on let the kernel make it; False where nobody waits for the answer.

    of: the request's `cookie`. error: an errno number; 0 returns 0 without making the call.
    """
    reply = _ANSWER.pack(of, 0, -error, CONTINUE if go_on else 0)
    try:
        ioctl(listener, _SEND, reply)
        return True
    except OSError as failed:
        # ENOENT: killed, or interrupted by a signal; EINPROGRESS: answered already
        if failed.errno in (errno.ENOENT, errno.EINPROGRESS):
            return False
        raise


def cookie(request: bytearray) -> int:
    """The id of a request, which its answer must carry."""
    found: int = _COOKIE.unpack_from(request)[0]
    return found


def arguments(request: bytearray) -> tuple[int, ...]:
    """The six argument words of a request."""
    return _ARGUMENTS.unpack_from(request, ARGUMENTS.start)


def waits(listener: int, of: int) -> bool:
    """Whether the call is still unanswered, so that what was read of its thread was read of it, not of a successor."""
    try:
        ioctl(listener, _ID_VALID, _COOKIE.pack(of))
        return True
    except OSError:
        return False


def wake_in_step(listener: int) -> bool:
    """Ask the kernel to run asker and answerer on one CPU, which halves the cost; False before Linux 6.6."""
    try:
        ioctl(listener, _SET_FLAGS, _SYNC_WAKE_UP)
        return True
    except OSError:
        return False
