"""Signals to one thread, and to a process that cannot be mistaken for another of the same number."""

from __future__ import annotations

from sysgate.kernel import libc

SIGKILL, SIGTRAP, SIGSYS = 9, 5, 31  # on x86 and arm alike
_TGKILL, _PIDFD_SEND_SIGNAL = 234, 424


def to_thread(pid: int, tid: int, signal: int) -> bool:
    """Send a signal to one thread of a process; False where it is gone or not ours."""
    return libc.call(_TGKILL, pid, tid, signal) == 0


def to_process(pidfd: int, signal: int) -> bool:
    """Send a signal to the process behind a pidfd; False where it is gone or not ours."""
    return libc.call(_PIDFD_SEND_SIGNAL, pidfd, signal, 0, 0) == 0
