"""Typed terms as words, values as spans, rules as diagrams; and the plain chain of rules, which must mean the same."""

from __future__ import annotations

import pytest

from sysgate.action import ALLOW, KILL_PROCESS, Action
from sysgate.compiler.chain import chain
from sysgate.compiler.diagram import Diagram, Order
from sysgate.compiler.lower import (
    Lowering,
    complement,
    grouped,
    looks,
    read,
    rectangles,
    spans,
    union,
    variables,
)
from sysgate.policy.ruleset import All, Among, Any, Bound, Compare, Constant, Not, Shares, Term

FULL = 0xFFFF_FFFF
WORD = (1 << 64) - 1
ERRNO, OTHER = Action("errno", 1), Action("errno", 2)


def reg(register: int, mask: int | None = None) -> Term:
    return Term(f"reg{register}", 64, False, (register,), mask)


FD = Term("fd", 32, True, (0,))
COUNT = Term("count", 32, False, (2,))
MODE = Term("mode", 16, False, (1,))
OFFSET = Term("offset", 64, True, (3, 4))  # split over two registers, as 32-bit ABIs do
BYTE = Term("byte", 8, True, (5,))


@pytest.mark.parametrize(
    ("term", "mask", "where"),
    [
        # the low half of args[i] is word 4 + 2i, the high half the next
        (reg(0), None, (4, FULL, 5, FULL)),
        (reg(5), None, (14, FULL, 15, FULL)),
        (FD, None, (4, FULL, None, 0)),
        (MODE, None, (6, 0xFFFF, None, 0)),
        (OFFSET, None, (10, FULL, 12, FULL)),
        # both masks count; what lies above the term's bits does not
        (reg(1, 0xFF_0000_00FF), None, (6, 0xFF, 7, 0xFF)),
        (reg(1, 0xFF_0000_00FF), 0x0F, (6, 0x0F, 7, 0)),
        (MODE, -1, (6, 0xFFFF, None, 0)),
        (FD, 0xF_0000_0003, (4, 3, None, 0)),
    ],
)
def test_where_a_term_looks(term: Term, mask: int | None, where: tuple) -> None:
    assert looks(term, mask) == where


TOP = (1 << 32) - 1


@pytest.mark.parametrize(
    ("literal", "held"),
    [
        (Compare(FD, "==", 3), [(3, 3)]),
        (Compare(FD, "==", -1), [(TOP, TOP)]),
        (Compare(FD, "==", TOP), [(TOP, TOP)]),  # stands for its bits
        (Compare(FD, "==", 1 << 32), []),
        (Compare(FD, "==", -(1 << 31) - 1), []),
        (Compare(FD, "==", -(1 << 31)), [(1 << 31, 1 << 31)]),
        (Compare(COUNT, "!=", TOP), [(0, TOP - 1)]),
        (Compare(FD, "!=", 3), [(0, 2), (4, TOP)]),
        (Compare(FD, "!=", 0), [(1, TOP)]),
        (Compare(FD, "!=", 1 << 40), [(0, TOP)]),
        # signed: -2147483648 … 2147483647, of which the negative ones are the upper half
        (Compare(FD, "<", 3), [(0, 2), (1 << 31, TOP)]),
        (Compare(FD, "<", 0), [(1 << 31, TOP)]),
        (Compare(FD, "<=", -1), [(1 << 31, TOP)]),
        (Compare(FD, ">", 3), [(4, (1 << 31) - 1)]),
        (Compare(FD, ">=", -2), [(0, (1 << 31) - 1), (TOP - 1, TOP)]),
        (Compare(FD, ">", TOP), []),
        (Compare(FD, "<", 1 << 40), [(0, (1 << 31) - 1), (1 << 31, TOP)]),
        # unsigned
        (Compare(COUNT, "<", 3), [(0, 2)]),
        (Compare(COUNT, ">=", 3), [(3, TOP)]),
        (Compare(COUNT, "<", 0), []),
        (Compare(COUNT, ">=", -5), [(0, TOP)]),
        (Compare(COUNT, "==", -1), [(TOP, TOP)]),
        # a masked value is unsigned
        (Compare(Term("fd", 32, True, (0,), 3), "<", 0), []),
        (Compare(Term("fd", 32, True, (0,), 3), ">=", 2), [(2, TOP)]),
        (Compare(BYTE, "<", 0), [(128, 255)]),
        (Among(COUNT, ((5, None), (1, None), (2, None), (8, 9))), [(1, 2), (5, 5), (8, 9)]),
        (Among(FD, ((-2, 1),)), [(0, 1), (TOP - 1, TOP)]),
        (Among(FD, ((-7, -5),)), [(TOP - 6, TOP - 4)]),
        (Among(COUNT, ((1 << 32, None), (TOP - 1, 1 << 40))), [(TOP - 1, TOP)]),
    ],
)
def test_the_values_for_which_a_literal_holds(literal: Compare | Among, held: list) -> None:
    assert union(spans(literal)) == union(held)


