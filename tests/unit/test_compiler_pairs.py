"""Conditions that set two words against each other bit by bit become comparisons of what the two make together."""

from __future__ import annotations

import pytest

from sysgate import Policy
from sysgate.compiler.computed import AND, operands, register
from sysgate.compiler.lower import bit_by_bit, looks, read, variables
from sysgate.compiler.pairs import joined
from sysgate.policy.ruleset import All, Any, Bound, Compare, Expr, Not, Shares


def rules(condition: str, call: str = "write", arch: str = "x86_64") -> tuple[Bound, ...]:
    gate = Policy.parse(f"{call}: {condition}").gate(arch)
    return next(segment.rules for _, segments in gate.entries for segment in segments if segment.rules)


def shown(expr: Expr) -> str:
    """Computed registers by what they are made of; of all other tests the name."""
    if isinstance(expr, Not):
        return f"!({shown(expr.inner)})"
    if isinstance(expr, (Any, All)):
        return "(" + (" || " if isinstance(expr, Any) else " && ").join(map(shown, expr.parts)) + ")"
    assert isinstance(expr, (Compare, Shares))
    if isinstance(expr, Shares) or expr.term.regs[0] < 6:
        return expr.term.name
    halves = []
    for word in [4 + 2 * index for index in expr.term.regs]:
        operation, first, second = operands(word)
        halves.append(f"{first // 2 - 2} {'&' if operation == AND else '^'} {second // 2 - 2}")
    return f"{' : '.join(halves)} & {expr.term.mask:#x} {expr.op} {expr.value:#x}"


def made(condition: str, call: str = "write", arch: str = "x86_64") -> str:
    ((expr, _),) = joined(rules(condition, call, arch))[0].cases
    return shown(expr)


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        # A bit that both have.
        ("fd & 1 && buf & 1 || fd & 2 && buf & 2", "0 & 1 & 0x3 != 0x0"),
        ("buf & 1 && fd & 1 || fd & 8 && buf & 8 || buf & 2 && fd & 2", "0 & 1 & 0xb != 0x0"),
        ("!(!(fd & 1) || !(buf & 1)) || (fd & 2) == 2 && (buf & 2) != 0", "0 & 1 & 0x3 != 0x0"),
        ("!(fd & 1 && buf & 1 || fd & 2 && buf & 2)", "!(0 & 1 & 0x3 != 0x0)"),
        # No bit that both have.
        ("(!(fd & 1) || !(buf & 1)) && !(fd & 2 && buf & 2)", "0 & 1 & 0x3 == 0x0"),
        # All bits alike, and not all.
        ("(fd & 1 && buf & 1 || !(fd & 1) && !(buf & 1)) && (!(fd & 4) && !(buf & 4) || buf & 4 && fd & 4)",
         "0 ^ 1 & 0x5 == 0x0"),
        ("(fd & 1 || !(buf & 1)) && (!(fd & 1) || buf & 1) && (fd & 2 || !(buf & 2)) && (!(fd & 2) || buf & 2)",
         "0 ^ 1 & 0x3 == 0x0"),
        ("fd & 1 && !(buf & 1) || !(fd & 1) && buf & 1 || fd & 2 && !(buf & 2) || buf & 2 && !(fd & 2)",
         "0 ^ 1 & 0x3 != 0x0"),
        # Some alike, others not.
        ("(fd & 1 && buf & 1 || !(fd & 1) && !(buf & 1)) && (fd & 2 && !(buf & 2) || !(fd & 2) && buf & 2)",
         "0 ^ 1 & 0x3 == 0x2"),
        ("fd & 1 && buf & 1 || !(fd & 1) && !(buf & 1) || fd & 2 && !(buf & 2) || !(fd & 2) && buf & 2",
         "0 ^ 1 & 0x3 != 0x1"),
        # Both halves.
        ("reg0 & 0x100000000 && buf & 0x100000000 || fd & 2 && buf & 2", "0 & 1 & 0x100000002 != 0x0"),
        # Among other conditions, and several pairs of words.
        ("fd & 1 && buf & 1 || count == 3 || fd & 2 && buf & 2", "(0 & 1 & 0x3 != 0x0 || count)"),
        ("count == 3 && (fd & 1 && buf & 1 || fd & 2 && buf & 2)", "(count && 0 & 1 & 0x3 != 0x0)"),
        ("fd & 1 && buf & 1 || fd & 2 && buf & 2 || fd & 1 && count & 1 || fd & 2 && count & 2",
         "(0 & 1 & 0x3 != 0x0 || 0 & 2 & 0x3 != 0x0)"),
        # What decides from the highest bit down.
        ("fd & 8 && buf & 8 && (fd & 4 && buf & 4 || fd & 2 && buf & 2)", "0 & 1 & 0xe >= 0xa"),
        ("!(fd & 8) || !(buf & 8) || (!(fd & 4) || !(buf & 4)) && (!(fd & 2) || !(buf & 2))", "0 & 1 & 0xe < 0xa"),
        ("fd & 8 && buf & 8 || (fd & 6) == 6 && (buf & 6) == 6", "0 & 1 & 0xe >= 0x6"),
        ("reg0 & 0x100000000 && buf & 0x100000000 && (fd & 4 && buf & 4 || fd & 2 && buf & 2)",
         "0 & 1 & 0x100000006 >= 0x100000002"),
    ],
)  # fmt: skip
def test_two_words_bit_by_bit_are_one_comparison(condition: str, found: str) -> None:
    assert made(condition) == found


