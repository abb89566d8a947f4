"""`python -m bench`: what sysgate's programs cost on the bench's policies and streams, beside the peers' figures.

Prints a table and writes bench/out/compile.json. Needs the corpus (../shared or SYSGATE_SHARED).
Starting programs and attaching to them are measured by bench.launch and bench.attach.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import perf_counter

from bench import policies, streams
from bench.streams import Figures

from sysgate import proof
from sysgate.compiler import compile, profile
from sysgate.facts import calls

NAMES = ("P1", "P2", "P3", "P4", "P5", "P6")
OUT = Path(__file__).parent / "out" / "compile.json"


def measured(name: str, setting: str) -> dict[str, object]:
    """Figures of one policy under one setting, and how many milliseconds compile and proof took: the best of three."""
    gate = policies.load(name).gate()
    weights = None
    if setting == "profile":
        counts = {calls.name("x86_64", nr): share for nr, share in streams.profile().items()}
        weights = profile.of_counts({call: share for call, share in counts.items() if call is not None}, ("x86_64",))
    compiling, proving = [], []
    for _ in range(3):
        start = perf_counter()
        program = compile(gate, optimize="fast" if setting == "fast" else "full", weights=weights)
        made = perf_counter()
        proof.prove(gate, program)
        compiling.append(made - start)
        proving.append(perf_counter() - made)
    figures = streams.figures(program)
    return {**figures._asdict(), "compile_ms": 1e3 * min(compiling), "proof_ms": 1e3 * min(proving)}


def best_of_peers(name: str) -> Figures:
    """The best of any peer, column by column: no one peer has them all."""
    peers = json.loads((policies.SHARED / "bench" / "peers.json").read_text())[name].values()
    least = [min(peer[key] for peer in peers) for key in ("instructions", "mean_executed", "mean_executed_unserved")]
    longest = min(peer["longest_static_path"] for peer in peers)
    return Figures(least[0], least[1], least[2], longest, max(peer["served_by_bitmap"] for peer in peers))


def main() -> None:
    if not (policies.SHARED / "bench").exists():
        sys.exit("the bench's policies and streams are not here: they stand beside the checkout or in SYSGATE_SHARED")
    print("      setting    insns   mean  unserved  longest  served   compile     proof")
    found: dict[str, dict[str, dict[str, object]]] = {}
    for name in NAMES:
        peers = best_of_peers(name)._asdict()
        found[name] = {"best peer per column": peers}
        print(f"{name}    peers    {_row(peers)}")
        for setting in ("fast", "full", "profile"):
            row = found[name][setting] = measured(name, setting)
            times = f"{row['compile_ms']:7.1f} ms {row['proof_ms']:6.1f} ms"
            print(f"      {setting:8} {_row(row)}  {times}", flush=True)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1) + "\n")


def _row(row: dict[str, object]) -> str:
    return (
        f"{row['instructions']:6} {row['mean']:6.2f} {row['unserved']:9.2f} {row['longest']:8} {row['served']:7.1%}"
    )


if __name__ == "__main__":
    main()
