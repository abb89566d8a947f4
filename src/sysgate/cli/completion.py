"""`sysgate completion`: print the completion script for a shell."""

from __future__ import annotations

from argparse import ArgumentParser

from sysgate.errors import SysgateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

EXAMPLE = """
sysgate completion bash > ~/.local/share/bash-completion/completions/sysgate
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell to complete in")


def run(args: Namespace) -> int:
    try:
        import shtab
    except ImportError:
        raise SysgateError("completion needs the package shtab: pip install 'sysgate[completion]'") from None
    print(shtab.complete(_whole_parser(), shell=args.shell))
    return 0


def _whole_parser() -> ArgumentParser:
    """One parser with every command in it: what a shell completes from."""
    from importlib import import_module

    from sysgate.cli.main import COMMANDS

    whole = ArgumentParser(prog="sysgate")
    commands = whole.add_subparsers()
    for name, purpose in COMMANDS.items():
        import_module(f"sysgate.cli.{name}").add_arguments(commands.add_parser(name, help=purpose))
    return whole
