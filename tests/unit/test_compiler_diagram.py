"""Decision diagrams: reduced as they are made, joined by `apply`, pruned by what earlier tests have shown."""

from __future__ import annotations

from random import Random

import pytest

from sysgate.compiler import knowledge
from sysgate.compiler.diagram import ARCH, LEAF, NR, Diagram, Order, Overflow, low, submask_from
from sysgate.compiler.order import orders
from sysgate.policy.ruleset import Bound, Compare, Term

FULL = 0xFFFF_FFFF


@pytest.fixture
def store() -> Diagram:
    return Diagram()


def words(**named: int) -> list[int]:
    return [named.get(f"w{place}", 0) for place in range(16)]


def test_equal_nodes_are_one(store: Diagram) -> None:
    a, b = store.leaf("a"), store.leaf("b")
    assert store.leaf("a") == a != b
    assert store.make(4, FULL, (3,), (a, b)) == store.make(4, FULL, (3,), (a, b))
    assert store.make(4, FULL, (3,), (a, b)) != store.make(5, FULL, (3,), (a, b))


@pytest.mark.parametrize(
    ("mask", "cuts", "kids", "made"),
    [
        (FULL, (3, 5), "aaa", "a"),  # nothing to tell apart
        (FULL, (3, 5), "aab", (FULL, (5,), "ab")),
        (FULL, (3, 5), "abb", (FULL, (3,), "ab")),
        (0xF0, (0x13,), "ab", (0xF0, (0x20,), "ab")),  # the first value from 0x13 on that fits the mask
        (0xF0, (0x11, 0x13), "abc", (0xF0, (0x20,), "ac")),  # nothing between the two
        (0xF0, (0x10, 0xF1), "abc", (0xF0, (0x10,), "ab")),  # nothing from 0xf1 on
        (0xFFFF_FFF0, (0x20,), "ab", (FULL, (0x20,), "ab")),  # low bits alone do not change how it compares
    ],
)
def test_a_node_is_reduced_when_it_is_made(store: Diagram, mask: int, cuts: tuple, kids: str, made: object) -> None:
    leaves = {name: store.leaf(name) for name in "abc"}
    index = store.make(6, mask, cuts, [leaves[name] for name in kids])
    if isinstance(made, str):
        assert index == leaves[made]
    else:
        assert store.nodes[index] == (6, made[0], made[1], tuple(leaves[name] for name in made[2]))  # type: ignore[index]


@pytest.mark.parametrize(
    ("value", "mask", "found"),
    [
        (0, 0xF0, 0),
        (0x10, 0xF0, 0x10),
        (0x11, 0xF0, 0x20),
        (0x1F, 0xF0, 0x20),
        (0x81, 0x81, 0x81),
        (0x02, 0x81, 0x80),
        (0x82, 0x81, None),
        (0xF1, 0xF0, None),
        (0x100, 0xF0, None),
        (0x33, 0x55, 0x40),
    ],
)
def test_the_next_value_that_fits_a_mask(value: int, mask: int, found: int | None) -> None:
    assert submask_from(value, mask) == found
    assert found == next((v for v in range(value, 0x200) if v & ~mask == 0), None)


def test_a_leaf_answers_its_value_and_a_node_its_kid(store: Diagram) -> None:
    a, b, c = map(store.leaf, "abc")
    inner = store.make(5, 0x6, (2, 4), (a, b, c))
    root = store.make(4, FULL, (10,), (inner, c))
    for low_word, high_word, answer in (
        (10, 0, "c"),
        (FULL, 2, "c"),
        (9, 1, "a"),
        (0, 3, "b"),
        (0, 2, "b"),
        (0, 6, "c"),
    ):
        assert store.decide(root, words(w4=low_word, w5=high_word)) == answer
    assert store.value(b) == "b"


def test_the_budget_is_in_nodes(store: Diagram) -> None:
    a, b = store.leaf("a"), store.leaf("b")
    store.budget = 1
    first = store.make(4, FULL, (1,), (a, b))
    assert store.make(4, FULL, (1,), (a, b)) == first  # nothing new
    with pytest.raises(Overflow):
        store.make(4, FULL, (2,), (a, b))


def test_the_least_that_tests_take(store: Diagram) -> None:
    a, b = store.leaf("a"), store.leaf("b")
    two = store.make(6, FULL, (3,), (a, b))  # one jge
    root = store.make(4, FULL, (3, 4, 7, 8), (a, two, a, b, a))  # two jeq, one more
    assert store.least(a) == 0
    assert store.least(two) == 1
    assert store.least(root) == 1 + 3
    assert store.tests == 4
    assert store.below(root) == sorted([a, b, two, root])
    assert store.below(root).index(two) < store.below(root).index(root)


