"""What this thread shows of itself, and lets others do to it: prctl(2)."""

from __future__ import annotations

import os

from sysgate.kernel import libc

_NR = {"x86_64": 157, "aarch64": 167}.get(os.uname().machine, -1)  # prctl
_GET_DUMPABLE, _SET_DUMPABLE, _SET_NAME, _SET_NO_NEW_PRIVS = 3, 4, 15, 38


def dumpable() -> int:
    """Whether other processes of the same user may look into this one: 1 yes, 0 no, 2 only root may."""
    return libc.done("prctl(PR_GET_DUMPABLE)", _prctl(_GET_DUMPABLE))


def set_dumpable(value: int) -> None:
    """Make this process dumpable (1) or not (0). A fork inherits it, an exec makes it dumpable again."""
    libc.done("prctl(PR_SET_DUMPABLE)", _prctl(_SET_DUMPABLE, value))


def renounce_new_privileges() -> None:
    """Set no_new_privs, for good: set-user-ID programs give this thread and what it starts no privilege any more."""
    libc.done("prctl(PR_SET_NO_NEW_PRIVS)", _prctl(_SET_NO_NEW_PRIVS, 1))


def rename(name: bytes) -> None:
    """Give this thread a name, of which 15 bytes are kept."""
    text = bytearray(name + b"\0")
    libc.done("prctl(PR_SET_NAME)", _prctl(_SET_NAME, libc.address(text)))


def _prctl(option: int, value: int = 0) -> int:
    return libc.call(_NR, option, value)
