"""The smallest ELF executable: one run of bytes, mapped twice.

The whole file is mapped once at TEXT, read and execute, as far as the code goes, and once at DATA, read and write.
Layout: elf(5), include/uapi/linux/elf.h.
"""

from __future__ import annotations

TEXT = 0x40_0000
DATA = 0x80_0000
HEADER_BYTES = 64 + 3 * 56

_ET_EXEC, _EM_X86_64, _PT_LOAD, _PT_GNU_STACK = 2, 62, 1, 0x6474_E551
_READ, _WRITE, _EXECUTE = 4, 2, 1
_PAGE = 4096


def header(code_end: int, size: int) -> bytes:
    """The header of a file of size bytes whose code lies from HEADER_BYTES, its entry, to code_end."""
    return b"".join(
        (
            b"\x7fELF" + bytes((2, 1, 1)) + bytes(9),
            _words(2, _ET_EXEC, _EM_X86_64) + _words(4, 1),
            _words(8, TEXT + HEADER_BYTES, 64, 0) + _words(4, 0) + _words(2, 64, 56, 3, 0, 0, 0),
            _segment(_PT_LOAD, _READ | _EXECUTE, TEXT, code_end),
            _segment(_PT_LOAD, _READ | _WRITE, DATA, size),
            # Without it the stack would be executable (fs/binfmt_elf.c, executable_stack).
            _segment(_PT_GNU_STACK, _READ | _WRITE, 0, 0),
        )
    )


def _segment(kind: int, access: int, address: int, size: int) -> bytes:
    return _words(4, kind, access) + _words(8, 0, address, address, size, size, _PAGE)


def _words(size: int, *values: int) -> bytes:
    return b"".join(value.to_bytes(size, "little") for value in values)
