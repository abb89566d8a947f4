"""Steps and their places: equal steps are one, every jump arrives, the heavy way falls through."""

from __future__ import annotations

from random import Random

import pytest

from sysgate.bpf import machine
from sysgate.bpf.program import Program
from sysgate.compiler.layout import REACH, lay_out
from sysgate.compiler.steps import AND, JA, JEQ, JGE, JSET, LD, RET, Steps


def run(insns: tuple, number: int) -> tuple[int, int]:
    """What the program answers to a number, and in how many steps."""
    return machine.run(Program(insns, False), 0, number, (0,) * 6, 0)


def ret(steps: Steps, value: int) -> int:
    return steps.add(RET, value)


def test_equal_steps_are_one_and_a_jump_to_one_place_is_none() -> None:
    steps = Steps()
    one, two = ret(steps, 1), ret(steps, 2)
    assert ret(steps, 1) == one
    assert steps.add(JEQ, 5, one, one) == one
    jump = steps.add(JEQ, 5, one, two)
    assert steps.add(JEQ, 5, one, two) == jump
    load = steps.add(LD, 0, jump)
    assert [steps.heights[index] for index in (one, jump, load)] == [1, 2, 3]
    assert steps.below(load) == {load, jump, one, two}
    for ways in ((one, load), (load, one)):  # the longer way counts, whichever it is
        assert steps.heights[steps.add(JGE, 9, *ways)] == 4


def test_what_is_built_on_trial_is_forgotten() -> None:
    steps = Steps()
    one, two = ret(steps, 1), ret(steps, 2)
    before = len(steps.all)
    trial = steps.add(JEQ, 5, one, two)
    steps.weigh(trial, 1.0, 0.0)
    steps.back_to(before)
    assert len(steps.all) == len(steps.heights) == len(steps.ways) == before
    again = steps.add(JEQ, 5, one, two)
    assert steps.share(again) == 0.5  # nothing is known of it any more
    steps.weigh(again, 3.0, 1.0)
    assert steps.share(again) == 0.75
    steps.weigh(again, 0.0, 8.0)
    assert steps.share(again) == 0.25


def test_a_tree_becomes_steps_with_the_weights_of_its_ways() -> None:
    steps = Steps()
    one, two = ret(steps, 1), ret(steps, 2)
    step, cost = steps.tree(
        (JGE, 10, (JEQ, 12, one, two), (JSET, 3, two, one)), [(4, 1.0), (5, 2.0), (12, 4.0), (13, 8.0)]
    )
    code, k, then, otherwise = steps.all[step]
    assert (code, k) == (JGE, 10)
    assert steps.all[then] == (JEQ, 12, one, two)
    assert steps.all[otherwise] == (JSET, 3, two, one)
    assert steps.ways[step] == [12.0, 3.0]
    assert steps.ways[then] == [4.0, 8.0]
    assert steps.ways[otherwise] == [2.0, 1.0]
    assert cost == 15 + 12 + 3
    # both ways the same: the test is no step, but was it made it would have counted
    assert steps.tree((JEQ, 5, one, one), [(5, 1.0)])[0] == one


def small(share: float) -> tuple:
    steps = Steps()
    one, two = ret(steps, 1), ret(steps, 2)
    jump = steps.add(JEQ, 7, one, two)
    steps.weigh(jump, share, 1 - share)
    return lay_out(steps, steps.add(LD, 0, jump), 0.03, (0.0,))


@pytest.mark.parametrize(("share", "follows"), [(0.9, 1), (0.1, 2)])
def test_the_heavy_way_follows_its_jump(share: float, follows: int) -> None:
    insns = small(share)
    assert [code for code, *_ in insns] == [LD, JEQ, RET, RET]
    assert insns[2][3] == follows
    assert run(insns, 7) == (1, 3)
    assert run(insns, 8) == (2, 3)


def test_an_instruction_that_is_led_to_stands_before_what_follows_it() -> None:
    # Two loads of different words lead to one test: one of them stands right before it, the other takes a ja or a copy.
    steps = Steps()
    one, two = ret(steps, 1), ret(steps, 2)
    test = steps.add(JEQ, 7, one, two)
    steps.weigh(test, 0.5, 0.5)
    masked, plain = steps.add(AND, 0xFF, test), steps.add(LD, 4, test)
    root = steps.add(LD, 0, steps.add(JGE, 0x100, masked, plain))
    insns = lay_out(steps, root, 0.03, (0.0,))
    assert run(insns, 0x107) == (1, run(insns, 0x107)[1])
    assert run(insns, 0x108)[0] == 2
    assert run(insns, 7)[0] == 2  # word 1, the architecture, is 0
    assert len(insns) == 8


def test_a_load_stands_right_before_a_test_that_others_jump_to() -> None:
    steps = Steps()
    one, two, three = (ret(steps, value) for value in (1, 2, 3))
    test = steps.add(JEQ, 7, one, two)
    masked = steps.add(AND, 0xFF, test)
    side = steps.add(JEQ, 3, test, three)  # placed first, and the test with it
    jump = steps.add(JGE, 0x100, masked, side)
    steps.weigh(jump, 0.9, 0.1)
    insns = lay_out(steps, steps.add(LD, 0, jump), 0.03, (0.0,))
    assert len(insns) == 8  # nothing twice, no ja
    assert [run(insns, number)[0] for number in (0x107, 0x108, 3, 4)] == [1, 2, 2, 3]


