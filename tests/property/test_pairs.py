"""Conditions that set two arguments against each other bit by bit: every program is proved, and agrees with the rules.

Drawn: which bits, what they come to, how each part is written and in which order they stand, beside other conditions.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from sysgate import Policy

SETTINGS = settings(
    deadline=None,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
WORD = (1 << 64) - 1
# By architecture a call, and arguments of it of the same kind: 32 and 64 bits, raw, split over two registers.
PLACES = (
    ("x86_64", "write", ("reg0", "buf", "count")),
    ("x86_64", "setresuid", ("ruid", "euid", "suid")),
    ("s390x", "write", ("reg0", "reg4", "count")),
    ("i386", "fallocate", ("offset", "len")),
)


@st.composite
def parts(draw: DrawFn, one: str, two: str, bit: int, table: str) -> str:
    """A condition on the same bit of two arguments, in one of the ways to write it."""
    one, two = draw(st.permutations((one, two)))
    a, b = (draw(st.sampled_from((f"{name} & {bit:#x}", f"({name} & {bit:#x}) == {bit:#x}"))) for name in (one, two))
    ways = {
        "both": (f"{a} && {b}", f"!(!({a}) || !({b}))"),
        "not both": (f"!({a}) || !({b})", f"!({a} && {b})"),
        "differ": (f"{a} && !({b}) || !({a}) && {b}", f"({a} || {b}) && (!({a}) || !({b}))"),
        "equal": (f"{a} && {b} || !({a}) && !({b})", f"({a} || !({b})) && (!({a}) || {b})"),
        "first": (f"{a} && !({b})",),
    }
    return f"({draw(st.sampled_from(ways[table]))})"


@st.composite
def masked(draw: DrawFn, one: str, two: str) -> str:
    """Bits that all, or of which some, come to the same; now and then one that does not."""
    bits = draw(st.lists(st.integers(0, 63), min_size=2, max_size=7, unique=True))
    table = draw(st.sampled_from(("both", "not both", "differ", "equal")))
    others = st.sampled_from((*[table] * 9, "differ", "equal", "first"))
    made = [draw(parts(one, two, 1 << bit, draw(others))) for bit in bits]
    return "(" + draw(st.sampled_from((" || ", " && "))).join(made) + ")"


@st.composite
def ordered(draw: DrawFn, one: str, two: str) -> str:
    """What says that the bits both have are at least some number, or below it; now and then in a wrong order."""
    bits = sorted(draw(st.lists(st.integers(0, 63), min_size=3, max_size=8, unique=True)))
    if draw(st.integers(0, 9)) == 0:
        bits = draw(st.permutations(bits))
    negative = draw(st.booleans())
    made = draw(parts(one, two, 1 << bits[0], "not both" if negative else "both"))
    for bit in bits[1:]:
        part = draw(parts(one, two, 1 << bit, "not both" if negative else "both"))
        joint = draw(st.sampled_from((" || ", " && ")))
        made = f"({joint.join(draw(st.permutations((part, made))))})"
    return made


@st.composite
def conditions(draw: DrawFn, names: tuple[str, ...]) -> str:
    """One or two of these, and ordinary conditions."""
    made = []
    for _ in range(draw(st.integers(1, 2))):
        one, two = draw(st.permutations(names))[:2]
        made.append(draw(masked(one, two) | ordered(one, two)))
    name, value = draw(st.sampled_from(names)), draw(st.integers(0, 9))
    plain = (f"{name} == {value}", f"{name} > {value}", f"{name} & {value}", f"({name} & 6) != 2")
    made += draw(st.lists(st.sampled_from(plain), max_size=2))
    text = draw(st.sampled_from((" || ", " && "))).join(draw(st.permutations(made)))
    return f"!({text})" if draw(st.booleans()) else text


@st.composite
def registers(draw: DrawFn) -> tuple[int, ...]:
    """Six registers that often have bits in common."""
    base = draw(st.integers(0, WORD))
    change = st.integers(0, 63).map(lambda bit: base ^ 1 << bit)
    one = st.just(base) | st.just(base ^ WORD) | change | st.integers(0, WORD) | st.integers(0, 15)
    return draw(st.tuples(*[one] * 6))


@pytest.mark.parametrize(("arch", "call", "names"), PLACES)
def test_programs_are_proved_and_agree_with_the_rules(arch: str, call: str, names: tuple[str, ...]) -> None:
    @SETTINGS
    @given(conditions(names), st.lists(registers(), min_size=8, max_size=16))
    def agree(condition: str, calls: list[tuple[int, ...]]) -> None:
        policy = Policy.parse(f"{call}: {condition}")
        for optimize in ("full", "fast"):
            program = policy.compile(arch, optimize=optimize)  # which proves it
            for args in calls:
                asked = policy.decide(call, args, arch=arch)
                assert program.decide(call, args, arch=arch).action == asked.action, f"{condition}\n{args}"

    agree()
