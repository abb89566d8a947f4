"""Why a call is answered as it is."""

from __future__ import annotations

from itertools import product

import pytest

from sysgate.analyse import cost, explain
from sysgate.analyse.answers import action_text
from sysgate.analyse.space import Space
from sysgate.bpf import insn, machine
from sysgate.bpf.program import Program
from sysgate.call import Call
from sysgate.compiler import compile
from sysgate.facts import calls
from sysgate.policy import meaning, resolve
from sysgate.policy.include import parse
from sysgate.proof import prove

POLICY = """\
default: errno(EPERM)
openat: (flags & O_ACCMODE) == O_RDONLY else errno(EROFS)
socket: { family == AF_UNIX -> allow; family == AF_INET -> notify; else errno(EAFNOSUPPORT) }
@file-system: 1
read: fd > 2
write: 1
write: fd == 1 || count < 10 else kill
"""


def gate():
    return resolve.gate([resolve.resolve(parse(POLICY, "app.policy"), "x86_64")])


def shown(call, *args):
    found = explain.cases(gate(), "x86_64", calls.number("x86_64", call), args)
    return [(one.condition, action_text(one.action, "x86_64"), one.rule and one.rule.line) for one in found]


@pytest.mark.parametrize(
    ("call", "args", "cases"),
    [
        ("openat", (), [("(flags & O_ACCMODE) == O_RDONLY", "allow", 4), ("1", "errno(EROFS)", 2)]),
        ("openat", (None, None, 0x80000), [("1", "allow", 4)]),
        ("openat", (3, 0x7FFF, 1, 0), [("1", "errno(EROFS)", 2)]),
        ("socket", (None, 1),
         [("family == AF_UNIX", "allow", 3), ("family == AF_INET", "notify", 3), ("1", "errno(EAFNOSUPPORT)", 3)]),
        ("socket", (1,), [("1", "allow", 3)]),
        ("read", (), [("fd > 2", "allow", 5), ("1", "errno(EPERM)", 5)]),
        # what is given goes into the condition on the rest
        ("write", (2,), [("count < 10", "allow", 7), ("1", "kill", 7)]),
        ("write", (1,), [("1", "allow", 7)]),  # of two rules that allow, the later
        ("close", (), [("1", "allow", 4)]),
        ("ptrace", (), [("1", "errno(EPERM)", 1)]),  # no rule: the default line
    ],
)  # fmt: skip
def test_the_cases_are_those_of_the_arguments_that_are_not_given(call, args, cases):
    found = shown(call, *args)
    assert found == cases


def test_calls_of_foreign_architectures_get_the_foreign_answer():
    (only,) = explain.cases(gate(), "i386", 3)
    assert (only.condition, only.action.kind, only.rule) == ("1", "kill_process", None)


def test_a_number_without_a_name_is_explained_by_registers():
    policy = resolve.gate([resolve.resolve(parse("[x86_64]\n500: reg1 == 7", "x"), "x86_64")])
    assert [one.condition for one in explain.cases(policy, "x86_64", 500)] == ["reg1 == 7", "1"]


def test_the_way_through_the_program_is_the_one_it_takes():
    program = compile(gate(), optimize="fast")
    prove(gate(), program)
    way = explain.path(program, Call("x86_64", 0, (5, 0, 0, 0, 0, 0)))
    assert way.steps == len(way.lines)
    assert way.lines[0].at == 0
    assert way.lines[-1].meaning == "allow"
    assert not way.served
    assert [one.at for one in way.lines] == sorted({one.at for one in way.lines})
    assert explain.path(program, Call("x86_64", calls.number("x86_64", "mkdir"))).served
    refused = explain.path(program, Call("x86_64", 0, (1, 0, 0, 0, 0, 0)))
    assert refused.lines[-1].meaning == "errno(EPERM)"


# Values on both sides of whatever POLICY asks of an argument, with garbage above.
WORTH_TRYING = (0, 1, 2, 3, 9, 10, 0x8000_0000, 0x1_0000_0001, 0x1_0000_0000, 1 << 63)


@pytest.mark.parametrize(
    ("call", "args"),
    [
        ("openat", ()),
        ("socket", ()),
        ("read", ()),
        ("write", ()),
        ("write", (2,)),
        ("write", (None, 0, 5)),
        ("write", (1, 0, 5)),
        ("close", ()),
        ("ptrace", ()),
    ],
)
@pytest.mark.parametrize("setting", ["full", "fast"])
def test_least_and_most_are_what_the_machine_takes_for_some_call_of_the_case(call, args, setting):
    made, rules = compile(gate(), optimize=setting), gate()
    prove(rules, made)
    nr = calls.number("x86_64", call)
    met = {}
    for words in product(*([WORTH_TRYING if word is None else [word] for word in (*args, *[None] * 3)][:3])):
        answer = meaning.decide(rules, Call("x86_64", nr, (*words, 0, 0, 0)))
        met.setdefault(answer, []).append(machine.run(made, 0xC000_003E, nr, words)[1])
    found = explain.costs(rules, made, "x86_64", nr, args)
    assert {key: (min(steps), max(steps)) for key, steps in met.items()} == {
        key: (one.least, one.most) for key, one in found.items()
    }


def test_a_foreign_call_costs_what_its_refusal_does():
    made = compile(gate(), optimize="fast")
    (found,) = explain.costs(gate(), made, "i386", 3).values()
    assert found.least == found.most == machine.run(made, 0x4000_0003, 3)[1]


def test_a_division_that_ends_the_program_is_counted_to_there():
    # A / X with X = args[0]: where that is 0 the program is over after four instructions (bpf_convert_filter).
    made = Program(
        (
            (insn.LD_ABS, 0, 0, 16),
            (insn.TAX, 0, 0, 0),
            (insn.LD_IMM, 0, 0, 7),
            (insn.DIV_X, 0, 0, 0),
            (insn.JEQ_K, 0, 1, 7),
            (insn.RET_K, 0, 0, 0x7FFF_0000),
            (insn.LD_IMM, 0, 0, 1),
            (insn.RET_K, 0, 0, 0x7FFF_0000),
        ),
        False,
    )
    space = Space()
    counted = cost.steps(space, made, 0xC000_003E, 0, ())
    assert set(space.leaves(counted)) == {4, 6, 7}
    for first, steps in ((0, 4), (1, 6), (2, 7)):
        only = cost.steps(space, made, 0xC000_003E, 0, (first,))
        assert space.leaves(only) == (steps,)
        assert machine.run(made, 0xC000_003E, 0, (first,))[1] == steps
