"""Which bytes the kernel takes for a space, a letter, a digit: lib/ctype.c, Latin-1 and not ASCII.

So in UTF-8 text half a letter can be a space (0xa0), and the engine reads it as one.
"""

from __future__ import annotations

SPACE = frozenset(b"\t\n\v\f\r \xa0")
DIGIT = frozenset(b"0123456789")
_LATIN = frozenset(range(0xC0, 0x100)) - {0xD7, 0xF7}  # × and ÷ are no letters
LETTER = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") | _LATIN
ALNUM = LETTER | DIGIT
WORD = ALNUM | frozenset(b"_")


def after(data: bytes, at: int, kind: frozenset[int]) -> int:
    """The first position from `at` on whose byte is not of that kind."""
    while at < len(data) and data[at] in kind:
        at += 1
    return at
