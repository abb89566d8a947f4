"""The one mapping that an address of a process lies in, without reading all of them.

Source: PROCMAP_QUERY, include/uapi/linux/fs.h (Linux 6.11); before that the text of /proc/PID/maps is searched.
"""

from __future__ import annotations

import os
import struct

from sysgate.kernel import libc, procfs
from sysgate.kernel.procfs import Region

_NR_IOCTL = {"x86_64": 16}.get(os.uname().machine, 29)
_QUERY = 0xC068_6611  # _IOWR('f', 17, struct procmap_query)
# struct procmap_query: size, flags, address; start, end, rights; page size, offset, inode, device; name and its size.
_FIELDS = struct.Struct("=QQQ QQQ 24x 8x II QQ")
_START = 24
_NAME_SIZE = 80
_LONGEST = 256  # bytes of a name; a longer one is read as text
_ENOENT = 2


def mapping_of(pid: int, address: int) -> Region | None:
    """The mapping an address lies in; None where there is none. pid: of a process, or of one of its threads."""
    try:
        file = os.open(f"/proc/{pid}/maps", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        name = bytearray(_LONGEST)
        asked = bytearray(_FIELDS.pack(_FIELDS.size, 0, address, 0, 0, 0, _LONGEST, 0, libc.address(name), 0))
        result = libc.call(_NR_IOCTL, file, _QUERY, libc.address(asked))
    finally:
        os.close(file)
    if result == -_ENOENT:
        return None
    if result < 0:
        return next((each for each in procfs.maps(pid) if each.low <= address < each.high), None)
    low, high, bits = struct.unpack_from("=QQQ", asked, _START)
    (size,) = struct.unpack_from("=I", asked, _NAME_SIZE)
    rights = "".join(letter if bits >> place & 1 else "-" for place, letter in enumerate("rwx"))
    return Region(low, high, rights + ("s" if bits & 8 else "p"), bytes(name[: max(size - 1, 0)]))
