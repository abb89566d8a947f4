"""How good the compiler is: every policy of ../shared/bench, with both settings, beside the peers."""

from __future__ import annotations

import json
from time import perf_counter
from typing import Any

from bench import kernel, libseccomp, streams
from bench.policies import SHARED, Neutral, load

from sysgate import compiler, proof
from sysgate.bpf.program import Program, from_bytes, to_bytes
from sysgate.compiler.counts import of_counts
from sysgate.facts import calls

ROUNDS = 30  # of the kernel's timings
REPEATED = 5  # compilations and proofs, of which the quickest counts


def report(names: tuple[str, ...], *, timings: bool) -> dict[str, Any]:
    """All figures, as what is written to JSON."""
    peers = json.loads((SHARED / "bench" / "peers.json").read_text())
    return {"policies": {name: _policy(load(name), peers.get(name, {}), timings=timings) for name in names}}


def _policy(policy: Neutral, peers: dict[str, Any], *, timings: bool) -> dict[str, Any]:
    gate = policy.gate()
    counts = {name: share for number, share in streams.profile().items() if (name := calls.name("x86_64", number))}
    known = of_counts(counts, ("x86_64",))
    made: dict[str, Any] = {}
    programs: dict[str, Program] = {}
    for setting in ("full", "fast", "full, own profile"):
        weights = known if "profile" in setting else None
        compiled, proved = [], []
        for _ in range(REPEATED):
            start = perf_counter()
            program = compiler.compile(gate, optimize=setting[:4], weights=weights)
            middle = perf_counter()
            proof.prove(gate, program)
            compiled.append(middle - start)
            proved.append(perf_counter() - middle)
        programs[setting] = program
        made[f"sysgate {setting}"] = {
            **_figures(policy, program),
            "compile_ms": round(min(compiled) * 1000, 2),
            "proof_ms": round(min(proved) * 1000, 2),
        }
    live: dict[str, bytes] = {}
    raw = json.loads((SHARED / "bench" / "policies" / f"{policy.name}.json").read_text())
    for level, name in ((1, "libseccomp here, chain"), (2, "libseccomp here, tree")):
        found = libseccomp.program(raw, level)
        if found is not None:
            live[name] = found[0]
            made[name] = {**_figures(policy, from_bytes(found[0])), "rules_left_out": found[1]}
    for name, figures in peers.items():
        made[name] = {
            "instructions": figures["instructions"],
            "mean": figures["mean_executed"],
            "unserved": figures["mean_executed_unserved"],
            "longest": figures["longest_static_path"],
            "allows_served": figures["bitmap"],
            "recorded": True,
        }
    told: dict[str, Any] = {"programs": made}
    if timings and policy.name in kernel.CALLS and not kernel.available():
        said, number, arguments = kernel.CALLS[policy.name]
        filters = {"no filter": None, "two instructions": kernel.TWO}
        filters |= {f"sysgate {setting}": to_bytes(programs[setting]) for setting in ("full", "fast")}
        filters |= {name: raw for name, raw in live.items() if "tree" in name}
        costs = kernel.measure(number, arguments, filters, ROUNDS)
        told["kernel"] = {"call": said, "costs": {name: cost._asdict() for name, cost in costs.items()}}
    return told


def _figures(policy: Neutral, program: Program) -> dict[str, Any]:
    found = streams.figures(program)
    served = streams.served_numbers(program)
    allowed = [nr for nr in range(streams.BITMAP) if _unconditional(policy, nr)]
    each = {name: round(streams.mean(program, name), 3) for name in streams.NAMES}
    return {
        "instructions": found.instructions,
        "mean": round(found.mean, 3),
        "unserved": round(found.unserved, 3),
        "longest": found.longest,
        "allows_served": [sum(nr in served for nr in allowed), len(allowed)],
        "streams": each,
    }


def _unconditional(policy: Neutral, nr: int) -> bool:
    rules = policy.rules.get(nr)
    answer = policy.default if rules is None else rules[0][0] if not rules[0][1] else 0
    return answer == 0x7FFF0000


def table(told: dict[str, Any]) -> str:
    """The figures for people."""
    lines = []
    for name, policy in told["policies"].items():
        lines.append(f"{name:24}  insns    mean  unserved  longest  allows served  compile ms  proof ms")
        for program, figures in policy["programs"].items():
            served, allowed = figures["allows_served"]
            took = f"{figures['compile_ms']:10.1f}  {figures['proof_ms']:8.1f}" if "compile_ms" in figures else ""
            short = f"  without {figures['rules_left_out']} rules" if figures.get("rules_left_out") else ""
            lines.append(
                f"  {program:22}  {figures['instructions']:5}  {figures['mean']:6.2f}  {figures['unserved']:8.2f}"
                f"  {figures['longest']:7}  {served:6} of {allowed:<4}  {took}{short}".rstrip()
            )
        if "kernel" in policy:
            costs = policy["kernel"]["costs"]
            none = costs["no filter"]["ns"]
            lines.append(f"  {policy['kernel']['call']} on this kernel:")
            lines += [
                f"    {program:22}  {cost['ns']:7.1f} ns  {cost['ns'] / none:5.2f} × no filter  "
                f"install {cost['install']:6.1f} µs"
                for program, cost in costs.items()
            ]
        lines.append("")
    return "\n".join(lines)