def test_apply_looks_at_words_in_order_and_joins_cuts(store: Diagram) -> None:
    names = {(x, y): store.leaf(x + y) for x in "ab" for y in "cd"}
    a, b, c, d = (store.leaf(name) for name in "abcd")
    leaves = {store.leaf(x): x for x in "abcd"}

    def joined(one: int, two: int) -> int | None:
        if one in leaves and two in leaves:
            return names[leaves[one], leaves[two]]
        return None

    left = store.make(4, FULL, (5,), (a, b))
    same_word = store.make(4, FULL, (5, 9), (c, d, c))
    root = store.apply(Order(), left, same_word, joined, {})
    assert store.nodes[root][:3] == (4, FULL, (5, 9))
    assert [store.decide(root, words(w4=value)) for value in (0, 4, 5, 8, 9, FULL)] == [
        "ac",
        "ac",
        "bd",
        "bd",
        "bc",
        "bc",
    ]
    other_word = store.make(5, FULL, (1,), (c, d))
    for order, first in ((Order(), 4), (Order([5]), 5), (Order([5, 4]), 5)):
        root = store.apply(order, left, other_word, joined, {})
        assert store.nodes[root][0] == first
        assert [store.decide(root, words(w4=x, w5=y)) for x, y in ((0, 0), (5, 0), (0, 1), (5, 1))] == [
            "ac",
            "bc",
            "ad",
            "bd",
        ]


def test_masks_of_a_word_come_before_the_whole_word_and_leaves_last() -> None:
    order = Order([7])
    nodes = [(7, 1, (), ()), (7, 2, (), ()), (7, FULL, (), ()), (NR, 1, (), ()), (ARCH, 1, (), ()), (4, FULL, (), ())]
    nodes.append((LEAF, 0, (), ()))
    assert sorted(nodes, key=order.rank) == nodes
    assert low(3) == 10


def test_replace_changes_nodes_and_keeps_the_rest(store: Diagram) -> None:
    a, b, c = map(store.leaf, "abc")
    inner = store.make(6, FULL, (3,), (a, b))
    root = store.make(4, FULL, (3, 9), (inner, a, inner))
    changed = store.replace(root, {b: c}.get, {})
    assert [store.decide(changed, words(w4=x, w6=y)) for x, y in ((0, 0), (0, 3), (5, 9), (9, 3))] == [
        "a",
        "c",
        "a",
        "c",
    ]
    assert store.replace(root, {a: b}.get, {}) == b  # nothing is left to tell apart
    assert store.replace(root, lambda index: c if index == inner else None, {}) == store.make(
        4, FULL, (3, 9), (c, a, c)
    )


# knowledge


@pytest.mark.parametrize(
    ("facts", "answer"),
    [
        (((FULL, 5, 5), (0x1, 0, 0)), False),  # 5 is odd
        (((FULL, 4, 5), (0x1, 0, 0)), True),
        (((0xFF00, 0, 0), (FULL, 0x100, 0x1FF)), False),
        (((0xFF00, 0, 0), (FULL, 0xFF, 0x1FF)), True),
        (((0x6400, 1, FULL), (FULL, 0x5421, 0x5421)), True),  # 0x5421 & 0x6400 is 0x4400
        (((0x6400, 0, 0), (FULL, 0x5421, 0x5421)), False),
        (((0x3, 2, 3), (0x6, 0, 0)), False),  # bit 1 set, bits 1 and 2 clear
        (((0xF0, 0x10, 0x1F), (FULL, 0x0, 0xF)), False),
        (((0x80, 0x80, 0x80), (FULL, 0, 0x7F)), False),
        (((0x80, 0x80, 0x80), (0x8F, 0x8E, 0x8F), (0x01, 0, 0)), True),
        (((0x80, 0x80, 0x80), (0x8F, 0x8F, 0x8F), (0x01, 0, 0)), False),
    ],
)
def test_whether_some_word_fits_all_facts(facts: tuple, answer: bool) -> None:
    assert knowledge.possible(facts) is answer
    assert answer == any(all(least <= v & mask <= most for mask, least, most in facts) for v in range(0x10000))


