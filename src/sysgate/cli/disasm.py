"""`sysgate disasm`: list a seccomp-BPF program, or turn it back into a policy."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

    from sysgate.bpf.program import Program

EXAMPLE = """
sysgate compile app.policy --format raw -o - | sysgate disasm -
sysgate disasm --policy first.bpf second.bpf
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "programs",
        nargs="+",
        metavar="PROGRAM",
        help="raw filter, an array of struct sock_filter; - reads standard input",
    )
    parser.add_argument(
        "--policy",
        action="store_true",
        help="print the policy it enforces, proved to mean the same; several programs are a stack, the first "
        "installed first",
    )
    parser.add_argument(
        "--arch",
        action="append",
        default=[],
        metavar="ARCH",
        help="architecture whose names to use, or that the policy is for (repeatable); without it, those tested for",
    )
    parser.add_argument("--json", action="store_true", help="one JSON array, an object an instruction; or one object")


def run(args: Namespace) -> int:
    from sysgate.cli import given

    made, names = [given.program(path) for path in args.programs], _known(args.arch)
    if args.policy:
        _show_policy(made, names, as_json=args.json)
    elif args.json:
        print(_as_json(made, names))
    else:
        _show_listings(made, names, args.programs)
    return 0


def _show_policy(programs: Sequence[Program], names: Sequence[str], *, as_json: bool) -> None:
    from json import dumps

    from sysgate.analyse.decompile import to_policy
    from sysgate.policy import printer

    policy = to_policy(programs, names or None)
    text = printer.text(policy)
    print(dumps({"arches": list(policy.named), "policy": text}) if as_json else text, end="\n" if as_json else "")


def _show_listings(programs: Sequence[Program], names: Sequence[str], paths: Sequence[str]) -> None:
    from sysgate.bpf import listing
    from sysgate.decode import escaped

    for path, made in zip(paths, programs):
        if len(programs) > 1:
            print(f"{escaped(path)}:")
        print(listing.listing(made, names))


def _known(names: list[str]) -> tuple[str, ...]:
    from sysgate.facts import arches

    return tuple([arches.named(name).name for name in names])


def _as_json(programs: Sequence[Program], names: Sequence[str]) -> str:
    from json import dumps

    from sysgate.bpf import listing

    fields = ("code", "jt", "jf", "k")
    shown = [
        [
            {
                "at": line.at,
                **dict(zip(fields, one)),
                "text": line.text,
                "meaning": line.meaning,
                "reached": line.reached,
            }
            for one, line in zip(made.insns, listing.lines(made, names))
        ]
        for made in programs
    ]
    return dumps(shown[0] if len(shown) == 1 else shown)
