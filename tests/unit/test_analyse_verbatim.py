"""Answers in the words of the rules: exact, fed back they hold for the very same calls."""

from __future__ import annotations

import random

import pytest

from sysgate.action import Action
from sysgate.analyse import verbatim
from sysgate.analyse.diff import differences
from sysgate.analyse.explain import cases
from sysgate.analyse.view import views
from sysgate.call import Call
from sysgate.compiler import compile
from sysgate.errors import CompileError
from sysgate.policy import meaning, resolve
from sysgate.policy.include import parse
from sysgate.policy.ruleset import Gate, Segment

ANSWERS = ("errno(1)", "errno(2)", "errno(EACCES)", "kill", "trap(7)", "trap(9)", "log", "allow", "allow", "notify")
VALUES = (0, 1, 2, 3, 5, 0x40, 0x41, 0xFFFF_FFFF, 1 << 32, 1 << 63, (1 << 64) - 1)
CALLS = (("x86_64", "openat"), ("i386", "pread64"), ("s390x", "openat"))
TESTS = {
    "openat": (
        "dfd == AT_FDCWD", "dfd < 3", "dfd in {1, 5..64, -1}", "flags & O_CREAT", "(flags & O_ACCMODE) == O_RDWR",
        "(flags & ~0x41) != 0", "mode == 0x100000001", "mode >= 0x40", "reg1 == 0xffffffffffffffff", "reg0 != 1",
        "(reg2 & -2) in {2, 4}", "1", "0", "dfd <= -1", "(flags & 0x7fffffffff) == 1",
    ),
    "pread64": (
        "fd == -1", "pos == 0x100000000", "pos < 3", "pos & 0x4000000041", "(pos & ~0xff) == 0", "reg3 == 1",
        "reg4 != 0", "count in {0, 3..5}", "1",
    ),
}  # fmt: skip


def drawn(rng: random.Random, call: str, depth: int = 2) -> str:
    kind = rng.random()
    if depth and kind < 0.5:
        joined = rng.choice((" && ", " || ")).join(
            f"({drawn(rng, call, depth - 1)})" for _ in range(rng.choice((2, 3)))
        )
        return f"!({joined})" if rng.random() < 0.3 else joined
    return f"!({rng.choice(TESTS[call])})" if kind > 0.8 else rng.choice(TESTS[call])


def rules(rng: random.Random, call: str) -> str:
    lines = [f"default: {rng.choice(ANSWERS[:8])}"]
    for _ in range(rng.choice((1, 2, 4))):
        if rng.random() < 0.5:
            lines.append(f"{call}: {drawn(rng, call)} else {rng.choice(ANSWERS)}")
        else:
            ways = [f"{drawn(rng, call)} -> {rng.choice(ANSWERS)}" for _ in range(rng.choice((1, 2, 5)))]
            lines.append(f"{call}: {{ {'; '.join(ways)}; else {rng.choice(ANSWERS)} }}")
    return "\n".join(lines)


def gate(text: str, arch: str):
    return resolve.gate_of(parse(text, "x.policy"), (arch,))


def words(rng: random.Random) -> tuple[int, ...]:
    return tuple(rng.choice(VALUES) ^ (1 << rng.randrange(64) if rng.random() < 0.1 else 0) for _ in range(6))


def some_call(seed: int) -> tuple[random.Random, str, str, int, Gate, Segment]:
    """A call drawn with its rules: what draws on, architecture, name, number; the gate, and its segment there."""
    rng = random.Random(seed)
    arch, name = rng.choice(CALLS)
    made = gate(rules(rng, name), arch)
    number = resolve.calls.table(arch)[name]
    segment = meaning.segment(made, Call(arch, number))
    assert segment is not None
    return rng, arch, name, number, made, segment


def holds(condition: str, call: Call) -> bool:
    return meaning.decide(gate(f"{call.name}: {condition}", call.arch), call)[0] == Action("allow")


@pytest.mark.parametrize("seed", range(60))
def test_the_first_case_that_holds_answers_as_the_rules_do(seed: int) -> None:
    rng, arch, name, number, made, segment = some_call(seed)
    for _ in range(6):
        asked = [word if rng.random() < 0.3 else None for word in words(rng)]
        found = [
            (verbatim.text(when, views(arch, name)), action, origin)
            for when, action, origin in verbatim.cases(segment, asked)
        ]
        assert found[-1][0] == "1"
        for _ in range(6):
            call = Call(arch, number, tuple(other if one is None else one for one, other in zip(asked, words(rng))))
            answer = next((action, origin) for when, action, origin in found if holds(when, call))
            assert answer == meaning.decide(made, call), (call, found)


@pytest.mark.parametrize("seed", range(60))
def test_a_call_gets_the_one_answer_whose_condition_holds(seed: int) -> None:
    rng, arch, name, number, made, segment = some_call(seed)
    every = {action for rule in segment.rules for action in (rule.otherwise, *(action for _, action in rule.cases))}
    conditions = {action: verbatim.text(verbatim.answers(segment, action), views(arch, name)) for action in every}
    for _ in range(20):
        call = Call(arch, number, words(rng))
        assert [action for action in every if holds(conditions[action], call)] == [meaning.decide(made, call)[0]]


