"""Machine code as a function, and memory that it and Python both see."""

from __future__ import annotations

import os
from mmap import MAP_PRIVATE, PROT_EXEC, PROT_READ, mmap

from sysgate.errors import KernelError
from sysgate.kernel import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_NR_MMAP, _NR_FCNTL = 9, 72  # x86-64, as all that is emitted
_F_ADD_SEALS, _SEALS = 1033, 2 | 4 | 8  # F_SEAL_SHRINK, _GROW and _WRITE; include/uapi/linux/fcntl.h
_MFD_EXEC = 0x10  # since Linux 6.3, where the sysctl vm.memfd_noexec wants it said; include/uapi/linux/memfd.h
_EINVAL = 22


def function(code: bytes) -> Callable[[int], None]:
    """The function that code is: it takes an address, and runs without the interpreter's lock.

    The code is mapped from a sealed file, so that no page is ever writable and executable: hardened machines
    forbid that. It stays mapped as long as this process lives. Raises KernelError where even that is refused.
    """
    try:
        file = _memory_file()
        try:
            os.write(file, code)
            libc.done("fcntl(F_ADD_SEALS)", libc.call(_NR_FCNTL, file, _F_ADD_SEALS, _SEALS))
            address = libc.call(_NR_MMAP, 0, len(code), PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0)
            libc.done("mmap", address)
        finally:
            os.close(file)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise KernelError(error.errno or 0, f"sysgate's launch code cannot be made executable here: {why}") from None
    return libc.function(address)


def _memory_file() -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create("sysgate", flags | _MFD_EXEC)
    except OSError as error:
        if error.errno != _EINVAL:
            raise
        return os.memfd_create("sysgate", flags)


class Memory:
    """Zeroed pages that a child shares, made with or without CLONE_VM. view: for Python; address: for the kernel."""

    def __init__(self, size: int) -> None:
        pages = mmap(-1, size)
        self.address = libc.address(pages)
        self.view = memoryview(pages)

    def wipe(self, size: int) -> None:
        """Overwrite the first size bytes with zeros."""
        self.view[:size] = bytes(size)


environment = libc.variable("environ")
"""The address of this process's environment, a `char **` that os.environ keeps up to date."""
