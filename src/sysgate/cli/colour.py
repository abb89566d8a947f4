"""Colour on terminals, and only there: NO_COLOR and dumb terminals are honoured."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}


def wanted(stream: TextIO | None) -> bool:
    """Whether stream takes colour: a terminal, TERM not "dumb", NO_COLOR unset or empty (no-color.org).

    None, as sys.stdout is where the descriptor was closed, takes none.
    """
    if stream is None:
        return False
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def paint(text: str, style: str, stream: TextIO | None) -> str:
    """text in a style (bold, dim, red, green, yellow, blue, cyan) if stream takes colour, else as it is."""
    return f"\033[{_CODES[style]}m{text}\033[0m" if wanted(stream) else text
