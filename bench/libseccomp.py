"""The peer that is here: libseccomp's own program for a policy, by Debian's python3-seccomp.

It runs under the system's Python, which has the binding; this one need not. What libseccomp cannot say (two tests of
one argument in a rule) is left out and counted. Run as a script it is that other side: a policy on standard input, a
filter on standard output.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

PYTHON = "/usr/bin/python3"
WORD = (1 << 64) - 1
PATIENCE = 3  # seconds, after which it is taken to have no program


def program(policy: dict[str, Any], level: int) -> tuple[bytes, int] | None:
    """Its filter and how many rules it lacks; None where the binding is not installed, or does not get it done.

    policy: the JSON of ../shared/bench/policies; or with "arches", which gives by libseccomp's name of an architecture
    its rules by call name. level: libseccomp's optimization, 1 (a chain) or 2 (a tree).
    """
    try:
        done = subprocess.run(
            [PYTHON, __file__, str(level)], input=json.dumps(policy).encode(), capture_output=True, timeout=PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode:
        return None
    left_out, _, raw = done.stdout.partition(b"\n")
    return raw, int(left_out)


def _made(policy: dict[str, Any], level: int) -> tuple[Any, int]:
    import seccomp  # type: ignore[import-not-found]

    def action(ret: int) -> Any:
        kind = ret & 0xFFFF0000
        if kind == 0x50000:
            return seccomp.ERRNO(ret & 0xFFFF)
        if kind == 0x30000:
            return seccomp.TRAP
        return {
            0x7FFF0000: seccomp.ALLOW,
            0x7FFC0000: seccomp.LOG,
            0x7FC00000: seccomp.NOTIFY,
            0x80000000: seccomp.KILL_PROCESS,
            0: seccomp.KILL,
        }[kind]

    def arguments(conditions: list[Any]) -> list[list[Any]]:
        # The ways in which all conditions hold, each as arguments of one rule: "some bit of" is one rule a bit.
        ways: list[list[Any]] = [[]]
        for arg, op, value, mask in conditions:
            if op == "any":
                bits = [1 << bit for bit in range(64) if mask >> bit & 1]
                ways = [[*way, seccomp.Arg(arg, seccomp.MASKED_EQ, bit, bit)] for way in ways for bit in bits]
            elif op in ("sub", "meq"):
                kept = mask if op == "meq" else ~mask & WORD
                ways = [[*way, seccomp.Arg(arg, seccomp.MASKED_EQ, kept, value)] for way in ways]
            else:
                sign = getattr(seccomp, op.upper())
                ways = [[*way, seccomp.Arg(arg, sign, value)] for way in ways]
        return ways

    made = None
    left_out = 0
    for arch, rules in (policy.get("arches") or {"": policy["rules"]}).items():
        one = seccomp.SyscallFilter(defaction=action(policy["default"]))
        one.set_attr(seccomp.Attr.ACT_BADARCH, action(policy["badarch"]))
        one.set_attr(seccomp.Attr.CTL_OPTIMIZE, level)
        if arch and not one.exist_arch(seccomp.Arch(arch)):
            one.remove_arch(seccomp.Arch())  # first: those of one filter must have one byte order
            one.add_arch(seccomp.Arch(arch))
        for call, cases in rules.items():
            for ret, conditions in cases:
                if ret == policy["default"]:
                    continue
                try:
                    for way in arguments(conditions):
                        one.add_rule_exactly(action(ret), int(call) if call.isdigit() else call, *way)
                except (RuntimeError, ValueError):
                    left_out += 1
        if made is None:
            made = one
        else:
            made.merge(one)
    return made, left_out


if __name__ == "__main__":
    found, missing = _made(json.load(sys.stdin), int(sys.argv[1]))
    sys.stdout.write(f"{missing}\n")
    sys.stdout.flush()
    found.export_bpf(sys.stdout)
