"""What a person names on a command line: a raw program, or a policy."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.api import Policy, Program

_MOST = 1 << 20  # the longest program has 32 KiB: reading on would only cost memory


def program(name: str) -> Program:
    """The raw program in a file, or on standard input for `-`. Raises SysgateError with the file's name."""
    from sysgate import api
    from sysgate.decode import escaped
    from sysgate.errors import BpfError

    raw = _bytes_of(name)
    try:
        return api.Program.from_bytes(raw)
    except BpfError as error:
        raise BpfError(f"{escaped(name)}: {error}") from None


def policy_or_program(name: str) -> Policy | Program:
    """A program where the file holds a byte of 0, which every program has and no policy may have; else the policy."""
    import os

    from sysgate import api

    if os.path.isfile(name) and b"\0" in _bytes_of(name):
        return program(name)
    return api.load(name)


def _bytes_of(name: str) -> bytes:
    import sys

    from sysgate.decode import escaped
    from sysgate.errors import SysgateError

    try:
        if name == "-":
            return sys.stdin.buffer.read(_MOST)
        with open(name, "rb") as opened:
            return opened.read(_MOST)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no file can have that name"
        raise SysgateError(f"{escaped(name)}: {reason}") from None
