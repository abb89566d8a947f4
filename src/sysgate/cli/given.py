"""What a person names on a command line: a raw program, or a policy."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.api import Policy, Program

_MOST = 1 << 20  # the longest program has 32 KiB: reading on would only cost memory


def program(name: str) -> Program:
    """The raw program in a file, or on standard input for `-`. Raises SysgateError with the file's name."""
    return _program_of(_bytes_of(name), name)


def policy_or_program(name: str) -> Policy | Program:
    """A program where there is a byte of 0, which every program has and no policy may have; else the policy.

    name: a file or pipe, @NAME, or - for standard input.
    """
    from sysgate import api
    from sysgate.policy import files

    raw, called = files.typed_bytes(name)
    return _program_of(raw, called) if b"\0" in raw else api.Policy.parse(files.decoded(raw, called), called)


def _program_of(raw: bytes, name: str) -> Program:
    from sysgate import api
    from sysgate.decode import escaped
    from sysgate.errors import BpfError

    try:
        return api.Program.from_bytes(raw)
    except BpfError as error:
        if raw and b"\0" not in raw:
            raise BpfError(f"{escaped(name)}: text, and no program: `sysgate compile` makes one of a policy") from None
        raise BpfError(f"{escaped(name)}: {error}") from None


def _bytes_of(name: str) -> bytes:
    import sys

    from sysgate.decode import escaped
    from sysgate.errors import SysgateError

    try:
        if name == "-":
            if sys.stdin is None:
                raise SysgateError("<stdin>: standard input is closed")
            return sys.stdin.buffer.read(_MOST)
        with open(name, "rb") as opened:
            return opened.read(_MOST)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no file can have that name"
        raise SysgateError(f"{escaped(name)}: {reason}") from None
