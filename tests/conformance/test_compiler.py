"""The compiler bench: meanings exactly those of the policy files, sizes and costs at most what has been reached."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from bench import policies, streams

from sysgate import proof
from sysgate.bpf import bitmap, machine
from sysgate.compiler import compile

# policy → most instructions, mean, mean over unserved calls, longest path; for "full" and for "fast"
REACHED = {
    ("P1", "full"): (70, 6.1, 4.9, 20),
    ("P2", "full"): (92, 7.9, 7.7, 21),
    ("P3", "full"): (132, 8.8, 11.0, 24),
    ("P4", "full"): (40, 6.46, 1.43, 10),
    ("P5", "full"): (1500, 15.1, 15.1, 30),
    ("P6", "full"): (39, 6.5, 0.0, 10),
    ("P1", "fast"): (72, 6.8, 5.0, 24),
    ("P2", "fast"): (97, 8.1, 9.0, 24),
    ("P3", "fast"): (135, 8.2, 12.0, 26),
    ("P4", "fast"): (38, 7.5, 1.43, 14),
    ("P5", "fast"): (1640, 14.7, 14.7, 40),
    ("P6", "fast"): (39, 7.7, 0.0, 14),
}


@pytest.fixture(scope="module", autouse=True)
def _corpus(shared: Callable[[str], Path]) -> None:
    shared("bench/policies")


@pytest.mark.parametrize(("name", "setting"), REACHED)
def test_a_policy_of_the_bench_is_as_small_and_cheap_as_it_has_been(name: str, setting: str) -> None:
    neutral = policies.load(name)
    gate = neutral.gate()
    program = compile(gate, optimize=setting)
    assert proof.prove(gate, program)
    figures = streams.figures(program)
    instructions, mean, unserved, longest = REACHED[name, setting]
    assert figures.instructions <= instructions
    assert figures.mean <= mean
    assert figures.unserved <= unserved
    assert figures.longest <= longest
    # An evaluation of the JSON that shares nothing with sysgate.
    draw = random.Random(name)
    values = neutral.interesting()
    numbers = [*range(512), 0x4000_0000, 0x4000_0001, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF]
    for nr in numbers:
        for _ in range(12 if nr in neutral.rules else 2):
            args = tuple(draw.choice(values) for _ in range(6))
            for audit in (policies.X86_64, 0x4000_0003, 0):
                assert machine.run(program, audit, nr, args, 0)[0] == neutral.decide(audit, nr, args), (nr, args)


@pytest.mark.parametrize("name", ["P1", "P2", "P3", "P4", "P6"])
def test_every_unconditional_allow_is_served_by_the_bitmap(name: str) -> None:
    neutral = policies.load(name)
    program = compile(neutral.gate(), optimize="fast")
    allow = 0x7FFF_0000
    for nr in range(470):
        rules = neutral.rules.get(nr)
        always = neutral.default == allow if rules is None else rules[0] == (allow, [])
        if always:
            assert bitmap.constant_allow(program, policies.X86_64, nr), nr


def test_the_same_policy_gives_the_same_program() -> None:
    gate = policies.load("P3").gate()
    assert compile(gate, optimize="full") == compile(gate, optimize="full")
