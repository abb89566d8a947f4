"""python -m bench.hot [ROUNDS]: what a hot call and seccomp() cost on this kernel, sysgate beside what must be paid.

For each policy with such a call, interleaved in one run: nanoseconds over the smallest filter that must run at all (two
instructions), and the time of seccomp() over that for libseccomp's tree of the same policy. Least of all rounds.
"""

from __future__ import annotations

import json
import sys

from bench import kernel, libseccomp
from bench.policies import SHARED, load

from sysgate import compiler
from sysgate.bpf.program import to_bytes

ROUNDS = 300


def main(arguments: list[str]) -> int:
    """Measure and print a table; the exit code."""
    reason = kernel.available()
    if reason:
        print(f"nothing to measure: {reason}", file=sys.stderr)
        return 1
    rounds = int(arguments[0]) if arguments else ROUNDS
    for name, (said, number, args) in kernel.CALLS.items():
        gate = load(name).gate()
        filters: dict[str, bytes | None] = {"none": None, "two": kernel.TWO}
        filters |= {setting: to_bytes(compiler.compile(gate, optimize=setting)) for setting in ("full", "fast")}
        raw = json.loads((SHARED / "bench" / "policies" / f"{name}.json").read_text())
        if (tree := libseccomp.program(raw, 2)) is not None:
            filters["tree"] = tree[0]
        costs = kernel.measure(number, args, filters, rounds)
        over = {key: cost.ns - costs["two"].ns for key, cost in costs.items()}
        told = [f"{name}  {said}: no filter {costs['none'].ns:.1f} ns, two instructions {-over['none']:+.1f} ns"]
        told += [f"{key} {over[key]:+.1f} ns more" for key in filters if key not in ("none", "two")]
        print("; ".join(told))
        told = [f"    seccomp(): two instructions {costs['two'].install:.1f} µs"]
        told += [f"{key} {costs[key].install:.1f} µs" for key in filters if key not in ("none", "two")]
        if "tree" in costs:
            ratios = [f"{key} {costs[key].install / costs['tree'].install:.2f}" for key in ("full", "fast")]
            told.append(f"over the tree: {', '.join(ratios)}")
        print("; ".join(told))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
