"""Writing another process's memory, with the rights it has itself: process_vm_writev(2)."""

from __future__ import annotations

import os
from ctypes import addressof, c_uint64, create_string_buffer

from sysgate.kernel import libc

_NR = {"x86_64": 311, "aarch64": 271}.get(os.uname().machine)


def write(pid: int, address: int, data: bytes) -> bool:
    """Put bytes at address; False where not all of it is mapped and writable, and part may be written then."""
    if _NR is None or not 0 < address < 1 << 63:
        return False
    buffer = create_string_buffer(data, len(data))
    local = (c_uint64 * 2)(addressof(buffer), len(data))
    remote = (c_uint64 * 2)(address, len(data))
    return libc.call(_NR, pid, addressof(local), 1, addressof(remote), 1, 0) == len(data)
