"""Search trees over runs of values: what they decide, and that no better one was missed where all can be tried."""

from __future__ import annotations

from functools import cache
from random import Random

import pytest

from sysgate.compiler import fast, runs
from sysgate.compiler.full import Full
from sysgate.compiler.intervals import INFINITE, Intervals, middle
from sysgate.compiler.search import Search
from sysgate.compiler.steps import JEQ, JGE, JSET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.compiler.runs import Run, Runs, Tree

FULL = 0xFFFF_FFFF
A, B, C = 1, 2, 3  # targets


def holds(code: int, k: int, value: int) -> bool:
    return {JEQ: value == k, JGE: value >= k, JSET: bool(value & k)}[code]


def target(tree: Tree, value: int) -> int:
    while not isinstance(tree, int):
        code, k, yes, no = tree
        tree = yes if holds(code, k, value) else no
    return tree


def size(tree: Tree) -> int:
    return 0 if isinstance(tree, int) else 1 + size(tree[2]) + size(tree[3])


def height(tree: Tree) -> int:
    return 0 if isinstance(tree, int) else 1 + max(height(tree[2]), height(tree[3]))


def weight(tree: Tree, points: list[tuple[int, float]]) -> float:
    if isinstance(tree, int):
        return 0.0
    code, k, yes, no = tree
    hit = [point for point in points if holds(code, k, point[0])]
    missed = [point for point in points if not holds(code, k, point[0])]
    return sum(each for _, each in points) + weight(yes, hit) + weight(no, missed)


def drawn(random: Random, count: int, targets: int = 3) -> tuple[Runs, tuple[tuple[int, float], ...]]:
    """Adjoining runs, as the numbers of a policy make them, and where in them calls are."""
    edges = [0, *sorted(random.sample(range(1, 400), count - 1))]
    ends = [*(edge - 1 for edge in edges[1:]), FULL]
    made: list[Run] = []
    points = []
    for low, high in zip(edges, ends, strict=True):
        heavy = random.choice((0.0, 0.01, 0.1, 1.0)) * random.random()
        points.append((random.randint(low, min(high, 450)), heavy))
        others = [each for each in range(1, targets + 1) if not made or each != made[-1][2]]
        made.append((low, high, random.choice(others), heavy))
    return tuple(made), tuple(points)


