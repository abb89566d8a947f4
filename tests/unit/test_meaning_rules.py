"""DESIGN's table of meaning, the rows about rules: what a call gets from those that speak of it, and without any."""

from __future__ import annotations

import pytest
from deciding import answer

KILL = "kill_process"


@pytest.mark.parametrize(
    ("default", "refusal"),
    [
        ("", KILL),  # unsaid: kill, as in 2011
        ("default: kill", KILL),
        ("default: kill_process", KILL),  # reads as kill
        ("default: kill_thread", "kill_thread"),
        ("default: errno(EPERM)", "errno 1"),
        ("default: trap", "trap 0"),
        ("default: trap(7)", "trap 7"),
        # What lets calls through, or needs someone to answer, is no refusal.
        ("default: allow", KILL),
        ("default: log", KILL),
        ("default: notify", KILL),
        ("default: trace", KILL),
        ("default: trace(3)", KILL),
    ],
)
def test_a_rule_that_does_not_hold_gives_the_refusal(default: str, refusal: str) -> None:
    text = f"{default}\nread: fd == 1\nwrite: 0\n"
    assert answer(text, "read", 1) == "allow"
    assert answer(text, "read", 2) == refusal
    assert answer(text, "write", 1) == refusal


@pytest.mark.parametrize(
    ("rule", "args", "expected"),
    [
        ("read: fd == 1", (1,), "allow"),
        ("read: fd == 1", (2,), "errno 13"),  # deny
        ("read: fd == 1 else errno(EIO)", (2,), "errno 5"),
        ("read: fd == 1 else allow", (2,), "allow"),
        ("read: fd == 1 else log", (2,), "log"),
        ("read: 1", (2,), "allow"),
        ("read: 1 else kill", (2,), "allow"),
        ("read: 0", (2,), "errno 13"),
        ("read: 0 else notify", (2,), "notify"),
        ("read: 0 else trace(0xffff)", (2,), "trace 65535"),
        ("read: 0 else trap", (2,), "trap 0"),
        ("read: 0 else errno(0)", (2,), "errno 0"),
        ("read: 0 else errno(4095)", (2,), "errno 4095"),
        ("read: 0 else kill_process", (2,), KILL),
        ("read: 0 else kill_thread", (2,), "kill_thread"),
    ],
)
def test_a_rule_allows_where_it_holds_else_its_else_else_deny(rule: str, args: tuple[int, ...], expected: str) -> None:
    assert answer(f"deny: errno(EACCES)\ndefault: errno(EPERM)\n{rule}\n", "read", *args) == expected


@pytest.mark.parametrize(
    ("block", "fd", "expected"),
    [
        ("{ fd == 1 -> log; fd == 2 -> allow; else trap(2) }", 1, "log"),
        ("{ fd == 1 -> log; fd == 2 -> allow; else trap(2) }", 2, "allow"),
        ("{ fd == 1 -> log; fd == 2 -> allow; else trap(2) }", 3, "trap 2"),
        ("{ fd == 1 -> log; fd == 1 -> kill }", 1, "log"),  # the first that holds, not the strictest
        ("{ fd == 1 -> kill; 1 -> allow }", 1, KILL),
        ("{ fd == 1 -> kill; 1 -> allow }", 0, "allow"),
        ("{ fd == 1 -> log }", 2, "errno 13"),  # no else: deny
        ("{ fd == 1 -> log; }", 2, "errno 13"),
        ("{ fd == 1 -> log; else allow; }", 2, "allow"),
        ("{\n fd == 1\n  ->\n log; # one\n\n else\n allow\n}", 1, "log"),  # braces may span lines
        ("{ 0 -> allow }", 2, "errno 13"),
    ],
)
def test_a_block_answers_by_its_first_case_that_holds(block: str, fd: int, expected: str) -> None:
    assert answer(f"deny: errno(EACCES)\nread: {block}\n", "read", fd) == expected


STRICTEST_FIRST = (
    "kill",
    "kill_thread",
    "trap(1)",
    "errno(EPERM)",
    "notify",
    "trace(1)",
    "log",
    "allow",
)
SHOWN = dict(
    zip(STRICTEST_FIRST, (KILL, "kill_thread", "trap 1", "errno 1", "notify", "trace 1", "log", "allow"), strict=True)
)


