"""Both settings, compiled and proved, on gates that leave much to choose: orders of words, chains, masks, layouts."""

from __future__ import annotations

from random import Random

import gates
import pytest

from sysgate import compiler
from sysgate.action import from_ret
from sysgate.bpf import machine
from sysgate.bpf.program import Program
from sysgate.call import Call
from sysgate.compiler import layout
from sysgate.policy import meaning
from sysgate.policy.ruleset import Gate
from sysgate.proof import prove
from sysgate.supervise import leaf

# A jump's reach in some of the programs, so that short ones have far jumps, too.
REACH = 12
CALLS = 20


@pytest.mark.parametrize("seed", range(0, 80, 10))
@pytest.mark.parametrize("optimize", ["fast", "full"])
def test_what_is_compiled_is_proved_and_does_what_the_reference_says(
    optimize: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in range(seed, seed + 10):
        random = Random(each)
        gate = gates.hard_gate(random)
        monkeypatch.setattr(layout, "REACH", random.choice((REACH, 255)))
        made = compiler.compile(gate, optimize=optimize)
        prove(gate, made)
        agree(random, gate, made)
        audit, segments = gate.entries[0]
        ticket = audit, frozenset({random.choice(segments).low})
        loaded = leaf.guard(compiler.compile(gate, optimize=optimize, leaf=leaf.explained, ticket=ticket))
        prove(gate, loaded, leaf=leaf.accepted, ticket=ticket)


def agree(random: Random, gate: Gate, made: Program) -> None:
    _, numbers, words = gates.interesting(gate)
    for _ in range(CALLS):
        args = tuple(random.choice(words) for _ in range(6))
        audit, segments = random.choice(gate.entries)
        number = random.choice([segment.low for segment in segments if segment.rules] or numbers)
        call = Call(audit, number, args)  # type: ignore[arg-type]
        had = from_ret(machine.run(made, audit, number, args)[0])
        assert had == from_ret(meaning.decide(gate, call)[0].ret), f"{call!r}"
