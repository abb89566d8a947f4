"""Reading another process's memory without stopping it."""

from __future__ import annotations

import _struct as struct  # what struct wraps
import os

from sysgate.kernel import libc

_PAGE = os.sysconf("SC_PAGE_SIZE")
_NR = {"x86_64": 310, "aarch64": 270}.get(os.uname().machine)  # process_vm_readv
PATH_MAX = 4096  # include/uapi/linux/limits.h, the NUL included


class Reader:
    """Copies from other processes into one buffer of its own, which it keeps: for one thread at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray(PATH_MAX)
        self._iovecs = libc.words(libc.address(self._buffer), *(0,) * 5)
        self._local = libc.address(self._iovecs)
        self._remote = self._local + 16

    def read(self, pid: int, address: int, size: int) -> bytes:
        """Up to size bytes (at most PATH_MAX) at address: as many as are mapped from there on.

        b"" where none are, or where reading is refused (it takes what ptrace takes).
        """
        if _NR is None or not 0 < address < 1 << 63 or size <= 0:
            return b""
        size = min(size, PATH_MAX)
        # The kernel copies whole iovecs or stops (process_vm_readv(2)): what lies on the next page is one of its own.
        first = min(size, _PAGE - address % _PAGE)
        struct.pack_into("=5Q", self._iovecs, 8, size, address, first, address + first, size - first)
        count = libc.call(_NR, pid, self._local, 1, self._remote, 2 if size > first else 1)
        return bytes(self._buffer[:count]) if count > 0 else b""

    def stretch(self, pid: int, address: int, size: int) -> bytes:
        """As `read`, of any size."""
        found = b""
        while len(found) < size:
            part = self.read(pid, address + len(found), size - len(found))
            if not part:
                break
            found += part
        return found

    def string(self, pid: int, address: int) -> bytes | None:
        """The bytes at address up to a NUL, or up to PATH_MAX of them; None where there is nothing to read."""
        # Most are short: a look at 256 bytes, not beyond the page, saves copying all that might be.
        for size in (min(256, _PAGE - address % _PAGE), PATH_MAX):
            found = self.read(pid, address, size)
            end = found.find(0)
            if end >= 0:
                return found[:end]
        return found or None
