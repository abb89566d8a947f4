"""Diagrams over bits, and 32-bit arithmetic on them, against plain enumeration and the machine."""

from __future__ import annotations

import itertools
import random

import pytest

from sysgate.analyse import vector
from sysgate.analyse.forest import FALSE, TRUE, Forest, Overgrown
from sysgate.analyse.space import POINTER, Space
from sysgate.bpf import insn, machine

BITS = 4
POINTS = list(itertools.product((0, 1), repeat=BITS))


def value(forest, node, bits):
    while not forest.is_leaf(node):
        node = forest.high[node] if bits[forest.variable[node]] else forest.low[node]
    return forest.value(node)


def random_set(forest, rng, depth=4):
    if depth == 0:
        return forest.node(rng.randrange(BITS), *rng.choice([(0, 1), (1, 0)]))
    one, other = random_set(forest, rng, depth - 1), random_set(forest, rng, depth - 1)
    return rng.choice([forest.both, forest.either, forest.minus])(one, other)


def test_set_operations_mean_what_they_say():
    rng, forest = random.Random(1), Forest()
    for _ in range(200):
        a, b, c = (random_set(forest, rng) for _ in range(3))
        for at in POINTS:
            x, y, z = (value(forest, node, at) for node in (a, b, c))
            assert value(forest, forest.both(a, b), at) == (x and y)
            assert value(forest, forest.either(a, b), at) == (x or y)
            assert value(forest, forest.minus(a, b), at) == (x and not y)
            assert value(forest, forest.negated(a), at) == (not x)
            assert value(forest, forest.ite(a, b, c), at) == (y if x else z)
        assert forest.within(a, b) == all(value(forest, b, at) for at in POINTS if value(forest, a, at))


def test_equal_functions_are_one_node():
    rng, forest = random.Random(2), Forest()
    nodes = [random_set(forest, rng) for _ in range(300)]
    for a, b in itertools.pairwise(nodes):
        assert (a == b) == all(value(forest, a, at) == value(forest, b, at) for at in POINTS)


def test_leaving_variables_out_asks_for_some_value_or_for_every_one():
    rng, forest = random.Random(3), Forest()
    for _ in range(100):
        a, gone = random_set(forest, rng), rng.sample(range(BITS), 2)
        for at in POINTS:
            ways = [
                value(forest, a, other)
                for other in POINTS
                if all(other[i] == at[i] for i in range(BITS) if i not in gone)
            ]
            assert value(forest, forest.without(a, gone), at) == any(ways)
            assert value(forest, forest.without(a, gone, all_of=True), at) == all(ways)
        if a not in (FALSE, TRUE):
            bits = forest.example(a)
            assert value(forest, a, [bits.get(i, 0) for i in range(BITS)])


def test_leaves_may_be_anything_and_combine():
    forest = Forest()
    high = forest.node(0, forest.leaf("no"), forest.leaf("yes"))
    low = forest.node(1, forest.leaf(1), forest.leaf(2))
    pairs = forest.combined(high, low, lambda a, b: (a, b))
    assert {value(forest, pairs, at) for at in POINTS} == {("no", 1), ("no", 2), ("yes", 1), ("yes", 2)}
    assert set(forest.leaves(pairs)) == {("no", 1), ("no", 2), ("yes", 1), ("yes", 2)}
    assert forest.mapped(high, lambda leaf: TRUE if leaf == "yes" else FALSE) == forest.node(0, FALSE, TRUE)
    assert value(forest, forest.chosen(pairs, 0, 1), (0, 1, 0, 0)) == ("yes", 2)


def test_no_more_nodes_are_made_than_the_budget_allows():
    forest = Space(budget=2000)
    with pytest.raises(Overgrown):
        vector.times(forest, forest.register(0, 0, 32), forest.register(1, 0, 32))


OPERATIONS = {
    insn.BPF_ADD: vector.plus,
    insn.BPF_SUB: vector.minus,
    insn.BPF_MUL: vector.times,
    insn.BPF_DIV: vector.divided,
    insn.BPF_AND: vector.ands,
    insn.BPF_OR: vector.ors,
    insn.BPF_XOR: vector.xors,
}


def read(space, word, words):
    """The value of a vector for a call."""
    return sum(bool(at(space, node, words)) << bit for bit, node in enumerate(word))


