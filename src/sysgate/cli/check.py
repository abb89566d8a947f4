"""`sysgate check`: compile and prove policies, and warn of what looks wrong."""

from __future__ import annotations

from sysgate.errors import PolicyError, ProofError, SysgateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

EXAMPLE = """
sysgate check app.policy
sysgate check --arch x86_64 --arch aarch64 --json *.policy
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("policies", nargs="+", metavar="FILE", help="a policy file, - for standard input, or @NAME")
    parser.add_argument("--arch", action="append", help="check for this architecture (default: the machine's own)")
    parser.add_argument("--json", action="store_true", help="print one object for machines")


def run(args: Namespace) -> int:
    checked: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for name in args.policies:
        try:
            checked.append(_checked(name, args.arch))
        except SysgateError as error:
            errors += _errors(error, name)
            if not args.json:
                _complain(error, name)
    if args.json:
        import json

        print(json.dumps({"ok": not errors, "policies": checked, "errors": errors}))
    else:
        for report in checked:
            _tell(report)
    return 1 if errors else 0


def _checked(name: str, arch: list[str] | None) -> dict[str, Any]:
    """What there is to say of one policy that is right."""
    from sysgate import api, lint
    from sysgate.policy import resolve

    policy = api.load(name)
    program = policy.compile(arch)
    rulesets = [resolve.resolve(policy, one) for one in program.arches]
    subject = lint.Subject(policy, tuple(rulesets))
    answers = {(arch, call): segment for arch, call, segment in subject.named()}
    return {
        "file": name,
        "syscalls": len({call for (_, call), segment in answers.items() if segment.rules}),
        "rules": len(policy.rules),
        "arches": list(program.arches),
        "instructions": len(program),
        "proved": True,  # compile raises where it is not
        "const_allow": sum(program.decide(call, arch=arch).cached for arch, call in answers),
        "warnings": [
            {"file": one.file or name, "line": one.line, "check": one.check, "message": one.message, "hint": one.hint}
            for one in lint.warnings(policy, rulesets)
        ],
    }


def _errors(error: SysgateError, name: str) -> list[dict[str, Any]]:
    if isinstance(error, PolicyError):
        return [
            {
                "file": one.file or name,
                "line": one.line,
                "column": one.column,
                "message": one.message,
                "hint": one.hint,
            }
            for one in error.errors
        ]
    hint = f"counterexample: {error.counterexample}" if isinstance(error, ProofError) else ""
    return [{"file": name, "line": None, "column": None, "message": str(error), "hint": hint}]


def _complain(error: SysgateError, name: str) -> None:
    import sys

    from sysgate.decode import escaped

    print(error if isinstance(error, PolicyError) else f"{escaped(name)}: {error}", file=sys.stderr)


def _tell(report: dict[str, Any]) -> None:
    import sys

    from sysgate.cli.colour import paint
    from sysgate.decode import escaped

    out = sys.stdout
    for warning in report["warnings"]:
        where = escaped(warning["file"]) + (f":{warning['line']}" if warning["line"] else "")
        print(f"{where}: {paint('warning', 'yellow', out)}: {warning['message']} [{warning['check']}]")
        if warning["hint"]:
            print(f"    {warning['hint']}")
    print(
        f"{escaped(report['file'])}: {paint('ok', 'green', out)}: {_count(report['syscalls'], 'call')} in "
        f"{_count(report['rules'], 'rule')} → {_count(report['instructions'], 'instruction')} for "
        f"{', '.join(report['arches'])}, proved; {_count(report['const_allow'], 'call')} at no cost"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
