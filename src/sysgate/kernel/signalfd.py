"""Signals as something to read, with who sent them: signalfd(2)."""

from __future__ import annotations

import _struct as struct  # what struct wraps
import os
import sys

from sysgate.kernel import libc
from sysgate.value import Value

_NR = {"x86_64": 289, "aarch64": 74, "riscv64": 74}
_NONBLOCK, _CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC  # SFD_NONBLOCK and SFD_CLOEXEC are these
_INFO = struct.Struct("=IiiII108x")  # struct signalfd_siginfo: signo, errno, code, pid, uid, …
FROM_KERNEL = 0x80  # SI_KERNEL, include/uapi/asm-generic/siginfo.h


class Arrived(Value):
    """A signal that arrived. code: why (si_code). sender: the process that sent it, 0 where none did."""

    number: int
    code: int
    sender: int


def create(signals: int) -> int:
    """A descriptor to read these signals from (bit 1 << (n - 1)); they must be blocked. Raises KernelError."""
    mask = bytearray(signals.to_bytes(8, sys.byteorder))
    made = libc.call(_NR[os.uname().machine], -1, libc.address(mask), 8, _NONBLOCK | _CLOEXEC)
    return libc.done("signalfd", made)


def read(descriptor: int) -> list[Arrived]:
    """What has arrived since the last time; empty if nothing."""
    try:
        raw = os.read(descriptor, 16 * _INFO.size)
    except BlockingIOError:
        return []
    return [Arrived(number, code, sender) for number, _, code, sender, _ in _INFO.iter_unpack(raw)]
