"""`sysgate prove`: show that a program means what its policy, or another program, says."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from sysgate.api import Policy, Program
    from sysgate.call import Call

EXAMPLE = """
sysgate prove app.policy
sysgate prove app.policy filter.bpf --arch x86_64
sysgate prove one.bpf other.bpf
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("one", metavar="FILE", help="a policy, @NAME, or a raw program")
    parser.add_argument("program", nargs="?", metavar="PROGRAM", help="a raw program; unsaid: what sysgate compiles")
    parser.add_argument("--arch", action="append", help="only for this architecture (default: every one there is)")
    parser.add_argument("--json", action="store_true", help="print one object for machines")


def run(args: Namespace) -> int:
    from sysgate import api
    from sysgate.errors import ProofError

    one = _read(args.one)
    program = one.compile(args.arch) if args.program is None and isinstance(one, api.Policy) else None
    if program is None:
        program = _program(args.program or args.one)
    try:
        proof = api.prove(one, program, args.arch)
    except ProofError as error:
        if not args.json:
            raise
        _print({"proved": False, "message": str(error), "counterexample": _call(error.counterexample)})
        return 1
    if args.json:
        _print({"proved": True, "instructions": proof.instructions, "method": proof.method, "cases": proof.cases})
    else:
        whom = f"{args.one} and {args.program} are" if args.program else f"{args.one} and its program are"
        print(f"{whom} equal: {proof.instructions} instructions, {proof.cases} cases ({proof.method})")
    return 0


def _read(name: str) -> Policy | Program:
    """A program where the file is one, else a policy (whose error says what is wrong)."""
    from sysgate import api
    from sysgate.errors import BpfError

    if name == "-" or name.startswith("@"):
        return api.load(name)
    try:
        return _program(name)
    except (BpfError, OSError):
        return api.load(name)


def _program(name: str) -> Program:
    from sysgate import api
    from sysgate.errors import BpfError

    try:
        with open(name, "rb") as file:
            return api.Program.from_bytes(file.read(1 << 16))
    except OSError as error:
        raise BpfError(f"{name}: {error.strerror}") from None
    except BpfError as error:
        raise BpfError(f"{name}: {error}") from None


def _print(told: dict[str, object]) -> None:
    import json

    print(json.dumps(told))


def _call(call: Call) -> dict[str, object]:
    return {"text": str(call), "arch": call.arch, "nr": call.nr, "args": list(call.args), "ip": call.ip}