@pytest.mark.parametrize("stricter", range(len(STRICTEST_FIRST) - 1))
@pytest.mark.parametrize("order", [1, -1])
def test_of_several_rules_the_most_restrictive_answer_wins(stricter: int, order: int) -> None:
    two = STRICTEST_FIRST[stricter : stricter + 2]
    rules = "\n".join(f"read: 0 else {action}" for action in two[::order])
    assert answer(rules, "read") == SHOWN[two[0]]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("read: 0 else errno(EPERM)\nread: 0 else errno(EACCES)", "errno 13"),  # of equals the later rule's data
        ("read: 0 else errno(EACCES)\nread: 0 else errno(EPERM)", "errno 1"),
        ("read: 0 else trap(1)\nread: 0 else trap(2)", "trap 2"),
        ("read: 0 else trace(2)\nread: 0 else trace(1)", "trace 1"),
        ("@basic-io: 1\nread: 0 else errno(EPERM)", "errno 1"),  # a member's own rule narrows its group
        ("read: 0 else errno(EPERM)\n@basic-io: 1", "errno 1"),  # ... and nothing widens it
        ("[x86_64]\n0: 1\n[all]\nread: fd == 9", KILL),  # by name and by number
        ("[x86_64]\n0: 0 else errno(1)\n[all]\nread: 0 else errno(2)", "errno 2"),
        ("[x86_64]\n0..5: 0 else errno(7)\nread: 1", "errno 7"),
        ("sys_read: 1\nread: 0 else log", "log"),  # one call by two names
        ("read: fd == 1\nread: fd == 0", KILL),  # every rule is asked
    ],
)
def test_every_rule_for_a_call_is_asked(rules: str, expected: str) -> None:
    assert answer(rules, "read", 1) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", KILL),
        ("read: 1", KILL),
        ("default: allow", "allow"),
        ("default: log", "log"),
        ("default: notify", "notify"),
        ("default: trace(9)", "trace 9"),
        ("default: errno(ENOSYS)", "errno 38"),
        ("deny: errno(EPERM)", KILL),  # deny is for calls that have a rule
    ],
)
def test_a_call_without_a_rule_gets_the_default(text: str, expected: str) -> None:
    assert answer(text, "write") == expected
    assert answer(text, 3000) == expected
    assert answer(text, 0xFFFF_FFFF) == expected  # negative numbers are unknown ones like others


@pytest.mark.parametrize(
    ("expression", "holding", "failing"),
    [
        ("!fd == 1", (0, 2), (1,)),  # `!` takes the next test, as ftrace has it
        ("!fd == 1 && count == 2", (0,), (1,)),
        ("!(fd == 1 || fd == 2)", (0, 3), (1, 2)),
        ("!!fd == 1", (1,), (0,)),
        ("!fd & 1", (0, 2), (1, 3)),
        ("!0", (0,), ()),
        ("!1 || fd == 3", (3,), (1,)),
        ("fd == 1 || fd == 2 && count == 9", (1,), (2,)),  # && binds tighter
        ("(fd == 1 || fd == 2) && count == 2", (1, 2), (3,)),
        ("fd & 3", (1, 2, 3, 5), (0, 4)),  # a bit is shared
        ("(fd & 3)", (1, 2), (0, 4)),  # a parenthesised test
        ("(fd & 3) == 1", (1, 5), (2, 3)),  # a mask
        ("(fd & 3) in {1, 2}", (1, 6), (0, 3)),
        ("(fd & 2|1) == 1", (1, 5), (2, 3)),  # inside a mask `|` is the grammar's const
        ("fd == (1|2)", (3,), (1, 2)),
        ("fd & (1|2)", (1, 2), (4,)),
        ("fd in {0..2, 7}", (0, 1, 2, 7), (3, 6, 8)),
        ("fd in {1|2, 8}", (3, 8), (1, 2)),
        ("fd in {(1|2)..5}", (3, 4, 5), (2, 6)),
        ("fd == 010", (8,), (10,)),  # octal by a leading 0
        ("fd == 0x10", (16,), (10,)),
        ("fd == -(-3)", (3,), ()),
        ("fd >= 3 && fd <= 5 && fd != 4", (3, 5), (2, 4, 6)),
        ("fd > 3", (4,), (3,)),
        ("fd < 3", (2,), (3,)),
        ("((((fd == 1))))", (1,), (2,)),
    ],
)
def test_expressions_read_as_the_grammar_has_them(
    expression: str, holding: tuple[int, ...], failing: tuple[int, ...]
) -> None:
    for fd in holding:
        assert answer(f"read: {expression}", "read", fd, 0, 2) == "allow", fd
    for fd in failing:
        assert answer(f"read: {expression}", "read", fd, 0, 2) == KILL, fd


def test_the_line_that_answered_is_named() -> None:
    from sysgate import Policy

    text = (
        "# head\n"
        "default: errno(EPERM)\n"
        "read, write:  fd == 1  # std\n"
        "read: {\n"
        "    fd == 1 -> log;   # yes\n"
        "    1 -> kill\n"
        "}\n"
    )
    policy = Policy.parse(text, name="app.policy")
    for decider in (policy, policy.compile("x86_64")):
        rule = decider.decide("read", (1,), arch="x86_64").rule
        assert (rule.file, rule.line, rule.text) == ("app.policy", 4, "read: { fd == 1 -> log; 1 -> kill }")
        rule = decider.decide("write", (1,), arch="x86_64").rule
        assert (rule.file, rule.line, rule.text) == ("app.policy", 3, "read, write:  fd == 1")
        rule = decider.decide("close", arch="x86_64").rule
        assert (rule.file, rule.line, rule.text) == ("app.policy", 2, "default: errno(EPERM)")
    assert Policy.parse("read: 1").decide("close", arch="x86_64").rule is None
