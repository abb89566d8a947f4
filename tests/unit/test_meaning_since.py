"""DESIGN's `since`: what a policy answers to calls that came after the kernel it was written for."""

from __future__ import annotations

import pytest
from deciding import answer

from sysgate import Policy, PolicyError
from sysgate.facts import ages, calls
from sysgate.facts.arches import ARCHES, arch
from sysgate.facts.constants import value

KILL = "kill_process"


@pytest.mark.parametrize(
    ("text", "call", "expected"),
    [
        ("since: 5.4", "openat2", "errno 38"),  # 5.6
        ("since: 5.4", "clone3", KILL),  # 5.3
        ("since: 5.6", "openat2", KILL),
        ("since: 5.4", "read", KILL),
        ("since: 5.4\ndefault: allow", "read", "allow"),
        ("since: 5.4\ndefault: allow", "openat2", "errno 38"),
        ("since: 5.4\nopenat2: 1", "openat2", "allow"),  # a rule for it counts
        ("since: 5.4\n@file-system: 1", "openat2", "allow"),  # also a group's, at the table's version
        ("since: 5.4\n[x86_64]\n437: 0 else errno(5)", "openat2", "errno 5"),
        ("since: 5.4", 3000, "errno 38"),  # a number no table has
        ("since: 5.4", 0x3FFF_FFFF, "errno 38"),
        ("since: 5.4", 0xFFFF_FFFF, "errno 38"),  # negative ones too
        ("since: 5.4", 0x8000_0000, "errno 38"),
        ("since: 5.4\ndefault: errno(EPERM)", 0x4000_0000, "errno 1"),  # the x32 row goes first
        ("since: 5.4\n[x86_64]\n3000..3001: 1", 3001, "allow"),
        ("since: 2.6\ndefault: allow", "afs_syscall", "allow"),  # age unknown: old
        ("since: 2.6", "inotify_add_watch", "errno 38"),  # 2.6.13 came after 2.6
        ("since: 2.6.13", "inotify_add_watch", KILL),
        ("since: 2.6.20", "inotify_add_watch", KILL),
        ("since: 2.6.0\ndefault: allow", "exit_group", "allow"),
        ("since: 6.8", "futex_wait", KILL),  # 6.7
        ("since: 6.12.7", "futex_wait", KILL),
        ("since: 6.12", "getxattrat", "errno 38"),  # 6.13
        ("since: 100.0", 3000, "errno 38"),
        ("since: 5.4\ndefault: errno(EPERM)\n[x86_64]\ndefault: allow", "openat2", "errno 38"),
    ],
)
def test_later_calls_and_unknown_numbers_answer_enosys(text: str, call: str | int, expected: str) -> None:
    assert answer(text, call) == expected


@pytest.mark.parametrize("name", ARCHES)
def test_since_is_what_the_tables_say_on_every_architecture(name: str) -> None:
    policy = Policy.parse("since: 5.4\ndefault: errno(EPERM)\n")
    program = policy.compile(name, optimize="fast")
    enosys = value("ENOSYS", name)
    known = arch(name)
    assert known is not None
    for call, number in calls.table(name).items():
        came = ages.since(call)
        expected = enosys if came and came > (5, 4) else 1
        assert program.decide(number, arch=name).data == expected, call
    numbers = set(calls.table(name).values())
    for number in range(known.nr_base | known.nr_flag, (known.nr_base | known.nr_flag) + 1200):
        if number not in numbers:
            assert program.decide(number, arch=name).data == enosys, number


@pytest.mark.parametrize("written", ["6", "6.", ".6", "v6.12", "6..12", "6.x", "", "1.2.3.4.5", "0x6.1"])
def test_since_wants_a_kernel_release(written: str) -> None:
    with pytest.raises(PolicyError, match="expected a kernel release, like"):
        Policy.parse(f"since: {written}\n")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("default: kill\nsince: 5.4  # lts\n", "default: kill"),
        ("since: 5.4\ndefault: errno(EPERM)\n[x86_64]\ndefault: allow\n", "default: allow"),
        ("since: 5.4\n", None),  # unwritten
    ],
)
def test_the_rule_of_a_later_call_is_the_default_line(text: str, line: str | None) -> None:
    policy = Policy.parse(text, name="a.policy")
    for decider in (policy, policy.compile("x86_64")):
        rule = decider.decide("openat2", arch="x86_64").rule
        assert (rule and rule.text) == line
