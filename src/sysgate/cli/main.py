"""The command line: find the command, load its module and no other, turn errors into exit codes."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Sequence
    from types import ModuleType

# Command → what it is for. Each lives in the module of its name in this folder.
COMMANDS = {
    "run": "run a program behind a policy and explain what it is refused",
    "exec": "become a program behind a policy; nobody stays behind",
    "check": "compile and prove policies, and warn of what looks wrong",
    "explain": "say what a policy answers to a call, and why",
    "compile": "turn a policy into a seccomp-BPF program",
    "prove": "show that a program means what its policy says",
    "disasm": "list a seccomp-BPF program, or turn it back into a policy",
    "diff": "say which calls two policies answer differently",
    "fmt": "put policies into their canonical form",
    "syscalls": "look up system calls, groups and constants",
    "doctor": "try what this kernel and this user can do",
    "status": "report how a process is filtered",
    "ps": "list the filtered processes",
    "attach": "put a running process behind a policy",
    "completion": "print the completion script for a shell",
}

USAGE = 2
FAILED = 1
NOT_STARTED = 125  # as env(1), timeout(1) and docker-run(1) have it
# Commands that end as another program ends: their own failures must not look like the program's.
_STARTERS = ("run", "exec")


def entry() -> None:
    """The console script: run the command line and leave with its exit code.

    Nothing is left to do then, so the interpreter's own clearing up is skipped: a tenth of what a short run takes.
    """
    import gc

    from sysgate.cli.imports import shorten

    gc.disable()  # a command makes little garbage; `run`, which may stay for long, enables it again
    shorten()
    code = main(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        try:  # noqa: SIM105 - contextlib costs more than this
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # closed, or never open
    os._exit(code)


def main(argv: Sequence[str]) -> int:
    """Run one command line (without the program's name); the exit code. Prints errors on standard error."""
    for stream in (sys.stdout, sys.stderr):
        # What a terminal cannot show is escaped: a locale must never turn output into a traceback.
        if stream is not None:  # it is where the descriptor was closed
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        return _run(argv)
    except OSError as error:  # a full disk, a closed pipe: standard output is the only file written here
        if error.errno is None or sys.stdout is None:
            raise
        if not isinstance(error, BrokenPipeError):
            print(f"sysgate: cannot write: {error.strerror}", file=sys.stderr)
        # Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILED


def _run(argv: Sequence[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(overview(), flush=True)
        return 0 if argv else USAGE
    if argv[0] in ("-V", "--version"):
        from sysgate import __version__

        print(f"sysgate {__version__}")
        return 0
    if argv[0] not in COMMANDS:
        return _unknown_command(argv[0])
    return _run_command(argv[0], argv[1:])


def overview() -> str:
    """What `sysgate --help` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {purpose}" for name, purpose in COMMANDS.items()]
    return "\n".join(
        [
            "usage: sysgate COMMAND [ARGUMENT ...]",
            "",
            "Narrow what a process may ask of its kernel.",
            "",
            *lines,
            "",
            "`sysgate COMMAND --help` tells more. For a start:",
            "  sysgate run -e 'default: allow' -e 'mkdir, mkdirat: 0 else errno(EACCES)' -- mkdir x",
        ]
    )


def parser(name: str) -> tuple[ArgumentParser, ModuleType]:
    """The argument parser of one command, and the command's module."""
    from argparse import ArgumentParser, RawDescriptionHelpFormatter

    module = _module(name)
    example = "\n".join(f"  {line.strip()}" for line in module.EXAMPLE.strip().splitlines())
    made = ArgumentParser(
        prog=f"sysgate {name}",
        description=f"{COMMANDS[name][0].upper()}{COMMANDS[name][1:]}.",
        epilog=f"example:\n{example}",
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(made)
    return made, module


def _module(name: str) -> ModuleType:
    # Not by importlib: that alone loads two modules more.
    __import__(f"sysgate.cli.{name}")
    return sys.modules[f"sysgate.cli.{name}"]


def _run_command(name: str, arguments: Sequence[str]) -> int:
    from sysgate.errors import SysgateError

    module = _module(name)
    # These two start programs, and are to cost little more than what they start.
    read = module.quick(arguments) if name in _STARTERS else None
    try:
        code: int = module.run(read or parser(name)[0].parse_args(arguments))
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except SysgateError as error:
        print(_told(error), file=sys.stderr)
        return NOT_STARTED if name in _STARTERS else FAILED
    except KeyboardInterrupt:
        return 128 + 2


def _told(error: Exception) -> str:
    from sysgate.errors import PolicyError, ProofError

    if isinstance(error, PolicyError):
        return str(error)
    if isinstance(error, ProofError):
        return f"sysgate: {error}\n    counterexample: {error.counterexample}"
    return f"sysgate: {error}"


def _unknown_command(word: str) -> int:
    from difflib import get_close_matches

    near = get_close_matches(word, COMMANDS, n=1)
    hint = f"did you mean `sysgate {near[0]}`?" if near else "`sysgate --help` lists the commands"
    print(f"sysgate: there is no command {word!r}\n    {hint}", file=sys.stderr)
    return USAGE
