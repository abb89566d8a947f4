"""Policy files: read whole, as UTF-8 text, or refused in words; and those that come with sysgate, by @NAME."""

from __future__ import annotations

import os
import stat

from sysgate.errors import PolicyError
from sysgate.policy.lexer import MAX_CHARACTERS

MOST = 4 * MAX_CHARACTERS  # bytes: UTF-8 has at most four a character
PIECE = 1 << 16  # bytes read at once
READY = os.path.join(os.path.dirname(os.path.dirname(__file__)), "ready")


def read(name: str) -> str:
    """The text of a file or pipe, or of a ready policy. Raises PolicyError in words for what is no readable text."""
    return read_file(ready_path(name), name) if name.startswith("@") else read_file(name, name)


def typed(name: str) -> tuple[str, str]:
    """The text that a word on a command line names, where `-` is standard input; and what errors are to call it."""
    raw, called = typed_bytes(name)
    return decoded(raw, called), called


def typed_bytes(name: str) -> tuple[bytes, str]:
    """The same as bytes, which may be a program's."""
    if name != "-":
        return _read(ready_path(name) if name.startswith("@") else name, name), name
    from sysgate.policy import pipes

    return pipes.standard_input(), "<stdin>"


def read_file(path: str, name: str) -> str:
    """The text of the file at path; name: how it is called in errors. Raises PolicyError as `read`."""
    return decoded(_read(path, name), name)


def _read(path: str, name: str) -> bytes:
    try:
        # Without O_NONBLOCK opening a FIFO would wait for someone to write.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            return _all_of(descriptor, name)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no path has a null byte"
        raise PolicyError(f"cannot be read: {reason}", file=name) from None


def _all_of(descriptor: int, name: str) -> bytes:
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode):
        bounded(found.st_size, name)
        pieces = []
        total = 0
        while piece := os.read(descriptor, PIECE):  # to its end: a file of /proc does not say how long it is
            pieces.append(piece)
            total += len(piece)
            bounded(total, name)
        return b"".join(pieces)
    if not stat.S_ISFIFO(found.st_mode) and not os.isatty(descriptor):
        raise PolicyError(f"{_kind(found.st_mode)}, not a file", file=name)
    from sysgate.policy import pipes  # process substitution

    return pipes.read_open(descriptor, name)


def bounded(size: int, name: str) -> None:
    """Raises PolicyError where so many bytes are too many for a policy."""
    if size > MOST:
        raise PolicyError(
            f"more than {MOST >> 20} MB are no policy",
            file=name,
            hint=f"sysgate reads at most {MAX_CHARACTERS >> 20} million characters",
        )


def decoded(raw: bytes, name: str) -> str:
    """A file's bytes as text. Raises PolicyError at the first byte that is not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        start = before.rfind(b"\n") + 1
        end = raw.find(b"\n", error.start)
        shown = raw[start : end if end >= 0 else len(raw)].decode("utf-8", "replace").rstrip("\r")
        raise PolicyError(
            f"byte 0x{raw[error.start]:02x} is not UTF-8",
            file=name,
            line=line,
            column=len(before[start:].decode("utf-8")) + 1,
            source=shown,
            hint="a policy is UTF-8 text",
        ) from None


def ready_path(name: str) -> str:
    """Where a ready policy lies in the package. name: with its @. Raises PolicyError for an unknown one."""
    path = os.path.join(READY, name[1:] + ".policy")
    if "/" not in name and os.path.isfile(path):
        return path
    from sysgate.facts.nearest import nearest

    known = ready_names()
    close = nearest(name, known)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    raise PolicyError(f"no ready policy is called {name}", hint=hint)


def ready_names() -> tuple[str, ...]:
    """The ready policies, with @, sorted."""
    found = [name.removesuffix(".policy") for name in os.listdir(READY) if name.endswith(".policy")]
    return tuple(sorted(f"@{name}" for name in found))


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a device" if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else "a socket"


def identity_of(name: str) -> str:
    """What tells one file from another, however they are named."""
    # Neither is a file: a ready policy, and a text that came without one (`<policy>`).
    if name.startswith(("@", "<")):
        return name
    try:
        return os.path.realpath(name)
    except ValueError:  # a NUL: no file has such a name, and reading it will say so
        return name
