"""`sysgate attach`: put a running process behind a policy."""

from __future__ import annotations

import sys

from sysgate.cli.run import POLICY_LISTS, add_policy_arguments, policy_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

EXAMPLE = """
sysgate attach 4711 -p app.policy
sysgate attach 4711 -p service.policy --when listen
sysgate attach 4711 -e 'default: allow' -e 'execve, execveat: 0 else errno(EACCES)'
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("pid", type=int, metavar="PID", help="the process; all its threads are confined")
    add_policy_arguments(parser)
    parser.add_argument(
        "--when",
        metavar="CALL",
        help="wait until it first makes this call (or one of several: accept,accept4), and put it behind the policy "
        "there; each of its calls is slower meanwhile. Ctrl-C gives up and leaves it as it was",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(args: Namespace) -> int:
    if not any(getattr(args, name) for name in POLICY_LISTS.values()):
        print("sysgate attach: what is allowed? Give a policy: -p FILE, -p @NAME, or -e RULE", file=sys.stderr)
        return 2
    from sysgate.life.attach import attach

    done = attach(args.pid, policy_of(args), when=args.when)
    if done.warning and not args.json:
        print(f"sysgate: {done.warning}", file=sys.stderr)
    if args.json:
        import json

        print(json.dumps({"pid": args.pid, **{field: getattr(done, field) for field in done._fields}}))
    else:
        threads = "1 thread" if done.threads == 1 else f"{done.threads} threads"
        print(f"process {args.pid} is behind the policy ({threads}), from now on")
    return 0