def test_facts_are_judged_as_by_trying_every_word() -> None:
    # The words of six bits; that all bits above are clear is one fact more.
    random = Random(1)
    small = (FULL ^ 0x3F, 0, 0)
    for _ in range(3000):
        facts = [small]
        for _ in range(random.choice((1, 1, 2))):
            mask = random.choice((0x3F, random.randrange(1, 0x40)))
            least, most = sorted(random.randrange(0x40) & mask for _ in range(2))
            facts.append((mask, least, most))
        fits = any(all(least <= word & mask <= most for mask, least, most in facts) for word in range(0x40))
        found = knowledge.possible(tuple(facts))
        assert found or not fits, facts  # never ruled out what may come
        if len(facts) == 2:
            assert found == fits, facts


def test_a_bound_is_exact(store: Diagram) -> None:
    allow, kill, log = store.leaf("allow"), store.leaf("kill"), store.leaf("log")
    # bits 2 and 3 are clear below the cut, so 4 does not come there, and 3 does
    for value, kept in ((3, True), (4, False)):
        equal = store.make(4, FULL, (value, value + 1), (kill, allow, kill))
        root = store.make(4, 0xC, (4,), (equal, log))
        pruned = knowledge.prune(store, root)
        assert (pruned == root) is kept
        assert store.decide(pruned, words(w4=value)) == ("allow" if kept else "log")


def test_tests_that_are_answered_already_are_dropped(store: Diagram) -> None:
    allow, kill = store.leaf("allow"), store.leaf("kill")
    equal = store.make(4, FULL, (0x5421, 0x5422), (kill, allow, kill))
    root = store.make(4, 0x6400, (1,), (equal, allow))
    # the value has bits of the mask, so it never comes to the second test
    assert store.nodes[knowledge.prune(store, root)] == (4, 0x6400, (0x400,), (kill, allow))


def test_what_is_still_open_is_still_asked(store: Diagram) -> None:
    allow, kill = store.leaf("allow"), store.leaf("kill")
    equal = store.make(4, FULL, (0x21, 0x22), (kill, allow, kill))
    root = store.make(4, 0x6400, (1,), (equal, kill))
    assert knowledge.prune(store, root) == root
    # another word says nothing
    other = store.make(6, 0x6400, (1,), (equal, store.make(4, 0x1, (1,), (kill, allow))))
    assert knowledge.prune(store, other) == other


def test_knowledge_is_forgotten_with_its_word(store: Diagram) -> None:
    a, b = store.leaf("a"), store.leaf("b")
    again = store.make(6, FULL, (5, 6), (a, b, a))
    between = store.make(4, FULL, (1,), (again, b))
    root = store.make(6, 0x1, (1,), (between, store.make(6, FULL, (9,), (a, b))))
    found = knowledge.prune(store, root)
    for w6 in range(12):
        for w4 in (0, 1):
            assert store.decide(found, words(w4=w4, w6=w6)) == store.decide(root, words(w4=w4, w6=w6))


# orders


def rule(*terms: Term) -> list[Bound]:
    from sysgate.action import ALLOW, KILL_PROCESS

    return [Bound(tuple((Compare(term, "==", 1), ALLOW) for term in terms), KILL_PROCESS, None)]


def test_the_plain_order_is_tried_first_and_halves_either_way() -> None:
    plain = Order()
    narrow, wide = Term("fd", 32, True, (0,)), Term("arg", 64, False, (1,))
    assert list(orders(rule(narrow), plain)) == [plain]
    # one argument of two halves: high first, too
    tried = list(orders(rule(wide), plain))
    assert tried[0] is plain
    assert [min((6, 7), key=lambda word: order.rank((word, FULL, (), ()))) for order in tried] == [6, 7]
    # two arguments: each first; low halves first, and high ones
    firsts = {
        min((4, 6, 7), key=lambda word: order.rank((word, FULL, (), ()))) for order in orders(rule(narrow, wide), plain)
    }
    assert firsts == {4, 6, 7}


def test_of_two_wide_arguments_all_ways_to_take_their_halves_are_tried() -> None:
    wide = [Term(f"a{place}", 64, False, (place,)) for place in (0, 1)]
    tried = {
        tuple(sorted((4, 5, 6, 7), key=lambda word: order.rank((word, FULL, (), ()))))
        for order in orders(rule(*wide), Order())
    }
    assert tried == {(4, 5, 6, 7), (5, 4, 7, 6), (4, 6, 5, 7), (6, 7, 4, 5), (7, 6, 5, 4), (6, 4, 7, 5)}


def test_of_many_arguments_not_all_orders_are_tried() -> None:
    terms = [Term(f"a{place}", 32, False, (place,)) for place in range(6)]
    assert len(list(orders(rule(*terms[:3]), Order()))) == 6
    assert len(list(orders(rule(*terms), Order()))) == 2
