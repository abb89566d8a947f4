"""Writes src/sysgate/facts/data/ftrace_formats.txt: the fields a kernel's sys_enter events have.

    python3 tools/make_ftrace_formats.py [--check] [--tracefs | SOURCE]

SOURCE is a table of formats, one JSON object a line (default: ../shared/facts/ftrace-formats.jsonl);
with --tracefs the running kernel is asked instead. --check writes nothing and fails where the
committed file differs. The same formats give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "src/sysgate/facts/data/ftrace_formats.txt"
SOURCE = ROOT.parent / "shared/facts/ftrace-formats.jsonl"
TRACEFS = Path("/sys/kernel/tracing/events/syscalls")

Field = tuple[str, str, int, int]  # name, C type, bytes, signed

# Every event begins with these (include/linux/trace_events.h, struct trace_entry; kernel/trace/trace_syscalls.c).
COMMON: list[Field] = [
    ("common_type", "unsigned short", 2, 0),
    ("common_flags", "unsigned char", 1, 0),
    ("common_preempt_count", "unsigned char", 1, 0),
    ("common_pid", "int", 4, 1),
    ("__syscall_nr", "int", 4, 1),
]

# Every argument is 8 bytes and unsigned, whatever its type: kernel/trace/trace_syscalls.c, syscall_enter_define_fields.
HEADER = (
    "# tools/make_ftrace_formats.py from events/syscalls/sys_enter_*/format of an x86_64 kernel 6.18:"
    " event without sys_enter_, then the C type and name of each argument\n"
)


def from_table(path: Path) -> dict[str, list[Field]]:
    """The formats in a table of JSON objects."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {row["event"]: [(name, ctype, size, signed) for name, ctype, size, signed in row["fields"]] for row in rows}


def from_tracefs(folder: Path) -> dict[str, list[Field]]:
    """The formats of the running kernel. Raises OSError where tracefs cannot be read."""
    return {path.parent.name: _parsed(path.read_text()) for path in sorted(folder.glob("sys_enter_*/format"))}


def _parsed(text: str) -> list[Field]:
    pattern = r"field:(.*?)\b(\w+);\toffset:\d+;\tsize:(\d+);\tsigned:(\d);"
    return [(name, ctype.strip(), int(size), int(signed)) for ctype, name, size, signed in re.findall(pattern, text)]


def table(formats: dict[str, list[Field]]) -> str:
    """The committed text. Raises ValueError for an event of another shape."""
    lines = []
    for event, fields in sorted(formats.items()):
        arguments = fields[len(COMMON) :]
        if fields[: len(COMMON)] != COMMON or any(tuple(field[2:]) != (8, 0) for field in arguments):
            raise ValueError(f"{event} has another shape than the reader expects")
        shown = [f"{ctype} {name}" for name, ctype, *_ in arguments]
        lines.append("\t".join([event.removeprefix("sys_enter_"), *shown]))
    return HEADER + "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", type=Path, default=SOURCE)
    parser.add_argument("--tracefs", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    if args.check and not args.tracefs and not args.source.exists():
        print(f"skipped: no table of formats at {args.source}; the committed data were not compared")
        return 0
    text = table(from_tracefs(TRACEFS) if args.tracefs else from_table(args.source))
    if not args.check:
        TARGET.write_text(text)
        return 0
    if TARGET.read_text() == text:
        return 0
    print(f"{TARGET.relative_to(ROOT)} is stale: run tools/make_ftrace_formats.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
