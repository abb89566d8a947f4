"""`sysgate status`: report how a process is filtered."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

EXAMPLE = """
sysgate status 4711
sysgate status 4711 --format proc
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pid", nargs="?", type=int, metavar="PID", help="the process (else: the one that asks)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument(
        "--format",
        choices=("proc", "proc-b"),
        help="as /proc/PID/seccomp_filter had it in 2011: the form that shipped, or that of the second posting",
    )


def run(args: Namespace) -> int:
    from sysgate.cli.colour import paint
    from sysgate.life.status import status
    from sysgate.report import process

    state = status(os.getppid() if args.pid is None else args.pid)
    if args.json:
        from json import dumps

        print(dumps(process.as_json(state)))
    elif args.format:
        if state.mode == "filter" and state.policy is None:
            who, why = f"{state.comm}[{state.pid}]", "; ".join(state.notes)
            print(f"sysgate status: {who} is filtered, by what is not known: {why}", file=sys.stderr)
            return 1
        print(process.proc(state, "c" if args.format == "proc" else "b"), end="")
    else:
        print(process.shown(state, lambda text, style: paint(text, style, sys.stdout)))
    return 0
