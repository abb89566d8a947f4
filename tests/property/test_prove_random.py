"""The prover and z3 agree: on programs of every instruction there is, and on gates of every rule there is."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import gates
import programs
import pytest
import z3_judge

from sysgate import compiler
from sysgate.action import from_ret
from sysgate.bpf import machine
from sysgate.bpf.program import Program
from sysgate.call import Call
from sysgate.errors import ProofError
from sysgate.policy import meaning
from sysgate.policy.ruleset import Gate
from sysgate.proof import circuit, exact, graph, judge, prove, prove_equal, spec, symbols, verdict, views
from sysgate.proof.budget import BUDGETS, Spent


def decided(way: Callable[..., object], *args: object) -> bool | None:
    """True where way(*args) proves, False where it refutes, None where its budget ends first."""
    try:
        way(*args)
    except (ProofError, judge.Difference):
        return False
    except Spent:
        return None
    return True


def pair(seed: int, *, hard: bool) -> tuple[Program, Program]:
    random = Random(seed)
    one = programs.random_program(random, random.randrange(3, 26), hard=hard)
    two = programs.mutant(random, one)
    two = programs.mutant(random, two) if random.random() < 0.3 else two
    return one, Program(two.insns, one.big_endian)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("seed", range(0, 300, 10))
def test_z3_and_each_way_to_prove_say_the_same_of_two_programs(seed: int, hard: bool) -> None:
    for each in range(seed, seed + 10):
        one, two = pair(each, hard=hard)
        truth = z3_judge.equal(one, two)
        found = (
            decided(prove_equal, one, two),
            decided(on_bits, one, two),
            decided(wired, one, two),
        )
        assert all(truth is None or way in (None, truth) for way in found), f"seed {each}: z3 {truth}, prover {found}"
        assert found[0] is not None or hard, f"seed {each}"


def on_bits(one: Program, two: Program) -> None:
    """Compares on single bits, seen exactly, though boxes might do."""
    with verdict._Room():
        store = symbols.Symbols()
        texts = [verdict._answers(each) for each in (one, two)]
        graphs = [graph.build(each, store, answers=text) for each, text in zip((one, two), reversed(texts))]
        view = views.Exactly(graphs, BUDGETS[-1])
        had, due = (exact._program(view, each) for each in graphs)
        view.refute(exact._wrong(view.bits, had, due, lambda first, second: max(first, second) >= graph.COMPUTED))
        for wrong in exact.computed.differences(view.bits, store, had, due):
            view.refute(wrong)


def wired(one: Program, two: Program) -> None:
    """Compares as circuits."""
    with verdict._Room():
        circuit.compare(one, two, None, BUDGETS[-1].search)


def gate_of(seed: int) -> tuple[Random, Gate]:
    random = Random(seed)
    return random, gates.gate(random, numbers=random.choice((4, 8)), depth=random.choice((0, 1, 2)))


@pytest.mark.parametrize("seed", range(40))
def test_z3_and_each_way_to_prove_say_the_same_of_a_gate_and_its_corrupted_program(seed: int) -> None:
    random, gate = gate_of(seed)
    made = compiler.compile(gate, optimize="fast")
    for each in (made, programs.mutant(random, made), programs.mutant(random, made)):
        truth = z3_judge.meets(gate, each)
        found = (
            decided(prove, gate, each),
            decided(judged, gate, each),
            decided(wired_to, gate, each),
        )
        assert all(truth is None or way in (None, truth) for way in found), f"z3 {truth}, prover {found}"
        assert found[0] is not None


def judged(gate: Gate, made: Program) -> None:
    """Judges on single bits, though boxes might do."""
    with verdict._Room():
        due = spec.laws(gate, lambda action: action)
        answers = sorted({right for law in due for _, _, goal in law.parts for _, rights in goal for right in rights})
        exact.judge(graph.build(made, symbols.Symbols(), answers=answers), due, None, None, BUDGETS[-1])


def wired_to(gate: Gate, made: Program) -> None:
    """Judges as a circuit."""
    with verdict._Room():
        circuit.judge(made, spec.laws(gate, lambda action: action), None, None, BUDGETS[-1].search)


@pytest.mark.parametrize("seed", range(100, 400, 10))
def test_what_is_proved_is_what_the_machine_does_near_every_boundary(seed: int) -> None:
    for each in range(seed, seed + 10):
        random, gate = gate_of(each)
        made = compiler.compile(gate, optimize="fast")
        tried = [made, *(programs.mutant(random, made) for _ in range(3))]
        for one in tried:
            proved = decided(prove, gate, one)
            assert proved or one is not made
            if proved:
                call = _differing(random, gate, one)
                assert call is None, f"seed {each}: {call}"


def _differing(random: Random, gate: Gate, made: Program) -> Call | None:
    audits, numbers, words = gates.interesting(gate)
    for _ in range(60):
        args = tuple(random.choice(words) for _ in range(6))
        call = Call(random.choice(audits), random.choice(numbers), args, random.choice(words))
        had = from_ret(machine.run(made, call.arch, call.nr, call.args, call.ip)[0])
        if had != from_ret(meaning.decide(gate, call)[0].ret):
            return call
    return None
