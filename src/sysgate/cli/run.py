"""`sysgate run`: run a program behind a policy and explain what it is refused."""

from __future__ import annotations

import os
import sys

from sysgate.cli.quick import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

    from sysgate.launch.foreground import Ended
    from sysgate.launch.watched import Told
    from sysgate.policy.ast import Policy
    from sysgate.supervise.denial import Denial

EXAMPLE = """
sysgate run -p app.policy -- ./app --serve
sysgate run -e 'default: allow' -e 'mkdir, mkdirat: 0 else errno(EACCES)' -- mkdir x
sysgate run --complain -o app.policy -- ./app
sysgate run -p wide.policy --then service.policy --when listen -- ./server
sysgate run -e 'write: fd == 1' -e 'exit_group: 1' --when main -- ./program
sysgate run --abi 2011 -- ./program-of-2011
"""

_USAGE = 2
_KILLED_BY_SIGSYS = 128 + 31


def add_arguments(parser: ArgumentParser) -> None:
    add_policy_arguments(parser)
    parser.add_argument(
        "--complain", action="store_true", help="refuse nothing: record what would be refused, as rules that allow it"
    )
    parser.add_argument(
        "-o", dest="output", metavar="FILE", help="where --complain writes its rules (else: standard error)"
    )
    parser.add_argument("--json", action="store_true", help="refusals as JSON, one object a line, on standard error")
    parser.add_argument("--quiet", action="store_true", help="say nothing about refusals")
    parser.add_argument(
        "--no-explain", action="store_true", help="leave every answer to the kernel; refusals are not explained"
    )
    parser.add_argument(
        "--abi",
        metavar="2011",
        choices=ABIS,
        help="the program brings its own filters, by the prctl interface of 2011 (2011-a, -b, -c: only that form); "
        "set-user-ID programs it starts get no privilege",
    )
    parser.add_argument(
        "--strict", action="store_true", help="seccomp's mode 1 instead of a policy: read, write, exit, sigreturn"
    )
    parser.add_argument(
        "--then", metavar="FILE", action="append", default=[], help="a narrower policy, in force from --when on"
    )
    parser.add_argument(
        "--when",
        metavar="CALL",
        help="the moment for --then: when a process first makes this call (listen, or several: accept,accept4), or "
        "main; without --then the -p policy itself waits for it",
    )
    add_command(parser)


ABIS = {"2011": None, "2011-a": "a", "2011-b": "b", "2011-c": "c"}


def quick(words: Sequence[str]) -> Namespace | None:
    """The arguments where they need no argparse; the names are those of `add_arguments`."""
    flags = {"--complain": "complain", "--json": "json", "--quiet": "quiet", "--no-explain": "no_explain"}
    flags["--strict"] = "strict"
    made = read(words, flags=flags, values=_VALUES, lists={**POLICY_LISTS, "--then": "then"})
    return made if made is not None and made.abi in (None, *ABIS) else None


_VALUES = {"-o": "output", "--abi": "abi", "--when": "when"}
POLICY_LISTS = {"-p": "policies", "-e": "rules"}


def add_policy_arguments(parser: ArgumentParser) -> None:
    """-p and -e, as `exec` has them too."""
    parser.add_argument(
        "-p",
        dest="policies",
        metavar="FILE",
        action="append",
        default=[],
        help="a policy, @NAME, or - for standard input; several must all allow",
    )
    parser.add_argument(
        "-e",
        dest="rules",
        metavar="RULE",
        action="append",
        default=[],
        help="a line of policy; together they are one file, included by each -p file",
    )


def add_command(parser: ArgumentParser) -> None:
    """The program and its arguments: all that is left."""
    from argparse import REMAINDER

    parser.add_argument("command", nargs=REMAINDER, metavar="-- PROGRAM [ARGUMENT ...]", help="what to run")


def run(args: Namespace) -> int:
    command = program(args)
    wrong = _misuse(args, command)
    if wrong:
        print(
            f"usage: sysgate run [-p FILE]... [-e RULE]... -- PROGRAM [ARGUMENT ...]\nsysgate run: {wrong}",
            file=sys.stderr,
        )
        return _USAGE
    if args.abi is not None or args.strict:
        return _without_policy(args, command)
    if args.when is not None:
        return _in_phases(args, command)
    from sysgate.launch import foreground, prepared

    if args.complain:
        if args.output is not None:
            _try_to_write(args.output)
        say("sysgate: complain mode: this run is NOT confined, nothing is refused")
    policy = policy_of(args)
    ready = prepared.prepare(policy)
    form = prepared.OBSERVED if args.complain else prepared.NATIVE if args.no_explain else prepared.EXPLAINED
    try:
        ended = foreground.run(command, ready, form, told=_teller(args))
    except foreground.NoProgramError as error:
        say(f"sysgate: {error}")
        return error.code
    if args.complain:
        _write_rules(args, command, ended)
    elif args.json:
        _print_json(ended)
    elif not args.quiet:
        _print_rest(policy, ended, explained=not args.no_explain)
    return ended.code


def _without_policy(args: Namespace, command: list[bytes]) -> int:
    from sysgate.launch.foreground import NoProgramError

    if args.abi is not None:
        from sysgate.life import abi2011

        return abi2011.run(command, ABIS[args.abi])
    from sysgate.life import strict

    try:
        return strict.run(command)
    except NoProgramError as error:
        say(f"sysgate: {error}")
        return error.code


