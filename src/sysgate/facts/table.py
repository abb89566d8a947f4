"""One data file as text: read once, its rows found by bisection.

The files lie in data/, made by tools/make_facts.py: a header line, then rows of tab-separated fields sorted by the
first. A look-up reads a file once and splits only the row it wants, since `sysgate run` asks for few of many.
"""

from __future__ import annotations

from os.path import dirname

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDER = dirname(__file__) + "/data/"
_read: dict[str, str] = {}


def text(file: str) -> str:
    """The rows of data/`file`.txt, without the header, each ended by a newline."""
    if file not in _read:
        # UTF-8, of which ASCII is a part: its codec is in memory since Python started, that of ASCII is not.
        with open(f"{_FOLDER}{file}.txt", encoding="utf-8") as opened:
            opened.readline()
            _read[file] = opened.read()
    return _read[file]


def rows(file: str) -> Iterator[list[str]]:
    """Every row of a file as its fields, in file order."""
    for line in text(file).splitlines():
        yield line.split("\t")


def row(file: str, key: str) -> list[str] | None:
    """The first row whose first field is `key`, as its fields; None if there is none."""
    body = text(file)
    at = _find(body, key)
    return None if at is None else body[at : body.index("\n", at)].split("\t")


def rows_of(file: str, key: str) -> list[list[str]]:
    """Every row whose first field is `key`, in file order."""
    body = text(file)
    at = _find(body, key)
    found = []
    while at is not None and body.startswith(f"{key}\t", at):
        end = body.index("\n", at)
        found.append(body[at:end].split("\t"))
        at = end + 1
    return found


def _find(body: str, key: str) -> int | None:
    # Where the first row of `key` starts. The rows are sorted by code point, as Python compares strings.
    if "\t" in key or "\n" in key:  # would match more than a field
        return None
    low, high = 0, len(body)
    while low < high:
        start = body.rfind("\n", low, (low + high) // 2) + 1 or low
        if body[start : body.index("\t", start)] < key:
            low = body.index("\n", start) + 1
        else:
            high = start
    return low if body.startswith(f"{key}\t", low) else None
