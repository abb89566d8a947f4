"""`sysgate diff`: say which calls two policies answer differently."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

    from sysgate.action import Action
    from sysgate.analyse.diff import Difference
    from sysgate.bpf.program import Program
    from sysgate.policy import ast
    from sysgate.policy.ruleset import Gate

EXAMPLE = """
sysgate diff old.policy new.policy
sysgate diff app.policy filter.bpf --arch x86_64
"""


def add_arguments(parser: ArgumentParser) -> None:
    for name in ("one", "other"):
        parser.add_argument(name, help="policy file, @NAME, or raw filter")
    parser.add_argument(
        "--arch",
        action="append",
        default=[],
        metavar="ARCH",
        help="compare on this architecture (repeatable); without it, on those that either is for on this machine",
    )
    parser.add_argument("--json", action="store_true", help="one object with every difference")


def run(args: Namespace) -> int:
    from sysgate.analyse.diff import differences
    from sysgate.cli.given import policy_or_program

    one, other = policy_or_program(args.one), policy_or_program(args.other)
    names = _known(args.arch) or _usual(one, other)
    found = differences(_side(one, names), _side(other, names), names)
    if args.json:
        print(_as_json(found, names))
    else:
        _show(found, args.one, args.other, names)
    return 1 if found else 0


def _side(side: ast.Policy | Program, names: Sequence[str]) -> Gate | Program:
    from sysgate.facts import arches
    from sysgate.policy import ast, resolve
    from sysgate.policy.ruleset import Gate

    if not isinstance(side, ast.Policy):
        return side
    gates = []
    for big_endian in (False, True):
        alike = [name for name in names if (known := arches.arch(name)) and known.big_endian == big_endian]
        if alike:
            gates.append(resolve.gate_of(side, alike))
    return Gate(tuple(entry for gate in gates for entry in gate.entries), gates[0].foreign, False)


def _known(names: Sequence[str]) -> tuple[str, ...]:
    from sysgate.facts import arches

    return _ordered({arches.named(name).name for name in names})


def _usual(*sides: ast.Policy | Program) -> tuple[str, ...]:
    """The native sets of the policies, or what the programs test for if there is no policy."""
    from sysgate.bpf.program import compared_arches
    from sysgate.errors import BpfError
    from sysgate.facts import arches
    from sysgate.policy import ast, resolve

    found = {name for side in sides if isinstance(side, ast.Policy) for name in resolve.arches(side)}
    if not found:
        audits = {audit for side in sides if not isinstance(side, ast.Policy) for audit in compared_arches(side.insns)}
        found = {arch.name for audit in audits for arch in arches.by_audit(audit)} - {"x32"}
    if not found:
        raise BpfError("neither program tests for an architecture: say which one they are for, with --arch")
    return _ordered(found)


def _ordered(names: set[str]) -> tuple[str, ...]:
    from sysgate.facts import arches

    return tuple(name for name in arches.ARCHES if name in names)


def _show(found: Sequence[Difference], one: str, other: str, names: Sequence[str]) -> None:
    from sysgate.analyse.answers import action_text
    from sysgate.cli.colour import paint
    from sysgate.decode import escaped

    if not found:
        print(f"the two mean the same on {', '.join(names)}")
        return
    print(paint(f"--- {escaped(one)}", "bold", sys.stdout))
    print(paint(f"+++ {escaped(other)}", "bold", sys.stdout))
    section: tuple[str, ...] | None = None
    for each in found:
        if each.arches != section:
            section = each.arches
            print(paint(f"[{', '.join(section) or 'other architectures'}]", "cyan", sys.stdout))
        arch = (*each.arches, *names)[0]
        if each.heads:
            print(f"{', '.join(each.heads)}: {each.condition}")
        print(paint(f"    - {action_text(each.one, arch)}", "red", sys.stdout))
        print(paint(f"    + {action_text(each.other, arch)}", "green", sys.stdout))


def _as_json(found: Sequence[Difference], names: Sequence[str]) -> str:
    from json import dumps

    listed = [
        {
            "arches": list(each.arches),
            "calls": list(each.heads),
            "condition": each.condition,
            "one": _action(each.one),
            "other": _action(each.other),
        }
        for each in found
    ]
    return dumps({"equal": not found, "arches": list(names), "differences": listed})


def _action(action: Action) -> dict[str, object]:
    return {"action": action.kind, "data": action.data}
