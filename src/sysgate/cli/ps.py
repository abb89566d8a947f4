"""`sysgate ps`: list the filtered processes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

EXAMPLE = """
sysgate ps
sysgate ps --json
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: Namespace) -> int:
    from sysgate.life.processes import listed
    from sysgate.report import process

    found = listed(policies=args.json)
    if args.json:
        from json import dumps

        for each in found:
            print(dumps(process.listed_as_json(each)))
    else:
        print(process.table(found))
    return 0
