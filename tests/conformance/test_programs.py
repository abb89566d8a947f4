"""The machine and the listing on every program that other tools made."""

from __future__ import annotations

import json

import pytest

from sysgate.action import from_ret
from sysgate.bpf.listing import lines, listing
from sysgate.bpf.machine import run
from sysgate.bpf.program import Program, from_bytes, to_bytes


@pytest.fixture(scope="module")
def programs(shared):
    found = []
    for path in sorted(shared("conformance/programs").glob("*.json")):
        about = json.loads(path.read_text())
        found.append((about, path.with_suffix(".bpf").read_bytes()))
    return found


def program_of(about, raw):
    return Program(from_bytes(raw, big_endian=False).insns, about["data_endian"] == "big")


def in_the_corpus_words(ret):
    action = from_ret(ret)
    if action.ret & 0xFFFF_0000 != ret & 0xFFFF_0000:
        return f"unknown {ret:#x}"
    return f"{action.kind} {action.data}" if action.kind in ("errno", "trace", "trap") else action.kind


def test_every_program_answers_as_its_makers_interpreter(programs):
    assert len(programs) == 331
    asked = 0
    for about, raw in programs:
        program = program_of(about, raw)
        assert len(program.insns) == about["instructions"]
        for audit, nr, expected in about["answers"]:
            ret, steps = run(program, int(audit, 16), nr)
            said = in_the_corpus_words(ret)
            if said.endswith(" 0") and " " not in expected:
                said = said.removesuffix(" 0")
            if expected == "trap":  # the corpus leaves a trap's value out
                said = said.split()[0]
            assert said == expected, f"{about['name']}: call {nr} of {audit}"
            assert 0 < steps <= len(program.insns)
            asked += 1
    assert asked > 20_000


def test_every_program_keeps_its_bytes_and_byte_order(programs):
    for about, raw in programs:
        found = from_bytes(raw)
        assert to_bytes(Program(found.insns, False)) == raw
        if about["arch_checks"]:
            assert found.big_endian is (about["data_endian"] == "big"), about["name"]


def test_every_program_is_listed_one_line_an_instruction(programs):
    for about, raw in programs:
        program = program_of(about, raw)
        shown = lines(program)
        assert len(listing(program).splitlines()) == about["instructions"]
        assert sum(not line.reached for line in shown) == about.get("unreachable_instructions", 0), about["name"]
