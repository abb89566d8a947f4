"""Weights: what a profile says, what the recordings say, and what is guessed."""

from __future__ import annotations

import pytest

from sysgate import Policy
from sysgate.compiler import profile
from sysgate.compiler.counts import of_counts
from sysgate.compiler.profile import Weights
from sysgate.errors import CompileError

X86 = ("x86_64",)
FULL = 0xFFFF_FFFF


def test_counts_become_one_recording() -> None:
    weights = of_counts({"read": 3, "write": 1}, X86)
    assert weights.recordings == ((1.0, {"read": 3.0, "write": 1.0}),)
    # what is known outweighs what is guessed
    assert (weights.price, weights.unserved) == (0.0075, 0.1)


def test_a_profile_without_calls_is_none() -> None:
    assert of_counts({"read": 0}, X86) == profile.built_in()


def test_the_weights_are_those_of_the_docs_where_nothing_else_is_said() -> None:
    for weights in (profile.built_in(), profile.in_short()):
        assert (weights.price, weights.unserved) == (0.03, 0.3)
        assert sum(share for share, _ in weights.recordings) == pytest.approx(0.9)  # a tenth is spread evenly


@pytest.mark.parametrize(
    ("argument", "values", "register", "seen"),
    [
        # a constant by its name, a number in any base Python knows, an integer
        ("cmd", {"TCGETS": 1, "0x5413": 2, 7: 1}, 1, [(0x5401, 0.25), (0x5413, 0.5), (7, 0.25)]),
        # a negative number as the register holds it
        ("fd", {"-1": 2}, 0, [((1 << 64) - 1, 0.5)]),
        # any register, named or not
        ("reg2", {"0": 4}, 2, [(0, 1.0)]),
        # more values than calls: these are as many as there are
        ("arg", {"1": 6, "2": 2}, 2, [(1, 0.75), (2, 0.25)]),
    ],
)
def test_values_are_counted_by_argument(argument: str, values: dict, register: int, seen: list) -> None:
    weights = of_counts({"ioctl": {"count": 4, "values": {argument: values}}}, X86)
    assert weights.recordings == ((1.0, {"ioctl": 4.0}),)
    assert weights.seen(("x86_64", "ioctl"), register) == seen
    assert weights.seen(None, register) == ()


def test_an_argument_in_two_registers_is_counted_in_both() -> None:
    # On i386 ftruncate64's length lies in registers 1 (low) and 2 (high).
    weights = of_counts({"ftruncate64": {"count": 1, "values": {"length": {"0x500000003": 1}}}}, ("i386",))
    assert weights.seen(("i386", "ftruncate64"), 1) == [(3, 1.0)]
    assert weights.seen(("i386", "ftruncate64"), 2) == [(5, 1.0)]


def test_a_constant_has_the_value_of_its_architecture() -> None:
    # O_DIRECT is 0x4000 on x86_64, 0x10000 on aarch64
    weights = of_counts({"openat": {"count": 1, "values": {"flags": {"O_DIRECT": 1}}}}, ("x86_64", "aarch64"))
    assert weights.seen(("x86_64", "openat"), 2) == [(0x4000, 1.0)]
    assert weights.seen(("aarch64", "openat"), 2) == [(0x10000, 1.0)]


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([("read", 1)], "by call name"),
        ({1: 1}, "by call name"),
        ({"raed": 1}, "no call of x86_64"),
        ({"read": -1}, "-1"),
        ({"read": "1"}, "'1'"),
        ({"read": True}, "True"),
        ({"read": float("inf")}, "2..64"),
        ({"read": float("nan")}, "nan"),
        ({"read": 5e-324}, "2..-64 to"),  # the search went on forever
        ({"read": 10**5000}, "2..64"),
        ({"read": {"count": 1, "values": {"fd": {3: 10**400}}}}, "fd 3 comes, and says no number"),
        ({"read": {"count": 1, "values": {"reg0": {1 << 64: 1}}}}, "0x10000000000000000, which is neither"),
        ({"read": {"count": 1, "values": {"reg0": {str(-1 << 64): 1}}}}, "nor of 64 bits"),
        ({"read": {"values": {}}}, "count"),
        ({"read": {"count": 1, "vlaues": {}}}, "vlaues"),
        ({"read": {"count": 1, "values": [1]}}, "by argument"),
        ({"read": {"count": 1, "values": {"fd": 3}}}, "by value"),
        ({"read": {"count": 1, "values": {"fd": {"3": "x"}}}}, "'x'"),
        ({"read": {"count": 1, "values": {"fd": {"three": 1}}}}, "'three'"),
        ({"read": {"count": 1, "values": {"df": {"3": 1}}}}, "read does not take"),
        ({"read": {"count": 1, "values": {3: {"3": 1}}}}, "read does not take"),
        ({"read": {"count": 1, "values": {"reg6": {"3": 1}}}}, "read does not take"),
    ],
)
def test_a_profile_that_is_none_is_said(counts: object, said: str) -> None:
    with pytest.raises(CompileError, match=said):
        of_counts(counts, X86)  # type: ignore[arg-type]