def well_formed(insns: tuple) -> bool:
    """Jumps are within reach, and what does not jump has no distances."""
    return all(
        0 <= jt <= REACH and 0 <= jf <= REACH if code in (JEQ, JGE, JSET) else (jt, jf) == (0, 0)
        for code, jt, jf, _ in insns
    )


def chain(length: int, answers: int) -> tuple[Steps, int, dict[int, int]]:
    """A chain of jeq to so many answers, far longer than a jump reaches."""
    steps = Steps()
    expected = {}
    step = ret(steps, 999)
    for number in reversed(range(length)):
        expected[number] = number % answers
        step = steps.add(JEQ, number, ret(steps, number % answers), step)
        steps.weigh(step, 1.0, float(length - number))
    return steps, steps.add(LD, 0, step), expected


@pytest.mark.parametrize("seldom", [(0.0,), (0.01,), (0.0, 0.003, 0.01, 0.03)])
def test_targets_out_of_reach_get_a_copy_that_is_near(seldom: tuple) -> None:
    steps, root, expected = chain(700, 3)
    insns = lay_out(steps, root, 0.03, seldom)
    assert well_formed(insns)
    for number, answer in expected.items():
        assert run(insns, number) == (answer, number + 3)  # no ja on the way
    assert run(insns, 700)[0] == 999
    assert len(insns) < 700 + 2 + 4 * 4  # about one copy of each answer for every 255 tests


def drawn(random: Random, count: int) -> tuple[Steps, int]:
    """Jumps to any earlier steps: shared tails, near and far."""
    steps = Steps()
    made = [ret(steps, value) for value in range(5)]
    while len(made) < count:
        code, k = random.choice((JEQ, JGE, JSET)), random.randrange(1, 64)
        then, otherwise = random.choice(made[-300:]), random.choice(made[-3:])
        step = steps.add(code, k, then, otherwise)
        if then != otherwise:
            steps.weigh(step, random.random(), random.random() ** 3)
        if random.random() < 0.1:
            step = steps.add(LD, 0, step)
        made.append(step)
    return steps, steps.add(LD, 0, made[-1])


def walk(steps: Steps, root: int, number: int) -> int:
    """The answer of steps that have no places yet."""
    while True:
        code, k, then, otherwise = steps.all[root]
        if code == RET:
            return k
        holds = {LD: True, JEQ: number == k, JGE: number >= k, JSET: bool(number & k)}[code]
        root = then if holds else otherwise


@pytest.mark.parametrize("count", [10, 100, 900])
def test_places_do_not_change_the_answers(count: int) -> None:
    for seed in range(8):
        steps, root = drawn(Random(seed), count)
        for seldom in ((0.0,), (0.01,), (0.0, 0.003, 0.01, 0.03)):
            insns = lay_out(steps, root, 0.03, seldom)
            assert well_formed(insns)
            assert [run(insns, number)[0] for number in range(70)] == [
                walk(steps, root, number) for number in range(70)
            ]


def test_of_several_layouts_the_cheapest_is_taken() -> None:
    def cost(insns: tuple, steps: Steps, root: int) -> float:
        # price, and steps with the shares that the ways have
        share = {steps.all[index][:2]: steps.share(index) for index in steps.below(root) if steps.all[index][3] != -1}
        made = [0.0] * (len(insns) + 1)
        made[0] = 1.0
        for at, (code, jt, jf, k) in enumerate(insns):
            if code == JA:
                made[at + 1 + k] += made[at]
            elif (code, k) in share and (jt or jf):
                made[at + 1 + jt] += made[at] * share[code, k]
                made[at + 1 + jf] += made[at] * (1 - share[code, k])
            elif code != RET:
                made[at + 1] += made[at]
        return sum(made) + 0.03 * len(insns)

    better = 0
    for seed in range(6):
        random = Random(seed)
        steps = Steps()
        leaves = [ret(steps, value) for value in range(3)]
        made = list(leaves)
        for k in range(900):  # every jump has a k of its own
            if k % 30:
                made.append(steps.add(JEQ, k, random.choice(made[-400:]), made[-1]))
                steps.weigh(made[-1], random.random() ** 8, 1.0)
            else:  # something seldom that lies between the others
                made.insert(-1, steps.add(JEQ, k, random.choice(made[-400:-1]), random.choice(made[-60:-1])))
        root = steps.add(LD, 0, made[-1])
        costs = [cost(lay_out(steps, root, 0.03, (limit,)), steps, root) for limit in (0.0, 0.003, 0.01, 0.03)]
        chosen = cost(lay_out(steps, root, 0.03, (0.0, 0.003, 0.01, 0.03)), steps, root)
        assert chosen == pytest.approx(min(costs))
        better += min(costs) < costs[0]
    assert better  # or there was nothing to choose