def samples(made: Runs) -> list[int]:
    return [value for low, high, _, _ in made for value in {low, (low + high) // 2, high}]


def settled(tree: Tree, made: Runs) -> bool:
    return all(target(tree, value) == goal for low, high, goal, _ in made for value in (low, (low + high) // 2, high))


# runs


def test_neighbours_of_one_target_are_joined() -> None:
    assert runs.joined([(0, 1, A, 1.0), (2, 3, A, 2.0), (4, 9, B, 0.5), (12, 15, B, 0.5), (16, 16, A, 0.0)]) == (
        (0, 3, A, 3.0),
        (4, 15, B, 1.0),  # what lies in the gap is decided elsewhere
        (16, 16, A, 0.0),
    )


@pytest.mark.parametrize("bits", [0x1, 0x6, 0xF0, 0x55, 0xFFFF_FFFF])
@pytest.mark.parametrize("value", [0, 1, 2, 0x0F, 0x10, 0x2B, 0x80, 0xFE])
def test_the_nearest_values_inside_and_touching_a_set_of_bits(value: int, bits: int) -> None:
    inside = [v for v in range(0x200) if not v & ~bits]
    touching = [v for v in range(0x200) if v & bits]
    least = next((v for v in inside if v >= value), None)
    assert runs.least_inside(value, bits) == (FULL + 1 if least is None else least)
    assert runs.greatest_inside(value, bits) == max(v for v in inside if v <= value)
    assert runs.least_touching(value, bits) == next(v for v in touching if v >= value)
    assert max(runs.greatest_touching(value, bits), -1) == max((v for v in touching if v <= value), default=-1)


@pytest.mark.parametrize(("low", "high"), [(5, 5), (0, 1), (3, 4), (0x40, 0x47), (0x41, 0x46), (6, 9)])
def test_the_bits_of_all_values_of_a_run(low: int, high: int) -> None:
    bits = 0
    for value in range(low, high + 1):
        bits |= value
    assert runs.united(low, high) == bits


def test_what_one_test_decides_is_taken_out() -> None:
    made = ((0, 3, A, 1.0), (4, 4, B, 5.0), (5, 9, A, 1.0), (10, FULL, C, 0.0))
    assert runs.without_point(made, 1) == ((0, 9, A, 2.0), (10, FULL, C, 0.0))
    # of the values with bit 3: 8 and 9 of A, with the weight of the points there
    assert runs.touching(made, 0x8, ((9, 0.25), (12, 0.125))) == ((8, 9, A, 0.25), (10, FULL, C, 0.125))


def test_cubes_are_the_largest_sets_of_one_target() -> None:
    # 0–31 and 64–95 go to A, all else to B: one test of all other bits decides about A.
    made = ((0, 31, A, 0.5), (32, 63, B, 0.1), (64, 95, A, 0.3), (96, FULL, B, 0.1))
    assert runs.cubes(made, ((3, 0.5), (40, 0.1), (70, 0.3), (100, 0.1))) == [(0x5F, A)]
    # the heaviest first; 0 alone is a set, too
    made = ((0, 0, B, 0.1), (1, 3, A, 0.9), (4, FULL, B, 0.2))
    assert runs.cubes(made, ((0, 0.1), (2, 0.9))) == [(0x1FC, B)]


# intervals


@pytest.mark.parametrize("count", [2, 3, 4, 6, 9, 14])
def test_a_tree_decides_every_run_and_costs_what_its_table_says(count: int) -> None:
    for seed in range(20):
        made, _ = drawn(Random(seed), count)
        table = Intervals(made, 0.03)
        tree = table.tree(0, count - 1)
        assert settled(tree, made)
        points = [(run[0], run[3]) for run in made]
        assert weight(tree, points) + 0.03 * size(tree) == pytest.approx(table.best)


def best_by_splits(made: Runs, price: float) -> float:
    """The least cost of a tree of jge alone: all of them tried."""

    @cache
    def cost(i: int, j: int) -> float:
        if i == j:
            return 0.0
        coming = sum(run[3] for run in made[i : j + 1])
        return price + coming + min(cost(i, k) + cost(k + 1, j) for k in range(i, j))

    return cost(0, len(made) - 1)


def test_no_tree_of_jge_is_better() -> None:
    for seed in range(60):
        made, _ = drawn(Random(seed), 8)
        assert Intervals(made, 0.05).best <= best_by_splits(made, 0.05) + 1e-9
    # four targets in a row: nothing but jge will do
    made = ((0, 9, 1, 0.4), (10, 19, 2, 0.3), (20, 29, 3, 0.2), (30, FULL, 4, 0.1))
    assert Intervals(made, 0.05).best == pytest.approx(best_by_splits(made, 0.05))


def test_single_values_are_picked_heaviest_first() -> None:
    made = ((0, 4, A, 0.1), (5, 5, B, 0.2), (6, 8, A, 0.1), (9, 9, C, 0.6), (10, FULL, A, 0.0))
    table = Intervals(made, 0.01)
    assert table.tree(0, 4) == (JEQ, 9, C, (JEQ, 5, B, A))
    assert table.best == pytest.approx(1.0 + 0.4 + 2 * 0.01)


def test_one_jset_tells_scattered_values_apart() -> None:
    # odd ones to B, even ones to A
    made = tuple((value, value, B if value & 1 else A, 0.1) for value in range(10))
    assert Intervals(made, 0.01).tree(0, 9) == (JSET, FULL - 0x8 - 0x4 - 0x2, B, A)  # all that is not 2, 4 or 8
    # an exception is picked first, if it is a single value
    made = (*made[:4], (4, 4, C, 0.1), *made[5:])
    tree = Intervals(made, 0.01).tree(0, 9)
    assert tree == (JEQ, 4, C, (JSET, FULL - 0x8 - 0x4 - 0x2, B, A))


def test_a_limited_tree_is_no_higher_and_never_cheaper() -> None:
    for seed in range(30):
        made, _ = drawn(Random(seed), 10)
        heights = {A: 2, B: 0, C: 1}
        table = Intervals(made, 0.02, heights)
        last = INFINITE
        for limit in range(1, 12):
            cost = table.limited(0, 9, limit)
            assert cost <= last
            last = cost
            if cost < INFINITE:
                tree = table.tree(0, 9, limit)
                assert settled(tree, made)
                assert deepest(tree, heights) <= limit
                points = [(run[0], run[3]) for run in made]
                assert weight(tree, points) + 0.02 * size(tree) == pytest.approx(cost)
        assert last == table.best
        assert deepest(table.tree(0, 9), heights) == table.height(0, 9)


def test_a_bound_hides_only_what_is_too_dear() -> None:
    for seed in range(60):
        made, _ = drawn(Random(seed), 10)
        heights = {A: 2, B: 0, C: 1}
        exact = [Intervals(made, 0.02, heights).limited(0, 9, limit) for limit in range(3, 9)]
        for part in (0.5, 0.99, 1.0, 1.01):
            table = Intervals(made, 0.02, heights)
            for limit, cost in enumerate(exact, 3):
                if cost < INFINITE:
                    bound = part * cost + 1e-6
                    found = table.limited(0, 9, limit, bound)
                    assert found == cost if cost < bound else found >= bound
                    assert table.limited(0, 9, limit) == cost  # asked again without a bound


def deepest(tree: Tree, heights: dict[int, int]) -> int:
    return heights[tree] if isinstance(tree, int) else 1 + max(deepest(tree[2], heights), deepest(tree[3], heights))


def test_a_table_like_another_is_the_same_table() -> None:
    for seed in range(30):
        random = Random(seed)
        made, _ = drawn(random, 12)
        at = random.randrange(1, 11)
        fewer = runs.joined((*made[:at], *made[at + 1 :]))
        heights = {A: 1, B: 0, C: 3}
        fresh, taken = (Intervals(fewer, 0.03, heights, like) for like in (None, Intervals(made, 0.03, heights)))
        assert taken.cost == [pytest.approx(row) for row in fresh.cost]
        assert taken.best == pytest.approx(fresh.best)
        assert taken.tree(0, len(fewer) - 1) == fresh.tree(0, len(fewer) - 1)


@pytest.mark.parametrize(
    ("weights", "cut"),
    [([1, 1, 1, 1], 2), ([9, 1, 1, 1], 1), ([1, 1, 1, 9], 3), ([1, 2, 1, 0], 2), ([0, 0, 0, 0], 3), ([3, 1, 1, 1], 1)],
)
def test_the_middle_halves_the_weight(weights: list[float], cut: int) -> None:
    total = [0.0]
    for each in weights:
        total.append(total[-1] + each)
    assert middle(total, 0, len(weights) - 1) == cut


# fast and full


@pytest.mark.parametrize("count", [2, 5, 12, 13, 30, 60])
def test_fast_trees_decide_every_run(count: int) -> None:
    for seed in range(15):
        made, points = drawn(Random(seed), count)
        assert settled(fast.tree(made, 0.03), made)
        tree = fast.by_number(made, points, 0.03)
        assert settled(tree, made)
        assert height(tree) <= 2 * count.bit_length() + 4


def test_blocks_are_cut_where_that_is_best(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two tables that overlap know the cost of each cut around the middle; none of them is better.
    monkeypatch.setattr(fast, "BLOCK", 8)
    for seed in range(20):
        made, points = drawn(Random(seed), 14, targets=5)
        tree = fast._blocks(made, 0.03)
        assert settled(tree, made)
        assert not isinstance(tree, int)
        total = [0.0]
        for run in made:
            total.append(total[-1] + run[3] + 0.03 * fast.SHARE)
        near = middle(total, 0, 13)
        found = weight(tree, list(points)) + 0.03 * size(tree)
        for cut in range(max(near - fast.NEAR, 1), min(near + fast.NEAR, 13) + 1):
            low, high = Intervals(made[:cut], 0.03), Intervals(made[cut:], 0.03)
            whole = sum(run[3] for run in made)
            assert found <= 0.03 + whole + low.best + high.best + 1e-9


def test_a_cube_comes_first_where_it_decides_much() -> None:
    made = ((0, 31, A, 0.5), (32, 63, B, 0.1), (64, 95, A, 0.3), (96, FULL, B, 0.1))
    points = ((3, 0.5), (40, 0.1), (70, 0.3), (100, 0.1))
    tree = fast.by_number(made, points, 0.03)
    assert tree == (JSET, ~0x5F & FULL, B, A)
    # ... and not where it decides little
    made = ((0, 31, A, 0.05), (32, 63, B, 0.5), (64, 95, A, 0.05), (96, 127, C, 0.2), (128, FULL, B, 0.2))
    points = ((3, 0.05), (40, 0.5), (70, 0.05), (100, 0.2), (200, 0.2))
    tree = fast.by_number(made, points, 0.03)
    assert settled(tree, made)
    assert not isinstance(tree, int)
    assert tree[0] == JGE


def test_a_single_number_among_others_wants_one_test() -> None:
    made = ((0, 102, A, 0.6), (103, 103, B, 0.01), (104, FULL, A, 0.2))
    assert fast.by_number(made, ((3, 0.6), (103, 0.01), (300, 0.2)), 0.03) == (JEQ, 103, B, A)


def test_many_values_of_one_background_end_in_chains() -> None:
    made = tuple(
        run for value in range(0, 400, 10) for run in ((value, value + 8, A, 0.01), (value + 9, value + 9, B, 0.0))
    )
    tree = fast.tree((*made, (400, FULL, A, 0.5)), 0.03)
    codes = []
    todo: list[Tree] = [tree]
    while todo:
        one = todo.pop()
        if not isinstance(one, int):
            codes.append(one[0])
            todo += one[2:]
    assert codes.count(JEQ) >= 38
    assert codes.count(JGE) < 20  # one for two values and more


@pytest.mark.parametrize("count", [3, 8, 20, 40])
def test_full_is_as_high_as_allowed_and_not_worse_than_the_intervals(count: int) -> None:
    for seed in range(5):
        made, points = drawn(Random(seed), count)
        heights = dict.fromkeys((A, B, C), 1)
        limit = 2 * count.bit_length() + 4
        found = Search(0.03, heights, 10**9).tree(made, points, limit)
        assert found is not None
        cost, tree = found
        assert settled(tree, made)
        assert height(tree) + 1 <= limit
        assert cost == pytest.approx(weight(tree, list(points)) + 0.03 * size(tree))
        assert cost <= Intervals(made, 0.03).best + 1e-9


def test_an_impossible_height_is_no_tree() -> None:
    made, points = drawn(Random(1), 30)
    assert Search(0.03, {A: 1, B: 1, C: 1}, 10**9).tree(made, points, 3) is None


def test_without_effort_a_tree_is_found_all_the_same() -> None:
    made, points = drawn(Random(2), 60)
    found = Search(0.03, {A: 1, B: 1, C: 1}, 0).tree(made, points, 30)
    assert found is not None
    assert settled(found[1], made)


@pytest.mark.parametrize("known", [False, True])
def test_the_settings_plan_trees(known: bool) -> None:
    for count in (1, 2, 7, 70):
        made, points = drawn(Random(count), count)
        for setting in (fast.Fast(0.03), Full(0.03, 1, known=known)):
            assert settled(setting.planner(made), made)
            assert settled(setting.numbers(made, points, dict.fromkeys((A, B, C), 2)), made)


def test_full_goes_higher_only_where_that_pays() -> None:
    # One value has nearly all the weight, and a chain of targets that only jge can tell apart hides it.
    light = [(low, low + 9, 10 + low % 3 + low // 10, 0.001) for low in range(0, 160, 10)]
    heavy = [*light[:7], (70, 79, 99, 5.0), *light[8:]]
    heights = {run[2]: 1 for run in (*light, *heavy)}
    setting = Full(0.03, 1, known=False)
    for made, allowed in ((light, 4), (heavy, 6)):
        joint = runs.joined(made)
        points = tuple((run[0], run[3]) for run in joint)
        tree = setting.numbers(joint, points, heights)
        assert settled(tree, joint)
        assert height(tree) <= allowed
    assert weight(tree, list(points)) < 3 * 5.1  # a balanced tree takes 4 steps to the heavy one