@pytest.mark.parametrize("setting", ["fast", "full"])
def test_the_value_that_comes_most_is_found_first(setting: str) -> None:
    values = [3 * value + 1 for value in range(8)]
    policy = Policy.parse(
        f"[x86_64]\nioctl: {{ {'; '.join(f'reg1 == {v} -> errno({v})' for v in values)}; else kill }}"
    )

    def steps(hot: int) -> int:
        counts = {"ioctl": {"count": 100, "values": {"cmd": {hot: 99}}}}
        program = policy.compile("x86_64", profile=counts, optimize=setting)
        return program.decide("ioctl", (0, hot)).steps

    for hot in values:
        # architecture, number, both halves: two instructions each; one test for the value, one return
        assert steps(hot) <= 10
    even = policy.compile("x86_64", profile={"ioctl": 1}, optimize=setting)
    assert max(even.decide("ioctl", (0, hot)).steps for hot in values) > 10


@pytest.mark.parametrize("setting", ["fast", "full"])
def test_a_rare_looking_value_that_comes_often_is_not_put_in_the_chain_of_the_rare(setting: str) -> None:
    values = [(value * 0x9E3779B97F4A7C15) % (1 << 64) for value in range(1, 31)]
    policy = Policy.parse(f"[x86_64]\nioctl: reg2 in {{{', '.join(map(str, values))}}}")
    for hot in values[::10]:
        counts = {"ioctl": {"count": 100, "values": {"reg2": {hot: 97}}}}
        program = policy.compile("x86_64", profile=counts, optimize=setting)
        assert program.decide("ioctl", (0, 0, hot)).steps <= 11


def test_a_count_alone_or_beside_values_counts_the_same() -> None:
    alone = of_counts({"read": 5, "ioctl": 7}, X86)
    beside = of_counts({"read": 5, "ioctl": {"count": 7}}, X86)
    assert alone == beside


# shares: of the intervals that the cuts make, all together 1


def test_what_is_seen_counts_in_its_interval_and_what_may_come_besides_is_guessed() -> None:
    seen = [(5, 0.5), (9, 0.3)]
    low = profile.shares(seen, 4, FULL, (5, 6))  # below 5, 5, above
    assert sum(low) == pytest.approx(1)
    assert low[1] == pytest.approx(0.5 + 0.2 * profile.SEEN_NAMED)
    assert low[2] > 0.3 > low[0]
    high = profile.shares([(5 << 32, 1.0)], 5, FULL, (5, 6))
    assert high[1] == pytest.approx(1 + 0.02 * 0.05 / 2)


def test_a_masked_value_is_counted_by_its_masked_bits() -> None:
    masked = profile.shares([(0x13, 1.0)], 4, 0x10, (0x10,))
    assert masked[1] > 0.9


def test_where_nothing_is_seen_small_and_round_values_are_likelier() -> None:
    # 3 values and what lies around them: half for the values, by the digits it takes to say them
    small, odd, round_ = (profile.shares((), 4, FULL, (3, 4, 0x1235, 0x1236, 0x8000, 0x8001))[at] for at in (1, 3, 5))
    assert small + odd + round_ == pytest.approx(profile.NAMED)
    assert (1 / small, 1 / odd, 1 / round_) == pytest.approx(
        [x * 1 / 0.5 * (1 / 6 + 1 / 17 + 1 / 5) for x in (6, 17, 5)]
    )
    assert profile.shares((), 5, FULL, (1,)) == [profile.ZERO, pytest.approx(1 - profile.ZERO)]
    assert profile.shares((), 4, 3, (1, 2, 3)) == pytest.approx([0.7, 0.1, 0.1, 0.1])


