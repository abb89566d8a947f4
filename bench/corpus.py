"""The programs of ../shared/conformance/programs, and what each of them means as a policy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from bench.policies import SHARED

from sysgate.action import from_ret
from sysgate.analyse import decompile
from sysgate.bpf import machine
from sysgate.bpf.program import Program, from_bytes
from sysgate.errors import BpfError
from sysgate.facts import arches
from sysgate.policy import resolve
from sysgate.policy.ruleset import Gate

NOBODY = 0xDEAD_BEEF  # an AUDIT_ARCH value that no architecture has


class Known(NamedTuple):
    """A program with its name, and the architectures it was made for where it tests none."""

    name: str
    program: Program
    target: tuple[str, ...] | None


def programs() -> Iterator[Known]:
    """All of them, by name."""
    for path in sorted((SHARED / "conformance" / "programs").glob("*.json")):
        about = json.loads(path.read_text())
        raw = from_bytes(path.with_suffix(".bpf").read_bytes(), big_endian=False)
        program = Program(raw.insns, about["data_endian"] == "big")
        yield Known(path.stem, program, None if about["arch_checks"] else (about["target"],))


def meaning(program: Program, target: tuple[str, ...] | None = None) -> Gate | None:
    """What a program decides on the architectures it tests for, and what it answers to the rest.

    None where none of them is in a table.
    """
    try:
        policy = decompile.to_policy([program], target)
    except BpfError:
        return None
    gate = resolve.gate_of(policy, policy.named)
    return Gate(gate.entries, from_ret(machine.run(program, NOBODY, 0)[0]), gate.big_endian)


def named(gate: Gate) -> tuple[str, ...]:
    """The architectures of a gate."""
    return tuple(arches.by_audit(audit)[0].name for audit, _ in gate.entries)
