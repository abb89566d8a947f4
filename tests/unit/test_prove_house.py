"""The prover shares nothing with what it judges, and brings nothing along that a start would pay for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOM = Path(__file__).resolve().parents[2] / "src" / "sysgate" / "proof"
FILES = sorted(ROOM.glob("*.py"))

# The language as resolved, its reference meaning (to check counterexamples), the facts, and BPF.
MAY_IMPORT = (
    "sysgate.proof", "sysgate.policy.ruleset", "sysgate.policy.meaning", "sysgate.facts", "sysgate.bpf",
    "sysgate.action", "sysgate.call", "sysgate.decision", "sysgate.errors", "sysgate.value",
)  # fmt: skip


def imported(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names += [f"{module}.{alias.name}" for alias in node.names]
    return [name for name in names if name.startswith("sysgate")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_prover_knows_language_facts_and_bpf_and_never_the_compiler(path: Path) -> None:
    for name in imported(path):
        assert name.startswith(MAY_IMPORT), f"{path.name} imports {name}"


def test_only_the_check_of_a_counterexample_asks_the_reference_meaning() -> None:
    asking = [path.name for path in FILES if "sysgate.policy.meaning" in imported(path)]
    assert asking == ["counterexample.py"]


def test_a_proof_by_boxes_loads_no_other_way() -> None:
    code = """
import sys
before = set(sys.modules)
from sysgate.action import ALLOW, KILL_PROCESS
from sysgate.bpf.program import Program
from sysgate.policy.ruleset import Gate, Segment
from sysgate.proof import prove
gate = Gate(((0xC000003E, (Segment(0, 0xFFFFFFFF, (), ALLOW, None),)),), KILL_PROCESS, False)
program = Program(((32, 0, 0, 4), (21, 0, 1, 0xC000003E), (6, 0, 0, 0x7FFF0000), (6, 0, 0, 0x80000000)), False)
assert prove(gate, program).method == "boxes"
print(*sorted(set(sys.modules) - before))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    slow = {"typing", "dataclasses", "re", "enum", "pathlib", "contextlib", "random"}
    other_ways = {
        f"sysgate.proof.{name}"
        for name in ("exact", "bits", "views", "sat", "circuit", "gates", "search", "counterexample")
    }
    floors = {"sysgate.policy.meaning", "sysgate.policy.resolve", "sysgate.facts.calls"}
    assert not loaded & (slow | other_ways | floors)
