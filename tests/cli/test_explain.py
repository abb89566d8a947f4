"""`sysgate explain`, as a person types it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sysgate import Policy, PolicyError
from sysgate.policy import call_text

POLICY = """\
default: errno(EPERM)
openat: (flags & O_ACCMODE) == O_RDONLY else errno(EROFS)
read: 1
kill: pid == 0 && sig in {SIGTERM, SIGKILL}
write: { fd == 1 -> allow; fd == 2 -> log; else kill }
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    made = tmp_path / "a.policy"
    made.write_text(POLICY)
    return str(made)


def explained(sysgate, file: str, *calls: str) -> list[dict[str, Any]]:
    done = sysgate("explain", "--json", file, *calls)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


# (call, action, data, the line of its rule)
ANSWERS = [
    ("openat(AT_FDCWD, _, O_RDWR|O_CREAT)", "errno", 30, 2),
    ('openat(AT_FDCWD, "/etc/passwd, it(s", O_RDONLY)', "allow", 0, 2),
    ("openat(_, _, ~O_ACCMODE)", "allow", 0, 2),
    ("read", "allow", 0, 3),
    ("sys_read()", "allow", 0, 3),
    ("kill(0, SIGKILL)", "allow", 0, 4),
    ("kill(-1, SIGTERM)", "errno", 1, 4),
    ("kill(0x100000000, SIGTERM)", "allow", 0, 4),  # pid_t has 32 bits
    ("write(3, NULL, 5)", "kill_process", 0, 5),
    ("mkdir", "errno", 1, 1),
    ("83", "errno", 1, 1),
    ("syscall_83(1)", "errno", 1, 1),
    ("-1", "errno", 1, 1),
    ("i386:read(0)", "allow", 0, 3),
    ("s390x:mkdir()", "errno", 1, 1),
]


@pytest.mark.parametrize(("call", "action", "data", "line"), ANSWERS)
def test_a_call_is_answered_with_its_rule(sysgate, file: str, call: str, action: str, data: int, line: int) -> None:
    (told,) = explained(sysgate, file, "--arch=x86_64", call)
    assert (told["call"], told["action"], told["data"], told["rule"]["line"]) == (call, action, data, line)
    assert set(told) == {"call", "arch", "nr", "action", "data", "steps", "cached", "rule"}


def test_what_costs_nothing_is_said(sysgate, file: str) -> None:
    read, openat = explained(sysgate, file, "read", "openat(0, 0, O_RDWR)")
    assert read["cached"] is True
    assert openat["cached"] is False
    assert openat["steps"] > 3


def test_an_answer_that_depends_lists_its_cases_first_match(sysgate, file: str) -> None:
    (told,) = explained(sysgate, file, "write(_, NULL)")
    assert told["action"] == "depends"
    assert told["when"][-1]["condition"] == "1"
    assert {case["rule"]["line"] for case in told["when"]} == {5}
    *first, last = [(case["condition"], case["action"].removesuffix("_process")) for case in told["when"]]
    cases = "; ".join(f"{condition} -> {action}" for condition, action in first)
    again = Policy.parse(f"default: errno(EPERM)\nwrite: {{ {cases}; else {last[1]} }}").compile("x86_64")
    for fd in (0, 1, 2, 3, -1):
        assert again.decide("write", (fd,)).action == Policy.parse(POLICY).decide("write", (fd,), arch="x86_64").action


def test_each_case_says_what_it_costs_at_least_and_at_most(sysgate, file: str) -> None:
    (told,) = explained(sysgate, file, "--arch=x86_64", "kill")
    program = Policy.load(file).compile("x86_64")
    steps = {"allow": set(), "errno": set()}
    for pid, signal in ((0, 9), (0, 15), (1, 9), (1, 15), (0, 0), (0, 16), (0, 1), (-1, -1)):
        taken = program.decide("kill", (pid, signal))
        steps[taken.action].add(taken.steps)
    allowed, refused = told["when"]
    assert (allowed["action"], refused["action"]) == ("allow", "errno")
    assert (allowed["least"], allowed["most"]) == (min(steps["allow"]), max(steps["allow"]))
    assert (refused["least"], refused["most"]) == (min(steps["errno"]), max(steps["errno"]))
    every = steps["allow"] | steps["errno"]
    assert told["steps"] is None
    assert (told["least"], told["most"]) == (min(every), max(every))