@pytest.mark.parametrize(
    "condition",
    [
        "fd & 1 && buf & 1",  # one bit is quicker by itself
        "(fd & 3) == 3 && (buf & 3) == 3",  # and so are two masks
        "fd & 1 && buf & 2 || fd & 2 && buf & 1",  # not the same bits
        "fd & 1 && reg1 & 0x100000000 || fd & 2 && reg1 & 0x200000000",  # not the same halves
        "fd & 1 && buf & 1 || fd & 2 && buf & 2 && count & 2",  # three words
        "fd & 1 && buf & 1 || fd & 2 || buf & 2",
        "fd & 6 && buf & 6 || fd & 1 && buf & 1 || (fd & 2) == 2 || (fd & 4) == 4",  # some bit of several
    ],
)
def test_what_is_no_such_condition_stays_as_it_is(condition: str) -> None:
    before = rules(condition)
    assert joined(before)[0].cases == before[0].cases


def test_the_lower_bit_of_two_decides_only_what_the_higher_leaves_open() -> None:
    # 2 before 8: no number is compared so.
    assert ">=" not in made("fd & 2 && buf & 2 && (fd & 8 && buf & 8 || fd & 4 && buf & 4)")


def test_values_split_over_registers_are_joined_half_by_half() -> None:
    # fallocate's offset and len: registers 2 and 3, 4 and 5 on i386.
    both = "offset & 1 && len & 1 || offset & 0x100000000 && len & 0x100000000 || offset & 2 && len & 2"
    assert made(f"{both} || offset & 0x200000000 && len & 0x200000000", "fallocate", "i386") == (
        "(2 & 4 & 0x3 != 0x0 || 3 & 5 & 0x3 != 0x0)"
    )
    high = "offset & 0x100000000 && len & 0x100000000"
    assert made(f"{high} && (offset & 2 && len & 2 || offset & 1 && len & 1)", "fallocate", "i386") == (
        "2 & 4 : 3 & 5 & 0x100000003 >= 0x100000001"
    )


def test_computed_registers_are_told_apart() -> None:
    numbers = [register(operation, one, two) for operation in (0, 1) for two in range(6) for one in range(two)]
    assert sorted(numbers) == list(range(6, 36))
    for operation, one, two in ((0, 0, 1), (1, 0, 5), (1, 4, 5)):
        low = 4 + 2 * register(operation, one, two)
        assert operands(low) == (operation, 4 + 2 * one, 4 + 2 * two)
        assert operands(low + 1) == (operation, 5 + 2 * one, 5 + 2 * two)


def test_only_rules_that_look_at_single_bits_of_two_words_are_searched() -> None:
    assert bit_by_bit(variables(rules("fd & 1 && buf & 1 || fd & 2 && buf & 2")))
    assert not bit_by_bit(variables(rules("fd & 1 && buf & 1 || fd == 2 && count & 2")))


def test_a_joined_comparison_looks_where_both_words_lie() -> None:
    ((expr, _),) = joined(rules("reg0 & 0x100000000 && buf & 0x100000000 || fd & 2 && buf & 2"))[0].cases
    assert isinstance(expr, Compare)
    low = 4 + 2 * register(AND, 0, 1)
    assert looks(expr.term, None) == (low, 2, low + 1, 1)
    assert read(expr)[1] == [(1, (1 << 64) - 1)]


ALL = 1 << 64


def bits(form: str, op: str) -> str:
    return op.join(form.format(f"{1 << bit:#x}") for bit in range(64))


@pytest.mark.parametrize("optimize", ["full", "fast"])
@pytest.mark.parametrize("arch", ["x86_64", "s390x"])
@pytest.mark.parametrize(
    ("condition", "size"),
    [
        (bits("reg0 & {0} && reg1 & {0}", " || "), 14),
        (bits("!(reg0 & {0} && reg1 & {0})", " && "), 14),
        (bits("(reg0 & {0} && reg1 & {0} || !(reg0 & {0}) && !(reg1 & {0}))", " && "), 14),
        (bits("reg0 & {0} && !(reg1 & {0}) || !(reg0 & {0}) && reg1 & {0}", " || "), 14),
    ],
)
def test_a_program_computes_both_words_once(condition: str, size: int, arch: str, optimize: str) -> None:
    policy = Policy.parse(f"write: {condition}")
    program = policy.compile(arch, optimize=optimize)  # proved
    assert len(program) <= size
    for args in ((0, 0), (1, 1), (1, 2), (ALL - 1, ALL - 1), (1 << 40, 1 << 40), (1 << 40, 1 << 41), (7, 7 | 1 << 63)):
        call = args + (0,) * 4
        assert program.decide("write", call, arch=arch).action == policy.decide("write", call, arch=arch).action