def test_some_bit_shared_is_any_value_but_zero() -> None:
    assert read(Shares(MODE, 0o7)) == ((6, 7, None, 0), [(1, 0xFFFF)])


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        ([], []),
        ([(5, 6), (1, 2)], [(1, 2), (5, 6)]),
        ([(1, 2), (3, 4)], [(1, 4)]),  # neighbours
        ([(1, 9), (3, 4)], [(1, 9)]),
        ([(1, 5), (4, 8), (10, 10)], [(1, 8), (10, 10)]),
    ],
)
def test_spans_are_united(parts: list, joined: list) -> None:
    assert union(parts) == joined


@pytest.mark.parametrize(
    ("parts", "rest"), [([], [(0, 9)]), ([(0, 9)], []), ([(0, 2), (5, 5)], [(3, 4), (6, 9)]), ([(3, 9)], [(0, 2)])]
)
def test_the_complement_is_all_the_rest(parts: list, rest: list) -> None:
    assert complement(parts, 9) == rest


@pytest.mark.parametrize(
    ("span", "made"),
    [
        ((5, 9), [(0, 0, 5, 9)]),
        # begins and ends within a high half: three pieces
        (((2 << 32) + 7, (5 << 32) + 3), [(2, 2, 7, FULL), (5, 5, 0, 3), (3, 4, 0, FULL)]),
        ((2 << 32, (4 << 32) + FULL), [(2, 4, 0, FULL)]),
        (((2 << 32) + 1, (3 << 32) + FULL), [(2, 2, 1, FULL), (3, 3, 0, FULL)]),
        (((1 << 32) + 1, 2 << 32), [(1, 1, 1, FULL), (2, 2, 0, 0)]),
    ],
)
def test_a_wide_span_is_rectangles_of_its_halves(span: tuple, made: list) -> None:
    assert rectangles([span]) == made


def words(*args: int) -> list[int]:
    """The sixteen words of a call, low halves at even places."""
    halves = [half for arg in (*args, *[0] * (6 - len(args))) for half in (arg & FULL, arg >> 32)]
    return [0, 0, 0, 0, *halves]


CONDITIONS = [
    (Compare(reg(0), "<", 0x2_0000_0003), [(0, True), (0x2_0000_0002, True), (0x2_0000_0003, False), (WORD, False)]),
    (Compare(reg(0), ">=", 0x2_0000_0000), [(0x1_FFFF_FFFF, False), (0x2_0000_0000, True), (WORD, True)]),
    (Compare(reg(0), "==", 0x2_0000_0003), [(3, False), (0x2_0000_0003, True), (0x2_0000_0000, False)]),
    (Compare(FD, "==", -1), [(FULL, True), (0x5_FFFF_FFFF, True), (1, False)]),  # the kernel drops the upper half
    (Shares(reg(0), 0x8_0000_0001), [(0, False), (1, True), (0x8_0000_0000, True), (0x6, False)]),
    (Compare(reg(0, 0xF0), "==", 0x30), [(0x30, True), (0xFF3F, True), (0x10, False)]),
    (Compare(reg(0, 0xF0), "==", 0x31), [(0x30, False), (0x31, False)]),  # no masked value has that bit
    (Compare(reg(0, 0), "==", 0), [(0, True), (WORD, True)]),
    (Not(Shares(reg(0), 6)), [(0, True), (2, False), (8, True)]),
    (Not(All((Compare(reg(0), ">", 1), Compare(reg(0), "<", 4)))), [(1, True), (2, False), (3, False), (4, True)]),
    (Any(()), [(0, False)]),
    (All(()), [(0, True)]),
    (Constant(True), [(0, True)]),
    (Any((Compare(reg(0), "==", 1), Any((Compare(reg(0), "==", 7), Constant(False))))),
     [(1, True), (7, True), (2, False)]),
    (All((Compare(reg(0), ">", 1), Not(Compare(reg(0), "==", 5)))), [(1, False), (2, True), (5, False), (6, True)]),
]  # fmt: skip