def test_one_answer_may_have_more_than_one_cost(sysgate, tmp_path: Path) -> None:
    made = tmp_path / "a.policy"
    made.write_text("default: kill\nread: fd == 0 || count < 10\n")
    program = Policy.load(made).compile("x86_64")
    varies = 0
    # Whichever argument the program asks for first, the other is not always asked for.
    for call, other in (("read(_, _, 5)", (1, 0, 5)), ("read(0)", (0, 0, 50))):
        costs = {program.decide("read", (0, 0, 5)).steps, program.decide("read", other).steps}
        (told,) = explained(sysgate, str(made), "--arch=x86_64", call)
        assert told["action"] == "allow"
        if len(costs) == 1:
            assert told["steps"] in costs
            assert "least" not in told
            continue
        varies += 1
        assert (told["steps"], told["least"], told["most"]) == (None, min(costs), max(costs))
        shown = sysgate("explain", "--arch=x86_64", str(made), call).stdout
        assert f"{min(costs)} to {max(costs)} instructions of the program; where what is any value is 0:" in shown
    assert varies == 1


def test_people_see_rule_cost_and_way(sysgate, file: str) -> None:
    done = sysgate("explain", file, "openat(_, _, O_RDWR)", "read", "openat")
    assert done.returncode == 0
    assert f"errno(EROFS)    {file}:2: openat:" in done.stdout
    assert "no cost" in done.stdout
    assert "depends on its arguments" in done.stdout
    assert re.search(r"otherwise → errno\(EROFS\), \d+ instructions    ", done.stdout)


def test_what_is_asked_cannot_act_on_the_terminal(sysgate, tmp_path: Path) -> None:
    made = tmp_path / "kill.policy"
    made.write_text("")
    done = sysgate("explain", "--arch=x86_64", str(made), 'openat(_, "\x1b[2J")')
    assert done.stdout.startswith('openat(_, "\\x1b[2J") on x86_64, number 257\n  kill    no rule\n  1 instruction of ')


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("opnat(1)", "did you mean openat?"),
        ("openat(AT_FDCWD, _, O_RDNOLY)", "did you mean O_RDONLY?"),
        ("read(1", "not closed"),
        ("read(1, 2, 3, 4)", "at most 3 arguments"),
        ("read(0x10000000000000000)", "64 bits"),
        ("99999999999", "32 bits"),
        (f"read({'(' * 5000}1{')' * 5000})", "more than 100"),
        ("", "no call"),
    ],
)
def test_a_call_that_is_none_is_said_with_a_caret(sysgate, file: str, call: str, said: str) -> None:
    done = sysgate("explain", file, call)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_answer_of_since_is_said_to_be_one(sysgate, tmp_path: Path) -> None:
    made = tmp_path / "old.policy"
    made.write_text("since: 5.4\ndefault: errno(EPERM)\n")
    done = sysgate("explain", "--arch=x86_64", str(made), "openat2", "mkdir")
    assert "errno(ENOSYS)    no rule, and it came after the kernel of `since`" in done.stdout
    assert f"errno(EPERM)    {made}:2: default: errno(EPERM)" in done.stdout
    made.write_text("since: 5.4\ndefault: errno(ENOSYS)\n")
    done = sysgate("explain", "--arch=x86_64", str(made), "mkdir")
    assert f"errno(ENOSYS)    {made}:2: default: errno(ENOSYS)" in done.stdout


@pytest.mark.parametrize(
    ("call", "column", "width"),
    [
        ("read(1|)", 8, 1),
        ("read(|1)", 6, 1),
        ("read(1||2)", 8, 1),
        ("openat(pen)", 8, 3),  # not the one in the call's name
        ("read(1, 1x, 1)", 9, 2),
        ("read(1, (2|FOO))", 12, 3),
        ("i386: raed(1)", 7, 4),
        ("read(1, 2, 3, 4, 5)", 15, 4),
        ("read(1, _, 0x10000000000000000)", 12, 19),
        ("read(1, 2", 5, 1),
        ("read(1))", 7, 1),
        ('read(1, "a)', 9, 2),
        ("read(-)", 7, 1),
        ("read(htons(x))", 12, 1),
        ("read(1) 2", 5, 1),
    ],
)
def test_the_caret_stands_under_the_mistake(call: str, column: int, width: int) -> None:
    with pytest.raises(PolicyError) as caught:
        call_text.read(call, "x86_64")
    assert (caught.value.column, caught.value.width) == (column, width)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("read( 1 , _ , (2|(4)) );", (1, None, 6)),
        ("read(1|2|(4|8)|-0)", (15,)),
        ("read(-1)", ((1 << 64) - 1,)),
        ('read(1, "a, (b\\" c", 3)', (1, None, 3)),
        ("read(, , 3)", (None, None, 3)),
        ("read ()", ()),
        ("i386 : read(-1)", ((1 << 32) - 1,)),
        ("socket(~(~AF_INET))", (2,)),
    ],
)
def test_arguments_are_read(call: str, words: tuple[int | None, ...]) -> None:
    found = call_text.read(call, "x86_64").words
    assert found == words + (None,) * (6 - len(words))
