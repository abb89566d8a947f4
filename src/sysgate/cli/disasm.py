"""`sysgate disasm`: list a seccomp-BPF program, or turn it back into a policy."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from sysgate.bpf import listing
    from sysgate.bpf.program import Program

EXAMPLE = """
sysgate compile app.policy --format raw -o - | sysgate disasm -
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("program", help="raw filter, an array of struct sock_filter; - reads standard input")
    parser.add_argument(
        "--arch", action="append", default=[], metavar="ARCH", help="architecture whose names to use (repeatable)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON array, an object an instruction")


def run(args: Namespace) -> int:
    from sysgate.bpf import listing

    made = _load(args.program)
    lines = listing.lines(made, _known(args.arch))
    if args.json:
        print(_as_json(made, lines))
    else:
        print("\n".join(map(listing.shown, lines)))
    return 0


def _load(path: str) -> Program:
    from sysgate.bpf import program
    from sysgate.errors import BpfError

    try:
        return program.from_bytes(_read(path))
    except BpfError as error:
        raise BpfError(f"{path}: {error}") from None


def _read(path: str) -> bytes:
    import sys

    from sysgate.errors import SysgateError

    # The longest program has 32 KiB: reading on would only cost memory.
    limit = 1 << 20
    try:
        if path == "-":
            return sys.stdin.buffer.read(limit)
        with open(path, "rb") as opened:
            return opened.read(limit)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no file can have that name"
        raise SysgateError(f"{path}: {reason}") from None


def _known(names: list[str]) -> tuple[str, ...]:
    from sysgate.errors import CompileError
    from sysgate.facts import arches

    for name in names:
        if arches.arch(name) is None:
            raise CompileError(f"unknown architecture {name!r}; known: {', '.join(arches.ARCHES)}")
    return tuple(known.name for name in names if (known := arches.arch(name)))


def _as_json(made: Program, lines: tuple[listing.Line, ...]) -> str:
    from json import dumps

    fields = ("code", "jt", "jf", "k")
    return dumps(
        [
            {
                "at": line.at,
                **dict(zip(fields, one)),
                "text": line.text,
                "meaning": line.meaning,
                "reached": line.reached,
            }
            for one, line in zip(made.insns, lines)
        ]
    )
