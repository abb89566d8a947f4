"""`sysgate prove`: show that a program means what its policy, or another program, says."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from sysgate.call import Call
    from sysgate.proof import Proof

EXAMPLE = """
sysgate prove app.policy
sysgate prove app.policy filter.bpf --arch x86_64
sysgate prove one.bpf other.bpf
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("one", metavar="FILE", help="a policy, @NAME, - for standard input, or a raw program")
    parser.add_argument("program", nargs="?", metavar="PROGRAM", help="a raw program; unsaid: what sysgate compiles")
    parser.add_argument("--arch", action="append", help="only for this architecture (default: every one there is)")
    parser.add_argument("--json", action="store_true", help="print one object for machines")


def run(args: Namespace) -> int:
    from sysgate import api
    from sysgate.cli import given
    from sysgate.decode import escaped
    from sysgate.errors import BpfError, ProofError

    one = given.policy_or_program(args.one)
    if args.program is not None:
        program = given.program(args.program)
    elif isinstance(one, api.Policy):
        program = one.compile(args.arch)
    else:
        raise BpfError(
            f"{escaped(args.one)} is a program: name the policy, or the other program, that it is to be equal to"
        )
    try:
        proof = api.prove(one, program, args.arch)
    except ProofError as error:
        if not args.json:
            raise
        _print_json({"proved": False, "message": str(error), "counterexample": _call(error.counterexample)})
        return 1
    if args.json:
        _print_json({"proved": True, "instructions": proof.instructions, "method": proof.method, "cases": proof.cases})
    else:
        print(_said(args, proof))
    return 0


def _said(args: Namespace, proof: Proof) -> str:
    from sysgate.decode import escaped

    whom = f"{escaped(args.one)} and {escaped(args.program or 'its program')}"
    calls = f"every call on {', '.join(args.arch)}" if args.arch else "every call there can be"
    how = f", {proof.cases} cases" if proof.cases else ""
    return f"proved equal: {whom} answer {calls} alike ({proof.instructions} instructions{how})"


def _print_json(told: dict[str, object]) -> None:
    import json

    print(json.dumps(told))


def _call(call: Call) -> dict[str, object]:
    return {"text": str(call), "arch": call.arch, "nr": call.nr, "args": list(call.args), "ip": call.ip}
