"""Policies nobody tuned for, a sample: no rival's program is better in both size and mean, and all mean the same.

`python -m bench.drawn` compares a thousand; docs/compared.md has what came out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from bench import chain, corpus, libseccomp, peer_rules, told, traffic
from bench.draw import draw
from bench.drawn import Figures

from sysgate import Policy
from sysgate.action import from_ret
from sysgate.bpf import machine
from sysgate.bpf.program import Program, from_bytes
from sysgate.call import Call
from sysgate.compiler import compile
from sysgate.errors import ProofError
from sysgate.facts import arches
from sysgate.policy import meaning
from sysgate.policy.ruleset import Gate
from sysgate.proof import prove, prove_equal

SEEDS = range(16)
# Small ones, for some of which libseccomp has all the words; on every set of architectures that it knows.
SAID = (1, 3, 6, 8, 9, 15, 16, 17, 19, 20, 22, 23, 24, 25, 32)
# Of every tool some; their policies have argument tests of every kind.
PROGRAMS = (
    "chromium-renderer",
    "chronyd-level1",
    "docker-default-x86_64-O2",
    "docker-default-s390x-O1",
    "firefox-socket-process-5705",
    "firejail-protocol",
    "kafel-samples__sample_and_cmp_var-x86_64",
    "kafel-samples__sample_and_eq_long_set-x86_64",
    "kafel-samples__sample_and_eq_var_long_set-aarch64",
    "kafel-samples__sample_var_cmp-x86_64",
    "libseccomp-12-sim-basic_masked_ops-O2",
    "libseccomp-42-sim-adv_chains",
    "minijail-crosvm__aarch64__serial-linear",
    "minijail-minijail__examples__cat-bst",
    "openssh-sshd-preauth",
    "runc-docker-default-newest",
    "systemd-PrivateDevices-005-true.1",
)


@pytest.fixture(autouse=True)
def _corpus(shared: Callable[[str], Path]) -> None:
    shared("bench/streams")


def figures(program: Program, calls: traffic.Traffic) -> Figures:
    return Figures(len(program.insns), traffic.mean(program, calls), 0.0)


@pytest.mark.parametrize("setting", ["full", "fast"])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_plain_chain_of_a_drawn_policy_is_not_better_in_both_and_means_the_same(seed: int, setting: str) -> None:
    drawn = draw(seed)
    gate = Policy.parse(drawn.text).gate(drawn.arches)
    program, rival = compile(gate, optimize=setting), chain.chain(gate)
    prove(gate, program)
    if len(rival.insns) > 4096:  # what no kernel takes is no rival
        return
    prove_equal(program, rival)
    calls = traffic.recorded(gate)
    own, other = figures(program, calls), figures(rival, calls)
    assert not told.beaten(own, other, told.RECORDED), (own, other)


def audit_of(call: Call) -> int:
    return call.arch if isinstance(call.arch, int) else arches.named(call.arch).audit


@pytest.fixture(scope="module")
def _libseccomp() -> None:
    if libseccomp.program({"default": 0, "badarch": 0, "rules": {"0": [[0x7FFF_0000, []]]}}, 2) is None:
        pytest.skip("Debian's python3-seccomp is not here")


@pytest.mark.usefixtures("_libseccomp")
@pytest.mark.parametrize("seed", SAID)
def test_libseccomps_program_for_a_drawn_policy_is_proved_or_refuted_and_not_better_in_both(seed: int) -> None:
    drawn = draw(seed)
    gate = Policy.parse(drawn.text).gate(drawn.arches)
    rules = peer_rules.rules(gate)
    assert rules is not None
    found = libseccomp.program(rules, 2)
    assert found is not None
    program = from_bytes(found[0], big_endian=gate.big_endian)
    try:
        prove(gate, program)
    except ProofError as error:
        call = error.counterexample
        assert call is not None
        answer = from_ret(machine.run(program, audit_of(call), call.nr, call.args, call.ip)[0])
        assert answer != meaning.decide(gate, call)[0], call
        meant = corpus.meaning(program, corpus.named(gate))
        assert meant is not None
        gate = meant
    not_better_in_both(gate, program)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_whose_meaning_is_compiled_again_is_not_better_in_both(name: str) -> None:
    (known,) = [one for one in corpus.programs() if one.name == name]
    gate = corpus.meaning(known.program, known.target)
    assert gate is not None
    not_better_in_both(gate, known.program)


def not_better_in_both(gate: Gate, rival: Program) -> None:
    """Both settings, each proved equal to the rival on the architectures of the gate."""
    calls = traffic.recorded(gate)
    other = figures(rival, calls)
    for setting in ("full", "fast"):
        program = compile(gate, optimize=setting)
        prove_equal(program, rival, audits=tuple(audit for audit, _ in gate.entries))
        own = figures(program, calls)
        assert not told.beaten(own, other, told.RECORDED), (setting, own, other)
