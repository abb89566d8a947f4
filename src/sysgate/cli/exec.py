"""`sysgate exec`: become a program behind a policy; nobody stays behind."""

from __future__ import annotations

import sys

from sysgate.cli.quick import read
from sysgate.cli.run import POLICY_LISTS, add_command, add_policy_arguments, policy_of, program, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

EXAMPLE = """
sysgate exec -p app.policy -- ./app
ExecStart=/usr/bin/sysgate exec -p /etc/app.policy -- /usr/bin/app     (in a unit file)
"""


def add_arguments(parser: ArgumentParser) -> None:
    add_policy_arguments(parser)
    add_command(parser)


def quick(words: Sequence[str]) -> Namespace | None:
    """The arguments where they need no argparse; the names are those of `add_arguments`."""
    return read(words, flags={}, values={}, lists=POLICY_LISTS)


def run(args: Namespace) -> int:
    command = program(args)
    if not command or not (args.policies or args.rules):
        print("usage: sysgate exec [-p FILE]... [-e RULE]... -- PROGRAM [ARGUMENT ...]", file=sys.stderr)
        return 2
    from sysgate.launch import foreground, prepared

    ready = prepared.prepare(policy_of(args))
    try:
        foreground.become(command, ready)
    except foreground.NoProgramError as error:
        say(f"sysgate: {error}")
        return error.code
    raise AssertionError("become does not return")