def at(space, node, words):
    while not space.is_leaf(node):
        register, bit = space.place(space.variable[node])
        node = space.high[node] if words[register] >> bit & 1 else space.low[node]
    return space.value(node)


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_arithmetic_on_unknown_bits_agrees_with_the_machine(operation):
    rng = random.Random(operation)
    for _ in range(40):
        space = Space(braided=rng.random() < 0.5)
        # Six unknown bits a side keep products and quotients small; the others are known.
        unknown, known = space.register(0, 0, 6), vector.constant(rng.getrandbits(32))
        left = (*known[:20], *unknown, *known[26:])
        right = vector.constant(rng.choice([1, 2, 3, 5, 0x8000_0000, 0xFFFF_FFFF, rng.getrandbits(32) | 1]))
        if rng.random() < 0.5:
            right = (*space.register(1, 0, 6), *right[6:31], TRUE)
        result = OPERATIONS[operation](space, left, right)
        for _ in range(20):
            words = [rng.getrandbits(64) for _ in range(7)]
            a, b = read(space, left, words), read(space, right, words)
            assert read(space, result, words) == machine.alu(operation, a, b), (hex(a), hex(b))


@pytest.mark.parametrize("left", [True, False])
def test_shifts_by_unknown_amounts_take_five_bits(left):
    rng, space = random.Random(5), Space(braided=True)
    word, by = (*space.register(0, 0, 8), *vector.constant(0x5A_A5C3, 24)), space.register(1, 0, 32)
    result = vector.shifted_by(space, word, by, left=left)
    operation = insn.BPF_LSH if left else insn.BPF_RSH
    for _ in range(100):
        words = [rng.getrandbits(64) for _ in range(7)]
        expected = machine.alu(operation, read(space, word, words), words[1] & 0xFFFF_FFFF)
        assert read(space, result, words) == expected


def test_comparisons_are_unsigned():
    rng = random.Random(6)
    for braided in (False, True):
        space = Space(braided=braided)
        word = space.register(2, 0, 32)
        for _ in range(200):
            bound = rng.choice([0, 1, 0xFFFF_FFFF, rng.getrandbits(32)])
            near = rng.choice([bound, bound + 1, bound - 1, rng.getrandbits(32)]) & 0xFFFF_FFFF
            words = [0, 0, near, 0, 0, 0, 0]
            other = vector.constant(bound)
            assert at(space, vector.equal(space, word, other), words) == (near == bound)
            assert at(space, vector.above(space, word, other), words) == (near > bound)
            assert at(space, vector.shares(space, word, other), words) == (near & bound != 0)


def test_every_bit_of_a_call_is_a_variable_of_its_own():
    for braided in (False, True):
        space = Space(braided=braided)
        places = [(register, bit) for register in range(POINTER + 1) for bit in range(64)]
        variables = [space.variable_of(register, bit) for register, bit in places]
        assert len(set(variables)) == len(places)
        assert [space.place(variable) for variable in variables] == places
        number, args, pointer = space.call({0: 1, space.variable_of(2, 5): 1, space.variable_of(POINTER, 63): 1})
        assert (number, args, pointer) == (1 << 31, (0, 0, 32, 0, 0, 0), 1 << 63)


def test_a_function_means_the_same_in_another_space():
    rng = random.Random(7)
    braided, usual = Space(braided=True), Space()
    word = vector.plus(braided, braided.register(3, 0, 32), vector.constant(77))
    node = braided.both(
        vector.above(braided, word, vector.constant(1000)),
        vector.equal(braided, braided.register(1), vector.constant(9, 64)),
    )
    copied = braided.copied(node, usual)
    for _ in range(200):
        words = [rng.choice([9, 923, 924, rng.getrandbits(64)]) for _ in range(7)]
        assert at(braided, node, words) == at(usual, copied, words)


def test_a_node_that_was_too_much_is_not_there_later():
    forest = Forest(budget=1)
    with pytest.raises(Overgrown):
        forest.node(3, FALSE, TRUE)
    forest.budget = 10
    first, second = forest.node(5, FALSE, TRUE), forest.node(3, FALSE, TRUE)
    assert (forest.variable[first], forest.variable[second]) == (5, 3)
