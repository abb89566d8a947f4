"""`sysgate explain`: say what a policy answers to a call, and why."""

from __future__ import annotations

import sys

from sysgate.errors import CompileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from sysgate.action import Action
    from sysgate.analyse.explain import Case, Cost
    from sysgate.api import Policy, Program
    from sysgate.decision import Origin
    from sysgate.policy.call_text import Asked

EXAMPLE = """
sysgate explain app.policy 'openat(AT_FDCWD, _, O_RDWR|O_CREAT)' 'socket(AF_INET)'
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("policy", metavar="FILE", help="a policy file, - for standard input, or @NAME")
    parser.add_argument("calls", nargs="+", metavar="CALL", help="C-like; _ and what is left out is any value")
    parser.add_argument("--arch", help="the architecture asked about (default: the machine's own)")
    parser.add_argument("--json", action="store_true", help="one object a line")


def run(args: Namespace) -> int:
    from sysgate import api
    from sysgate.policy import call_text

    policy = api.load(args.policy)
    usual = policy.compile(args.arch)
    programs = dict.fromkeys(usual.arches, usual)
    for text in args.calls:
        asked = call_text.read(text, usual.arches[0])
        if asked.arch not in programs:
            programs[asked.arch] = policy.compile(asked.arch)
        told = _explained(policy, programs[asked.arch], asked)
        if args.json:
            import json

            print(json.dumps(told))
        else:
            _tell(told, programs[asked.arch], asked)
    return 0


def _explained(policy: Policy, program: Program, asked: Asked) -> dict[str, Any]:
    """The object that --json prints; least and most stand in it where steps cannot say what the call costs."""
    from sysgate.analyse import explain

    gate = policy.gate(program.arches)
    found = explain.cases(gate, asked.arch, asked.nr, asked.words)
    try:
        costs = explain.costs(gate, program, asked.arch, asked.nr, asked.words)
    except CompileError:  # a rare policy: everything else can be said of it
        costs = {}
    least = min([cost.least for cost in costs.values()], default=None)
    most = max([cost.most for cost in costs.values()], default=None)
    decided = program.decide(asked.nr, [word or 0 for word in asked.words], arch=asked.arch)
    depends = len(found) > 1
    shown = {
        "call": asked.text,
        "arch": asked.arch,
        "nr": asked.nr,
        "action": "depends" if depends else decided.action,
        "data": 0 if depends else decided.data,
        "steps": most if least == most else None,
        "cached": decided.cached,
        "rule": None if depends else _rule(decided.rule),
    }
    if shown["steps"] is None:
        shown |= {"least": least, "most": most}
    if depends:
        shown["when"] = [_case(case, costs.get((case.action, case.rule))) for case in found]
    return shown


def _case(case: Case, cost: Cost | None) -> dict[str, Any]:
    return {
        "condition": case.condition,
        "action": case.action.kind,
        "data": case.action.data,
        "rule": _rule(case.rule),
        "least": cost and cost.least,
        "most": cost and cost.most,
    }


def _rule(origin: Origin | None) -> dict[str, Any] | None:
    return None if origin is None else {"file": origin.file, "line": origin.line, "text": origin.text}


def _tell(told: dict[str, Any], program: Program, asked: Asked) -> None:
    from sysgate.cli.colour import paint
    from sysgate.decode import escaped

    out = sys.stdout
    print(paint(f"{escaped(asked.text)} on {asked.arch}, number {asked.nr}", "bold", out))
    if told["action"] == "depends":
        print("  the answer depends on its arguments; the first that holds:")
        for case in told["when"]:
            condition = "otherwise" if case["condition"] == "1" else case["condition"]
            print(f"    {condition} → {_action(case, asked.arch)}, {_cost(case)}    {_where(case, asked.arch)}")
        return
    print(f"  {_action(told, asked.arch)}    {_where(told, asked.arch)}")
    if told["cached"]:
        print("  no cost: the kernel's bitmap answers without running the program (Linux 5.11 and later)")
        return
    example = "" if told["steps"] is not None else "; where what is any value is 0"
    print(f"  {_cost(told)} of the program{example}:")
    _way(program, asked)


def _action(told: dict[str, Any], arch: str) -> str:
    from sysgate.action import Action
    from sysgate.analyse.answers import action_text
    from sysgate.cli.colour import paint

    answer: Action = Action(told["action"], told["data"])
    return paint(action_text(answer, arch), "green" if answer.kind == "allow" else "red", sys.stdout)


def _where(told: dict[str, Any], arch: str) -> str:
    from sysgate.action import Action
    from sysgate.decode import escaped
    from sysgate.report.denial import is_newer

    rule = told["rule"]
    if is_newer(Action(told["action"], told["data"]), arch, rule["text"] if rule else None):
        return "no rule, and it came after the kernel of `since`"
    return "no rule" if rule is None else f"{escaped(rule['file'])}:{rule['line']}: {escaped(rule['text'])}"


def _cost(told: dict[str, Any]) -> str:
    least, most = told.get("least", told.get("steps")), told.get("most", told.get("steps"))
    if least is None:
        return "instructions uncounted: the rules are too intricate"
    how_many = f"{least}" if least == most else f"{least} to {most}"
    return f"{how_many} instruction{'s' * (most != 1)}"


def _way(program: Program, asked: Asked) -> None:
    from sysgate.analyse import explain
    from sysgate.call import Call

    first, second, third, fourth, fifth, sixth = (word or 0 for word in asked.words)
    call = Call(asked.arch, asked.nr, (first, second, third, fourth, fifth, sixth))
    for line in explain.path(program, call, (asked.arch,)).lines:
        print(f"    {line.text:30}  {line.meaning}")
