"""The one door out of Python: raw system calls by number, addresses, and code at an address.

By the core of ctypes alone: the module around it, for structures and byte orders, takes longer to load than a dozen of
ours, and `sysgate run` is to cost little more than Python.
"""

from __future__ import annotations

import os
from _ctypes import FUNCFLAG_CDECL, FUNCFLAG_USE_ERRNO, CFuncPtr, _SimpleCData, addressof, dlopen, dlsym, get_errno
from _struct import pack

from sysgate.errors import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap

    _Long = _SimpleCData[int]
    _Character = _SimpleCData[bytes]
else:

    class _Long(_SimpleCData):
        _type_ = "l"

    class _Character(_SimpleCData):
        _type_ = "c"


class _Syscall(CFuncPtr):
    _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO
    _restype_ = _Long
    _argtypes_ = (_Long,) * 7


class _Code(CFuncPtr):
    _flags_ = FUNCFLAG_CDECL
    _restype_ = None
    _argtypes_ = (_Long,)


_names = dlopen(None, 0)  # type: ignore[arg-type] # None: what this process has loaded already
_syscall = _Syscall(dlsym(_names, "syscall"))


def call(nr: int, a: int = 0, b: int = 0, c: int = 0, d: int = 0, e: int = 0, f: int = 0) -> int:
    """What the kernel returns: -errno for a failure. Arguments are integers modulo 2**64, pointers too."""
    result: int = _syscall(nr, a, b, c, d, e, f)
    return -get_errno() if result == -1 else result


def done(what: str, result: int) -> int:
    """result of `call` where it is no error; raises KernelError "what: why" otherwise."""
    if -4096 < result < 0:
        raise KernelError(-result, f"{what}: {os.strerror(-result)}")
    return result


def address(buffer: bytearray | mmap) -> int:
    """Where the bytes of a buffer lie. They do as long as it lives and keeps its size: the caller keeps it."""
    return addressof(_Character.from_buffer(buffer))


def words(*values: int) -> bytearray:
    """64-bit words one after the other, each modulo 2**64, for the kernel to read or to write over."""
    return bytearray(pack(f"={len(values)}Q", *[value & 0xFFFF_FFFF_FFFF_FFFF for value in values]))


def function(address: int) -> Callable[[int], None]:
    """The machine code at an address, which takes a word; it runs without the interpreter's lock."""
    return _Code(address)


def variable(name: str) -> Callable[[], int]:
    """A reader of the word that a variable of the C library holds."""
    held = _Long.from_address(dlsym(_names, name))
    return lambda: held.value
