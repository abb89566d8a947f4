"""Numbers as the kernel reads them: lib/kstrtox.c, kstrtoull and kstrtoll with base 0."""

from __future__ import annotations

_DIGITS = {byte: value for value, byte in enumerate(b"0123456789abcdef")} | {
    byte: value for value, byte in enumerate(b"ABCDEF", 10)
}


def unsigned(word: bytes) -> int | None:
    """The number a word spells, 0 … 2**64-1: decimal, 0x… or octal after a 0. None where it spells none."""
    base, digits = _base(word)
    if not digits:
        return None
    value = 0
    for byte in digits:
        digit = _DIGITS.get(byte, base)
        if digit >= base:
            return None
        value = value * base + digit
    return value if value < 1 << 64 else None


def signed(word: bytes) -> int | None:
    """The number a word spells, perhaps after one `-`: -2**63 … 2**63-1, else None."""
    if word.startswith(b"-"):
        value = unsigned(word[1:])
        return None if value is None or value > 1 << 63 else -value
    value = unsigned(word)
    return None if value is None or value >= 1 << 63 else value


def _base(word: bytes) -> tuple[int, bytes]:
    # _parse_integer_fixup_radix: 0x counts only where a hexadecimal digit follows.
    if not word.startswith(b"0"):
        return 10, word
    if word[1:2] in (b"x", b"X") and word[2:3] and word[2] in _DIGITS:
        return 16, word[2:]
    return 8, word
