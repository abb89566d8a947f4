"""Where the vdso of a process has an instruction that makes a system call, without reading all of its memory."""

from __future__ import annotations

import struct

from sysgate.kernel import memory, procfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.life.abi import Abi

_LONGEST = 1 << 14  # bytes of a vdso: two to four pages
_offsets: dict[str, int] = {}  # by ABI: the kernel maps the same vdso into all processes of one


def instruction(tid: int, abi: Abi) -> int:
    """Its address; 0 where none is found. To be looked at again once the thread stands still."""
    word = 4 if abi.name == "i386" else 8
    raw = procfs.read(tid, "auxv") or b""
    words = struct.unpack(f"={len(raw) // word}{'I' if word == 4 else 'Q'}", raw[: len(raw) // word * word])
    base: int | None = dict(zip(words[::2], words[1::2])).get(procfs.AT_SYSINFO_EHDR)
    if base is None:
        return 0
    if abi.name not in _offsets:
        found = memory.Reader().stretch(tid, base, _LONGEST).find(abi.instruction)
        if found < 0:
            return 0
        _offsets[abi.name] = found
    return base + _offsets[abi.name]
