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
_read: dict[str, bytes] = {}


def body(file: str) -> bytes:
    """All of data/`file`.txt as it is, read once: a file has up to 200 KB, and to decode that takes as long again."""
    if file not in _read:
        with open(f"{_FOLDER}{file}.txt", "rb", 0) as opened:
            _read[file] = opened.read()
    return _read[file]


def text(file: str) -> str:
    """The rows of data/`file`.txt, without the header, each ended by a newline."""
    whole = body(file)
    return str(memoryview(whole)[whole.index(b"\n") + 1 :], "utf-8")


def rows(file: str) -> Iterator[list[str]]:
    """Every row of a file as its fields, in file order."""
    for line in text(file).splitlines():
        yield line.split("\t")


def row(file: str, key: str) -> list[str] | None:
    """The first row whose first field is `key`, as its fields; None if there is none."""
    rows = body(file)
    at = _find(rows, key)
    return None if at < 0 else fields(rows, at)


def rows_of(file: str, key: str) -> list[list[str]]:
    """Every row whose first field is `key`, in file order."""
    return _from(body(file), _find(body(file), key), key)


def row_and_next(file: str, key: str, suffix: str) -> tuple[list[str] | None, list[list[str]]]:
    """As `row`, and the rows after it whose first field is `key` and `suffix`, which no other key parts from it."""
    rows = body(file)
    at = _find(rows, key)
    if at < 0:
        return None, []
    return fields(rows, at), _from(rows, rows.index(b"\n", at) + 1, key + suffix)


def fields(rows: bytes, at: int) -> list[str]:
    """The fields of the row of a `body` that starts at `at`."""
    return rows[at : rows.index(b"\n", at)].decode().split("\t")


def _from(rows: bytes, at: int, key: str) -> list[list[str]]:
    found = []
    start = f"{key}\t".encode()
    while at >= 0 and rows.startswith(start, at):
        found.append(fields(rows, at))
        at = rows.index(b"\n", at) + 1
    return found


_NEAR = 2048  # bytes that are searched sooner than halved


def _find(rows: bytes, key: str) -> int:
    # Where the first row of `key` starts, -1 if none does. The rows are sorted, the header before all of them.
    if "\t" in key or "\n" in key:  # would match more than a field
        return -1
    sought = key.encode(errors="surrogatepass")
    low, high = 0, len(rows)
    while high - low > _NEAR:
        start = rows.rfind(b"\n", low, (low + high) // 2) + 1 or low
        if rows[start : rows.index(b"\t", start)] < sought:
            low = rows.index(b"\n", start) + 1
        else:
            high = start
    wanted = b"%b\t" % sought
    if rows.startswith(wanted, low):
        return low
    at = rows.find(b"\n" + wanted, low, high + len(wanted))  # it may start at `high` itself
    return at + 1 if at >= 0 else -1