def _in_phases(args: Namespace, command: list[bytes]) -> int:
    from sysgate.launch.foreground import NoProgramError
    from sysgate.life import phases

    given = policy_of(args) if args.policies or args.rules else None
    wide, then = (given, _all_of(args.then, ())) if args.then else (None, given)
    assert then is not None
    try:
        ended, met = phases.run(command, wide, then, args.when)
    except NoProgramError as error:
        say(f"sysgate: {error}")
        return error.code
    if not met and not args.quiet:
        say(f"sysgate: {args.when} was never reached: the policy for it was not in force")
    elif ended.code == _KILLED_BY_SIGSYS and not args.quiet:
        from sysgate.report.denial import of_sigsys

        say(of_sigsys(then, explained=False))
    return ended.code


def program(args: Namespace) -> list[bytes]:
    """The words of the command to run, the -- before it dropped."""
    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    return [os.fsencode(word) for word in words]


def policy_of(args: Namespace) -> Policy:
    """What -p and -e say together. Raises PolicyError."""
    return _all_of(args.policies, args.rules)


def _all_of(policies: Sequence[str], rules: Sequence[str]) -> Policy:
    from sysgate.policy import include

    if len(policies) < 2:
        return include.with_rules(policies[0] if policies else None, rules)
    from sysgate.policy.both import both

    first, *others = [include.with_rules(path, rules) for path in policies]
    for other in others:
        first = both(first, other)
    return first


def say(text: str) -> None:
    """Print a line on standard error, whatever has become of it."""
    try:  # noqa: SIM105 - contextlib costs more than the rest of this module
        os.write(2, (text + "\n").encode("utf-8", "backslashreplace"))
    except OSError:
        pass  # closed, or a full disk: no reason to disturb the program


def _misuse(args: Namespace, command: list[bytes]) -> str:
    if not command:
        return "which program? Put it at the end: sysgate run -p FILE -- PROGRAM"
    if args.abi is not None or args.strict:
        return _misuse_without_policy(args)
    if bool(args.then) and args.when is None:
        return "--then needs --when: a call, or main"
    if args.when is not None and (args.complain or args.output is not None):
        return "--when and --complain do not go together"
    if not (args.policies or args.rules or args.complain or args.then):
        return "what is allowed? Give a policy: -p FILE, -p @NAME, or -e RULE"
    if args.output is not None and not args.complain:
        return "-o goes with --complain"
    if args.complain and args.no_explain:
        return "--complain records what is refused, --no-explain does not: choose one"
    return ""


def _misuse_without_policy(args: Namespace) -> str:
    if args.abi not in (None, *ABIS):
        return f"--abi takes {', '.join(ABIS)}"
    if (
        args.policies
        or args.rules
        or args.then
        or args.complain
        or args.output is not None
        or (args.abi and args.strict)
    ):
        return "--abi and --strict stand alone: the program's filters, or mode 1, are all there is"
    return ""


def _try_to_write(path: str) -> None:
    """Raises SysgateError where a file cannot be written, before a program has run for nothing."""
    from sysgate.decode import escaped
    from sysgate.errors import SysgateError

    try:
        with open(path, "ab"):
            pass
    except OSError as error:
        raise SysgateError(f"cannot write {escaped(path)}: {error.strerror}") from None


def _teller(args: Namespace) -> Told | None:
    if args.quiet or args.json or args.complain:
        return None
    names = tuple(args.policies)

    def tell(denial: Denial) -> None:
        from sysgate.report.denial import printed

        say(printed(denial, names))

    return tell


def _print_rest(policy: Policy, ended: Ended, *, explained: bool) -> None:
    if ended.denials:
        from sysgate.report.denial import summary

        repeated = summary(ended.denials)
        if repeated:
            say(repeated)
    if ended.code == _KILLED_BY_SIGSYS and all(denial.action == "errno" for denial in ended.denials):
        from sysgate.report.denial import of_sigsys

        say(of_sigsys(policy, explained=explained and not (ended.note or ended.trouble)))
    for line in (ended.note, ended.trouble and f"not every refusal could be explained ({ended.trouble})"):
        if line:
            say(f"sysgate: {line}")


def _print_json(ended: Ended) -> None:
    import json

    from sysgate.report.denial import as_json

    for denial in ended.denials:
        say(json.dumps(as_json(denial)))


def _canonical(text: str) -> str:
    """As `sysgate fmt` would have it; a text it cannot read stays as it is, for a recording must not be lost."""
    from sysgate.errors import PolicyError
    from sysgate.policy.layout import formatted

    try:
        return formatted(text)
    except PolicyError:
        return text


def _write_rules(args: Namespace, command: list[bytes], ended: Ended) -> None:
    from sysgate.decode import escaped
    from sysgate.supervise import suggest

    shown = escaped(" ".join(map(os.fsdecode, command)))
    if args.policies or args.rules:
        lines = list(dict.fromkeys(line for denial in ended.denials for line in denial.suggestion.splitlines()))
        head = [f"# What else {shown} called: to be added to {escaped(', '.join(args.policies) or 'the rules')}"]
    else:
        lines = list(suggest.lines(ended.denials))
        release = ".".join(os.uname().release.split("-")[0].split(".")[:2])
        head = [f"# What {shown} called in one run that was watched, not confined.", f"since: {release}"]
    text = _canonical("\n".join([*head, *lines, ""]))
    where = ""
    if args.output is not None:
        try:
            with open(args.output, "w", encoding="utf-8") as file:
                file.write(text)
            where = f", written to {escaped(args.output)}"
        except OSError as error:
            say(f"sysgate: cannot write {escaped(args.output)}: {error.strerror}; the rules are here:")
    if not where:
        say(text.removesuffix("\n"))
    say(f"sysgate: this run was NOT confined; {len(lines)} rule lines would allow what it did{where}")
    if ended.trouble:
        say(f"sysgate: not everything could be recorded ({ended.trouble})")