@pytest.mark.parametrize(("value", "digits"), [(0, 0), (1, 1), (3, 2), (0x8000, 1), (0x5401, 15), (0xC00, 2)])
def test_zeros_at_the_end_say_nothing(value: int, digits: int) -> None:
    assert profile.bits(value) == digits


def test_the_recordings_know_how_calls_are_made() -> None:
    weights = profile.in_short()
    known = weights.seen(("x86_64", "write"), 0)
    assert (1, 0.612) in known
    assert sum(share for _, share in known) <= 1
    assert weights.seen(("x86_64", "no_such_call"), 0) == []


# numbers


def test_calls_that_the_bitmap_does_not_serve_count_once_more() -> None:
    weights = Weights(((1.0, {"a": 3, "b": 1}),), 0.03, 0.3)
    table = {"a": 10, "b": 4, "c": 7}
    found = dict(profile.numbers(weights, [table], {10}, set()))
    # of all calls 3/4 and 1/4; b, the only unserved call, has 0.3 more, but for those few that hardly count
    assert found == {4: pytest.approx(0.25 + 0.3, rel=0.01), 10: 0.75}
    assert dict(profile.numbers(weights, [table], {4, 7, 10}, set())) == {4: 0.25, 10: 0.75}


def test_what_is_not_recorded_is_spread_over_all_calls() -> None:
    weights = Weights(((0.9, {"a": 1}),), 0.03, 0.0)
    found = profile.numbers(weights, [{"a": 10, "b": 4, "c": 7, "d": 9}], set(), set())
    assert [number for number, _ in found] == [4, 7, 9, 10]
    assert [weight for _, weight in found] == pytest.approx([0.025, 0.025, 0.025, 0.925])


def test_calls_that_a_policy_lets_pass_are_many_of_all_however_seldom_they_are_recorded() -> None:
    weights = Weights(((1.0, {"a": 99, "b": 1}),), 0.03, 0.0, own=0.1)
    table = {"a": 10, "b": 4, "c": 7}
    few = dict(profile.numbers(weights, [table], set(), {4, 7}))  # two of them
    assert few[4] + few[7] == pytest.approx(0.9)
    assert few[4] - few[7] == pytest.approx(0.01 * (1 - 0.89 / 0.99))
    alone = dict(profile.numbers(weights, [table], {7}, {7}))
    assert alone == {4: pytest.approx(0.001), 7: pytest.approx(0.9), 10: pytest.approx(0.099)}
    # the more there are, the less is asked, but a tenth in any case
    table |= {f"x{n}": 100 + n for n in range(38)}
    many = dict(profile.numbers(weights, [table], set(), {4, 7, *range(100, 138)}))
    assert many[10] == pytest.approx(1 - 1 / 3 - 1.5 / 40)
    usual = dict(profile.numbers(weights, [table], set(), set(table.values())))
    assert usual[10] == pytest.approx(0.99 * 0.9 + 0.1 / 41)
    # nothing passes, or a profile says what is called: nothing is assumed
    assert dict(profile.numbers(weights, [table], set(), set())) == {4: 0.01, 10: 0.99}
    counted = Weights(((1.0, {"a": 99, "b": 1}),), 0.03, 0.0)
    assert dict(profile.numbers(counted, [table], set(), {4, 7})) == {4: 0.01, 10: 0.99}


def test_a_second_abi_hardly_counts() -> None:
    weights = Weights(((1.0, {"a": 1}),), 0.03, 0.0)
    assert profile.numbers(weights, [{"a": 1}, {"a": 0x40000001}], set(), set()) == [(1, 1.0), (0x40000001, 0.01)]


def test_x32_is_known_beside_x86_64_where_it_is_asked_for() -> None:
    first = profile.known_numbers(0xC000003E, second=False)
    both = profile.known_numbers(0xC000003E, second=True)
    assert [name for name, _ in first] == ["x86_64"]
    assert [name for name, _ in both] == ["x86_64", "x32"]
    assert profile.known_numbers(0x12345678, second=True) == ()