@pytest.mark.parametrize(("expr", "values"), CONDITIONS)
def test_an_expression_holds_for_the_same_values_as_diagram_and_as_chain(expr: object, values: list) -> None:
    for order in (Order(), Order([5, 4])):
        diagram = Diagram()
        lowering = Lowering(diagram, order)
        plain = lowering.condition(expr)  # type: ignore[arg-type]
        rule = Bound(((expr, ALLOW),), ERRNO, None)  # type: ignore[arg-type]
        for value, holds in values:
            assert diagram.decide(plain, words(value)) is holds, hex(value)
            for root in (lowering.rules([rule]), chain(lowering, [rule])):
                assert diagram.decide(root, words(value)) == (ALLOW if holds else ERRNO), hex(value)


def test_a_value_split_over_two_registers_is_joined() -> None:
    diagram = Diagram()
    root = Lowering(diagram, Order()).condition(Compare(OFFSET, "<", -1))
    # register 3 has the low half, register 4 the high one, whose own upper half does not count
    for low, high, holds in ((0, 0, False), (FULL, FULL, False), (FULL - 1, FULL, True), (0, 0x9_8000_0000, True)):
        assert diagram.decide(root, words(0, 0, 0, low, high)) is holds


# This and the next took minutes when what they do was done in n² steps.


def test_all_but_many_values_takes_as_long_as_those_many() -> None:
    values = [at * 0x9E37_79B9_7F4A_7C15 & WORD for at in range(10_000)]
    expr = All(tuple([Compare(reg(0), "!=", value) for value in values]))
    diagram = Diagram()
    root = Lowering(diagram, Order()).condition(expr)
    assert [diagram.decide(root, words(value)) for value in (values[77], values[77] ^ 1)] == [False, True]


def test_a_chain_of_many_rules_takes_as_long_as_they_are_many() -> None:
    rules = [Bound(((Compare(reg(0), "!=", at << 32 | at), ALLOW),), ERRNO, None) for at in range(10_000)]
    diagram = Diagram()
    root = chain(Lowering(diagram, Order()), rules)
    assert [diagram.decide(root, words(value)) for value in (77 << 32 | 77, 77)] == [ERRNO, ALLOW]


ONE, TWO = Compare(reg(0), "==", 1), Compare(reg(1), "==", 1)
RULES = [
    # the strictest wins
    ([Bound(((ONE, ALLOW),), ERRNO, None), Bound(((TWO, ALLOW),), KILL_PROCESS, None)],
     {(1, 1): ALLOW, (0, 1): ERRNO, (1, 0): KILL_PROCESS, (0, 0): KILL_PROCESS}),
    # of equals the later
    ([Bound(((ONE, ALLOW),), ERRNO, None), Bound(((TWO, ALLOW),), OTHER, None)],
     {(1, 1): ALLOW, (0, 1): ERRNO, (1, 0): OTHER, (0, 0): OTHER}),
    # within a rule the first case that holds
    ([Bound(((ONE, ERRNO), (TWO, ALLOW)), KILL_PROCESS, None)],
     {(1, 1): ERRNO, (1, 0): ERRNO, (0, 1): ALLOW, (0, 0): KILL_PROCESS}),
    ([Bound(((ONE, ALLOW), (TWO, ALLOW)), ERRNO, None)], {(1, 0): ALLOW, (0, 1): ALLOW, (0, 0): ERRNO}),
    ([Bound(((ONE, ALLOW), (TWO, ERRNO), (Constant(True), OTHER)), KILL_PROCESS, None)],
     {(1, 1): ALLOW, (0, 1): ERRNO, (0, 0): OTHER}),
    ([Bound((), ERRNO, None), Bound(((ONE, OTHER),), ALLOW, None)], {(1, 0): OTHER, (0, 0): ERRNO}),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "answers"), RULES)
def test_rules_answer_the_same_as_diagram_and_as_chain(rules: list, answers: dict) -> None:
    diagram = Diagram()
    lowering = Lowering(diagram, Order())
    for root in (lowering.rules(rules), chain(lowering, rules)):
        assert {args: diagram.decide(root, words(*args)) for args in answers} == answers


def test_the_chain_asks_each_condition_once() -> None:
    diagram = Diagram()
    lowering = Lowering(diagram, Order())
    narrow, other = Compare(FD, "==", 1), Compare(COUNT, "==", 1)
    assert diagram.least(chain(lowering, [Bound(((narrow, ALLOW),), ERRNO, None)])) == 2  # cuts at 1 and 2
    two = [Bound(((narrow, ALLOW),), ERRNO, None), Bound(((other, ALLOW),), ERRNO, None)]
    assert diagram.least(chain(lowering, two)) == 4


