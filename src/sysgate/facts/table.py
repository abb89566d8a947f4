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
        # At once and copied once: a file has up to 200 KB, and a text layer takes as long again.
        with open(f"{_FOLDER}{file}.txt", "rb", 0) as opened:
            raw = opened.read()
        _read[file] = str(memoryview(raw)[raw.index(b"\n") + 1 :], "utf-8")
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
    return _from(body, _find(body, key), f"{key}\t")


def row_and_next(file: str, key: str, suffix: str) -> tuple[list[str] | None, list[list[str]]]:
    """As `row`, and the rows after it whose first field is `key` and `suffix`, which no other key parts from it."""
    body = text(file)
    at = _find(body, key)
    if at is None:
        return None, []
    end = body.index("\n", at)
    return body[at:end].split("\t"), _from(body, end + 1, f"{key}{suffix}\t")


def _from(body: str, at: int | None, start: str) -> list[list[str]]:
    found = []
    while at is not None and body.startswith(start, at):
        end = body.index("\n", at)
        found.append(body[at:end].split("\t"))
        at = end + 1
    return found


_NEAR = 2048  # characters that are searched sooner than halved


def _find(body: str, key: str) -> int | None:
    # Where the first row of `key` starts. The rows are sorted by code point, as Python compares strings.
    if "\t" in key or "\n" in key:  # would match more than a field
        return None
    low, high = 0, len(body)
    while high - low > _NEAR:
        start = body.rfind("\n", low, (low + high) // 2) + 1 or low
        if body[start : body.index("\t", start)] < key:
            low = body.index("\n", start) + 1
        else:
            high = start
    wanted = f"{key}\t"
    if body.startswith(wanted, low):
        return low
    at = body.find(f"\n{wanted}", low, high + len(wanted))  # it may start at `high` itself
    return at + 1 if at >= 0 else None
