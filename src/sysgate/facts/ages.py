"""When each call came, and when it went."""

from __future__ import annotations

from sysgate.facts import table


def since(call: str) -> tuple[int, ...] | None:
    """The first kernel release with a call, on its first architecture: (6, 12), or (2, 6, 28) before 3.0.

    None where it is not known.
    """
    return _version(call, 1)


def removed(call: str) -> tuple[int, ...] | None:
    """The release that removed a call; None where it is still there, or that is not known."""
    return _version(call, 2)


def _version(call: str, column: int) -> tuple[int, ...] | None:
    found = table.row("ages", call)
    return tuple(map(int, found[column].split("."))) if found and found[column] else None
