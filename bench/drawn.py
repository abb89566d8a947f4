"""Policies that nobody tuned for: drawn ones, and what every program at hand means; sysgate beside its rivals.

    python -m bench.drawn [COUNT]       COUNT drawn policies (1000), and all programs of ../shared/conformance

Every program of sysgate's is proved, and every rival's was proved to mean the same. What libseccomp made may mean
something else (it knows fewer calls, and has no words for some conditions): then sysgate compiles that meaning, as a
case of its own, for every fourth of the drawn policies. Writes bench/out/drawn.json with all figures; docs/compared.md
with who is better where, and docs/compared.tsv with each case in which a rival is more than a tenth better
(bench.told).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from bench import chain, corpus, libseccomp, peer_rules, told, traffic
from bench.draw import draw

from sysgate import Policy, compiler, proof
from sysgate.bpf.program import Program, from_bytes
from sysgate.errors import BpfError, CompileError, ProofError
from sysgate.policy.ruleset import Gate

OUT = Path(__file__).parent / "out" / "drawn.json"
DOCS = Path(__file__).parents[1] / "docs"
COUNT = 1000
SETTINGS = ("full", "fast")
SELDOM = 4  # of so many drawn policies one has what libseccomp made of it compiled again


class Figures(NamedTuple):
    """instructions; mean executed on recorded and on uniform traffic (bench.traffic)."""

    size: int
    recorded: float
    uniform: float


class Case(NamedTuple):
    """own: by setting. rivals: by name, all of the same meaning. notes: what could not be compared, in words."""

    name: str
    own: dict[str, Figures]
    rivals: dict[str, Figures]
    notes: list[str]


def of_drawn(seed: int) -> list[Case]:
    """The cases of one drawn policy."""
    drawn = draw(seed)
    gate = Policy.parse(drawn.text).gate(drawn.arches)
    return _cases(f"drawn {seed}", gate, {}, again=seed % SELDOM == 0)


def of_program(known: corpus.Known) -> list[Case]:
    """The cases of one program of the corpus."""
    gate = corpus.meaning(known.program, known.target)
    if gate is None:
        return [Case(known.name, {}, {}, ["no meaning: it decides only on architectures that no table has"])]
    return _cases(known.name, gate, {"original": known.program}, again=True)


def _cases(name: str, gate: Gate, rivals: dict[str, Program], *, peers: bool = True, again: bool = False) -> list[Case]:
    notes = []
    try:
        own = {setting: compiler.compile(gate, optimize=setting) for setting in SETTINGS}
        for program in own.values():
            proof.prove(gate, program)
    except CompileError as error:
        return [Case(name, {}, {}, [str(error)])]
    try:
        rivals = {**rivals, "chain": chain.chain(gate)}
    except chain.Refused:
        notes.append("no chain: several rules for one call")
    others: list[Case] = []
    if peers and (rules := peer_rules.rules(gate)) is not None:
        made = _libseccomp(rules, gate.big_endian, notes)
        rivals |= {peer: program for peer, program in made.items() if _same(gate, program)}
        different = {peer: program for peer, program in made.items() if peer not in rivals}
        if different and again:
            meant = corpus.meaning(next(iter(different.values())), corpus.named(gate))
            if meant is not None:
                others = _cases(f"{name}, as libseccomp means it", meant, different, peers=False)
    recorded, uniform = traffic.recorded(gate), traffic.uniform(gate)
    compared = {}
    for rival, program in rivals.items():
        if not _same(gate, program, whole=False):
            notes.append(f"{rival}: not proved to mean the same")
            continue
        compared[rival] = _figures(program, recorded, uniform)
    return [Case(name, {key: _figures(one, recorded, uniform) for key, one in own.items()}, compared, notes), *others]


def _libseccomp(rules: dict[str, Any], big_endian: bool, notes: list[str]) -> dict[str, Program]:
    made = {}
    for level, peer in ((2, "libseccomp's tree"), (1, "libseccomp's chain")):
        found = libseccomp.program(rules, level)
        try:
            if found is not None:
                made[peer] = from_bytes(found[0], big_endian=big_endian)
                continue
            notes.append(f"{peer}: it has no program")
        except BpfError:
            notes.append(f"{peer}: its program is longer than a kernel takes")
    return made


def _same(gate: Gate, program: Program, *, whole: bool = True) -> bool:
    # Some programs of the corpus decide on architectures that no table has, and are compared on the rest.
    try:
        proof.prove(gate, program, audits=None if whole else tuple(audit for audit, _ in gate.entries))
    except (ProofError, BpfError, CompileError):  # differs; is no program the kernel takes; proves too costly
        return False
    return True


def _figures(program: Program, recorded: traffic.Traffic, uniform: traffic.Traffic) -> Figures:
    means = [round(traffic.mean(program, calls), 4) if calls else 0.0 for calls in (recorded, uniform)]
    return Figures(len(program.insns), *means)


def cases(seeds: Iterable[int], programs: Iterable[corpus.Known]) -> Iterator[Case]:
    """All cases, in order, on all processors."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(of_drawn, seeds):
            yield from found
        for found in pool.map(of_program, programs):
            yield from found


def main(arguments: list[str]) -> int:
    """Run the comparison; the exit code."""
    count = int(arguments[0]) if arguments else COUNT
    known = list(corpus.programs())
    found = list(cases(range(count), known))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps([case._asdict() for case in found], indent=1) + "\n")
    (DOCS / "compared.md").write_text(told.document(found, count, len(known)))
    (DOCS / "compared.tsv").write_text(told.rows(found))
    print(f"written: {OUT}, {DOCS / 'compared.md'}, {DOCS / 'compared.tsv'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
