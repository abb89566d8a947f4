"""The system call that a traced thread is stopped at: PTRACE_GET_SYSCALL_INFO, since Linux 5.3.

Needs the options O_TRACESYSGOOD (entry and exit stops) and TRACESECCOMP (where a filter answers "trace").
"""

from __future__ import annotations

import struct

from sysgate.kernel import libc
from sysgate.value import Value

_NR, _GET_SYSCALL_INFO = 101, 0x420E
TRACESECCOMP, EVENT_SECCOMP = 0x80, 7  # PTRACE_O_, PTRACE_EVENT_; include/uapi/linux/ptrace.h
ENTRY, EXIT, SECCOMP = 1, 2, 3
# struct ptrace_syscall_info: op, arch, ip, sp; then nr, args[6], and at a filter's stop the data of its answer.
_HEAD, _CALL, _DATA = struct.Struct("=B3xIQQ"), struct.Struct("=Q6Q"), struct.Struct("=I")


class SyscallStop(Value):
    """Where a thread is stopped.

    kind: ENTRY, EXIT or SECCOMP. arch: the AUDIT_ARCH value of the call's ABI. ip, sp: where user code goes on.
    nr, args: the call; 0 at EXIT. data: what the filter's "trace" carried, at SECCOMP.
    """

    kind: int
    arch: int
    ip: int
    sp: int
    nr: int = 0
    args: tuple[int, ...] = (0,) * 6
    data: int = 0


def at(tid: int) -> SyscallStop:
    """The call a stopped thread is at. Raises KernelError: ESRCH where it is gone."""
    raw = bytearray(_HEAD.size + _CALL.size + _DATA.size)
    result = libc.call(_NR, _GET_SYSCALL_INFO, tid, len(raw), libc.address(raw))
    libc.done(f"ptrace: asking for the call of thread {tid}", result)
    kind, arch, ip, sp = _HEAD.unpack_from(raw)
    if kind not in (ENTRY, SECCOMP):
        return SyscallStop(kind, arch, ip, sp)
    nr, *args = _CALL.unpack_from(raw, _HEAD.size)
    data = _DATA.unpack_from(raw, _HEAD.size + _CALL.size)[0] if kind == SECCOMP else 0
    return SyscallStop(kind, arch, ip, sp, nr, tuple(args), data)