def test_what_one_part_says_is_not_said_again() -> None:
    (same, more) = [
        meaning.segment(gate(text, "x86_64"), Call("x86_64", 0))
        for text in ("default: errno(1)\nread: fd == 1", "default: errno(1)\nread: fd == 1\nread: count < 9")
    ]
    assert same is not None
    assert more is not None
    both = verbatim.all_of([verbatim.answers(same, Action("allow")), verbatim.answers(more, Action("errno", 1))])
    assert verbatim.text(both, views("x86_64", "read")) == "fd == 1 && !(count < 9)"


# 20 disjunctions over two masked words: no diagram turns back into a short condition, but the rule itself is one.
MASKS = [(0x30000 << at | 1 << 60 - at, 0x10000 << at, 0x50000 << at | 1 << 63 - at, 0x10000 << at) for at in range(20)]
INTRICATE = [f"(reg0 & {a:#x}) == {b:#x} && (reg1 & {c:#x}) == {d:#x}" for a, b, c, d in MASKS]


def spread() -> list[str]:
    """The same over bits that lie anywhere: a diagram holds it, but no short condition comes out."""
    rng = random.Random(1)
    masks = [(rng.getrandbits(64), rng.getrandbits(64)) for _ in range(40)]
    tests = [f"(reg{at % 2} & {mask:#x}) == {mask & value:#x}" for at, (mask, value) in enumerate(masks)]
    return [" && ".join(pair) for pair in zip(tests[::2], tests[1::2], strict=True)]


def intricate(terms: list[str], more: str = ""):
    return gate(f"default: errno(EPERM)\nread: {' || '.join(terms)}\n{more}", "x86_64")


def test_intricate_rules_are_explained_in_their_own_words() -> None:
    found = cases(intricate(INTRICATE), "x86_64", 0)
    assert [(case.condition, case.action.kind) for case in found] == [(" || ".join(INTRICATE), "allow"), ("1", "errno")]


def test_what_is_intricate_and_the_same_does_not_differ() -> None:
    assert differences(intricate(INTRICATE), intricate(INTRICATE[::-1]), ("x86_64",)) == ()
    (found,) = differences(intricate(INTRICATE, "write: 1"), intricate(INTRICATE, "write: fd == 1"), ("x86_64",))
    assert (found.heads, found.condition) == (("write",), "fd != 1")


def test_intricate_rules_are_compared_in_their_own_words() -> None:
    other = gate("default: errno(EPERM)\nread: 1\nwrite: fd == 1", "x86_64")
    found = differences(intricate(INTRICATE, "write: 1"), other, ("x86_64",))
    told = {each.heads: (each.condition, each.one.kind, each.other.kind) for each in found}
    assert told == {
        ("read",): (f"!({' || '.join(INTRICATE)})", "errno", "allow"),
        ("write",): ("fd != 1", "allow", "errno"),
    }


def test_one_disjunction_less_is_a_difference() -> None:
    # ... and no other: what the shorter rule lets through, the longer one does too.
    found = differences(intricate(INTRICATE), intricate(INTRICATE[:-1]), ("x86_64",))
    assert [(each.one.kind, each.other.kind) for each in found] == [("allow", "errno")]
    lost, kept = [Call("x86_64", 0, (b, d, 0, 0, 0, 0)) for _, b, _, d in (MASKS[-1], MASKS[0])]
    assert holds(found[0].condition, lost)
    assert not holds(found[0].condition, kept)


def test_a_program_too_intricate_for_diagrams_is_proved_to_be_the_same_or_not() -> None:
    one, reversed_, fewer = (intricate(terms) for terms in (INTRICATE, INTRICATE[::-1], INTRICATE[:-1]))
    program, less = (compile(each, optimize="fast") for each in (one, fewer))
    assert differences(reversed_, program, ("x86_64",)) == differences(program, program, ("x86_64",)) == ()
    for sides in ((one, less), (less, one), (program, less)):
        with pytest.raises(CompileError, match=r"cannot be compared: .*; one call that they .* differently is read\("):
            differences(*sides, ("x86_64",))


def test_an_intricate_rule_is_compared_with_a_program_where_that_is_simple() -> None:
    terms = spread()
    program = compile(gate("default: errno(EPERM)\nread: fd == 5\nwrite: 1", "x86_64"), optimize="fast")
    found = differences(intricate(terms), program, ("x86_64",))
    written = " || ".join(terms)
    told = {(each.heads, each.one.kind, each.other.kind): each.condition for each in found}
    assert told[("write",), "errno", "allow"] == "1"
    assert told[("read",), "allow", "errno"] == f"({written}) && fd != 5"
    assert told[("read",), "errno", "allow"] == f"!({written}) && fd == 5"


def test_what_takes_too_many_words_is_refused() -> None:
    ways = "; ".join(f"fd == {at} -> {('allow', 'log')[at % 2]}" for at in range(1000))
    segment = meaning.segment(gate(f"read: {{ {ways} }}", "x86_64"), Call("x86_64", 0))
    assert segment is not None
    with pytest.raises(CompileError, match="too intricate for a rule"):
        verbatim.answers(segment, Action("log"))
