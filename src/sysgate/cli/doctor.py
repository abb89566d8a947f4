"""`sysgate doctor`: try what this kernel and this user can do."""

from __future__ import annotations

from argparse import ArgumentParser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from sysgate.kernel.abilities import Abilities

EXAMPLE = """
sysgate doctor
sysgate doctor --json
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(args: Namespace) -> int:
    from sysgate.kernel.abilities import probe

    found = probe()
    if args.json:
        import json

        print(json.dumps({field: getattr(found, field) for field in found._fields}))
    else:
        print("\n".join(_lines(found)))
    return 0


def _lines(found: Abilities) -> list[str]:
    rows = [
        ("kernel", f"{found.kernel} on {found.machine}"),
        ("start programs", _said(found.launch, "sysgate run, exec", "policies are compiled and judged only")),
        ("actions", ", ".join(found.actions) or "none: seccomp is not there"),
        ("seccomp flags", ", ".join(found.flags) or "none"),
        ("explain refusals", _explains(found)),
        (
            "no_new_privs",
            "needed: set-user-ID programs get no rights behind a filter" if found.no_new_privs_needed else "not needed",
        ),
        ("filters on this thread", "unknown" if found.filters is None else str(found.filters)),
        (
            "trace a child",
            _said(found.ptrace, "and attach to it" if not found.yama else f"Yama scope {found.yama}", _yama(found)),
        ),
        ("read its memory", _said(found.read_memory, "strings of refused calls are shown", "strings are not shown")),
        ("clone3", _said(found.clone3, "", "clone is used")),
        ("pidfd", _said(found.pidfd, "", "Linux 5.3 has it")),
        ("eBPF", _said(found.ebpf, "", "root needed, or not built in")),
        ("Landlock", f"version {found.landlock}" if found.landlock else "no"),
    ]
    width = max(len(name) for name, _ in rows)
    return [f"{name:{width}}  {value}" for name, value in rows]


def _said(able: bool, good: str, bad: str) -> str:
    remark = good if able else bad
    return ("yes" if able else "no") + (f": {remark}" if remark else "")


def _explains(found: Abilities) -> str:
    if found.notify:
        return "yes, by a listener" + (
            "" if found.wait_killable else "; signals interrupt refused calls (before Linux 5.19)"
        )
    if found.ptrace:
        return "kills and traps, by tracing: there is no listener to be had (an older kernel, or a filter that has one)"
    return "no: neither a listener nor tracing is to be had"


def _yama(found: Abilities) -> str:
    return f"Yama scope {found.yama}" if found.yama else "refused"
