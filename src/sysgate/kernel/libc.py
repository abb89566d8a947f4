"""The one door out of Python: raw system calls by number."""

from __future__ import annotations

import os
from ctypes import CDLL, c_long, get_errno

from sysgate.errors import KernelError

_syscall = CDLL(None, use_errno=True).syscall
_syscall.restype = c_long
_syscall.argtypes = [c_long] * 7


def call(nr: int, a: int = 0, b: int = 0, c: int = 0, d: int = 0, e: int = 0, f: int = 0) -> int:
    """What the kernel returns: -errno for a failure. Arguments are integers modulo 2**64, pointers too."""
    result: int = _syscall(nr, a, b, c, d, e, f)
    return -get_errno() if result == -1 else result


def done(what: str, result: int) -> int:
    """result of `call` where it is no error; raises KernelError "what: why" otherwise."""
    if -4096 < result < 0:
        raise KernelError(-result, f"{what}: {os.strerror(-result)}")
    return result
