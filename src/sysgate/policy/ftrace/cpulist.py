"""Lists of processors, the inside of `CPUS{…}`: lib/bitmap-str.c, bitmap_parselist."""

from __future__ import annotations

import os

from sysgate.policy.ftrace.chars import DIGIT, SPACE, after

_SEPARATOR = SPACE | frozenset(b",")
_END = frozenset(b"\n")
_MAX = (1 << 32) - 1


def possible() -> int:
    """How many processors this kernel is prepared for (nr_cpu_ids)."""
    try:
        with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:
            return int(file.read().strip().replace("-", ",").rpartition(",")[2]) + 1
    except (OSError, ValueError):
        return os.cpu_count() or 1


def members(text: bytes, cpus: int) -> frozenset[int] | None:
    """The processors a list names, where there are so many; None where the kernel refuses the list.

    `0`, `0-3`, `all`, `0-N` (N is the last), `0-31:2/8` (two of each eight), with commas or spaces between.
    The list ends at a newline, and where a range is followed by one.
    """
    found: set[int] = set()
    at: int | None = 0
    while at is not None:
        at = after(text, at, _SEPARATOR)  # a newline is a space and skipped here, as in bitmap_find_region
        if at >= len(text):
            break
        region = _region(text, at, cpus - 1)
        if region is None:
            return None
        (start, end, used, group), at = region
        if start > end or group == 0 or used > group or end >= cpus:
            return None
        for begin in range(start, end + 1, group):
            found.update(range(begin, min(begin + used, end + 1)))
    return frozenset(found)


_Region = tuple[tuple[int, int, int, int], int | None]


def _region(text: bytes, at: int, last: int) -> _Region | None:
    # bitmap_parse_region: (start, end, used, group) and where to go on; None there: nowhere.
    if text[at : at + 3].lower() == b"all":
        start, end, at = 0, last, at + 3
    else:
        first = _number(text, at, last)
        if first is None:
            return None
        start, at = first
        if _ends(text, at):
            return (start, start, start + 1, start + 1), _next(text, at)
        if text[at : at + 1] != b"-" or (second := _number(text, at + 1, last)) is None:
            return None
        end, at = second
    if _ends(text, at):
        return (start, end, end + 1, end + 1), _next(text, at)
    if text[at : at + 1] != b":" or (third := _number(text, at + 1, last)) is None:
        return None
    used, at = third
    if text[at : at + 1] != b"/" or (fourth := _number(text, at + 1, last)) is None:
        return None
    group, at = fourth
    return (start, end, used, group), at


def _number(text: bytes, at: int, last: int) -> tuple[int, int] | None:
    if text[at : at + 1] == b"N":
        return last, at + 1
    end = after(text, at, DIGIT)
    if end == at or (value := int(text[at:end])) > _MAX:
        return None
    return value, end


def _ends(text: bytes, at: int) -> bool:
    return at >= len(text) or text[at] in _SEPARATOR


def _next(text: bytes, at: int) -> int | None:
    return None if at >= len(text) or text[at] in _END else at