def test_the_chain_is_linear_where_the_diagram_is_not() -> None:
    # (a0 & 1 and a1 & 1) or (a0 & 2 and a1 & 2) or …: a diagram must remember every bit of a0.
    parts = tuple(All((Shares(reg(0), 1 << bit), Shares(reg(1), 1 << bit))) for bit in range(10))
    rules = [Bound(((Any(parts), ALLOW),), ERRNO, None)]
    diagram = Diagram()
    lowering = Lowering(diagram, Order())
    assert diagram.least(chain(lowering, rules)) <= 2 * len(parts)
    assert diagram.least(lowering.rules(rules)) > 100


def test_parts_that_look_at_the_same_bits_are_one() -> None:
    either = Any(
        (Compare(reg(0), "==", 1), Compare(reg(1), "==", 1), Any((Compare(reg(0), "==", 3),)), Constant(False))
    )
    assert [(where and where[0], held) for where, held, _ in grouped(either)] == [
        (4, [(1, 1), (3, 3)]),
        (6, [(1, 1)]),
        (None, []),
    ]
    both = All((Compare(reg(0), ">", 1), All((Compare(reg(0), "<", 4),))))
    assert [held for _, held, _ in grouped(both)] == [[(2, 3)]]


MASKED = [
    # all: several masks of one word, of which each leaves a value
    (All, ((3, "==", 1), (0x40, "==", 0)), [(0x43, [(1, 1)])]),
    (All, ((3, "==", 0), (0x240, "==", 0), (4, "==", 0)), [(0x247, [(0, 0)])]),
    (All, ((FULL, "==", 5), (2, "==", 0)), [(FULL, [(5, 5)])]),
    (All, ((FULL, "==", 5), (2, "==", 2)), [(FULL, [])]),  # a contradiction
    (All, ((6, "<", 3), (0x40, "==", 0)), [(0x46, [(0, 0), (2, 2)])]),
    # any: the reverse
    (Any, ((1, "!=", 0), (2, "!=", 0)), [(3, [(1, FULL)])]),
    (Any, ((3, "!=", 1), (0x40, "!=", 0)), [(0x43, [(0, 0), (2, FULL)])]),
    (Any, ((3, "!=", 1), (1, "!=", 0)), [(3, [(0, FULL)])]),  # always
    # where that saves nothing: a jset each; many values; any of equals
    (All, ((0x80, "!=", 0), (0x7F, "==", 0)), [(0x80, [(1, FULL)]), (0x7F, [(0, 0)])]),
    (All, ((0xFF, "<", 5), (0x100, "==", 0)), [(0xFF, [(0, 4)]), (0x100, [(0, 0)])]),
    (Any, ((0xC, "==", 4), (3, "==", 1)), [(0xC, [(4, 4)]), (3, [(1, 1)])]),
]


@pytest.mark.parametrize(("kind", "literals", "joined"), MASKED)
def test_masks_of_one_word_are_joined_where_that_saves_a_test(kind: type, literals: tuple, joined: list) -> None:
    parts = tuple(
        Compare(Term("flags", 32, False, (0,), None if mask == FULL else mask), op, value)
        for mask, op, value in literals
    )
    found = grouped(kind(parts))
    assert [(where and where[1], held) for where, held, _ in found] == joined
    # ... and so is what is said the other way round
    swap = {"==": "!=", "!=": "==", "<": ">="}
    turned = kind(tuple(Not(Compare(part.term, swap[part.op], part.value)) for part in parts))
    assert [(where and where[1], held) for where, held, _ in grouped(turned)] == joined


def test_masks_of_both_halves_are_joined() -> None:
    both = All((Not(Shares(reg(0), 0xFF_0000_0000)), Compare(reg(0, 3), "==", 2), Not(Shares(reg(1), 1))))
    assert [(where, held) for where, held, _ in grouped(both)] == [
        ((4, 3, 5, 0xFF), [(2, 2)]),
        ((6, 1, 7, 0), [(0, 0)]),
    ]


def test_the_words_and_masks_that_rules_look_at() -> None:
    rules = [
        Bound(((Not(Any((Shares(reg(0), 6), Compare(FD, "==", 1)))), ALLOW), (Constant(True), ALLOW)), ERRNO, None)
    ]
    assert variables(rules) == {(4, 6), (5, 0), (4, FULL)}
