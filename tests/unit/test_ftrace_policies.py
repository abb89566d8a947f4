"""Policies of dialect "ftrace" are values as others are: printed, equal, and joined with any other."""

from __future__ import annotations

import itertools

import pytest

from sysgate import CompileError, Policy

RAW = "default: errno(1)\nread: fd > 2 || !(count & 1)\nopenat: dfd < 0xffffffff && __syscall_nr > 0\nwrite: 1\n"
OTHER_DEFAULT = "default: errno(2)\nread: fd != 7\nmkdir: mode == 0x1ff\nclose: 0\n"
TYPED = "default: errno(3)\ndeny: errno(4)\nread: fd in {3, -1}\nwrite, close: 1\nlet A = 5\n"
AGED = "since: 5.4\ndefault: allow\n[x86_64]\n0..3: reg0 == 3\n"
KILL = "kill_process"
CALLS = [
    (call, words)
    for call in ("read", "write", "openat", "mkdir", "close", "getpid", "openat2")
    for words in itertools.product((0, 3, 7, 0x1_0000_0003, 0xFFFF_FFFF), (0, 0x1FF, 0x1_0000_01FF), (0, 1))
]


def parsed(text: str) -> Policy:
    return Policy.parse(text, name="a.policy", dialect="ftrace" if text in (RAW, OTHER_DEFAULT) else "sysgate")


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations((RAW, OTHER_DEFAULT, TYPED, AGED), 2)))
def test_both_must_allow_whatever_their_dialects(one: str, other: str) -> None:
    first, second = parsed(one), parsed(other)
    both = first & second
    again = Policy.parse(str(both), dialect=both.dialect)
    assert again == both
    assert hash(again) == hash(both)
    program = both.compile("x86_64", optimize="fast")
    for call, words in CALLS:
        answers = [policy.decide(call, words, arch="x86_64") for policy in (first, second)]
        strictest = max(reversed(answers), key=lambda answer: ORDER.index(answer.action))  # of equals the later
        told = both.decide(call, words, arch="x86_64")
        assert (told.action, told.data) == (strictest.action, strictest.data), (call, words)
        for decider in (again, program):
            found = decider.decide(call, words, arch="x86_64")
            assert (found.action, found.data) == (told.action, told.data), (call, words)


ORDER = ["allow", "errno", KILL]


def test_two_that_lines_of_the_dialect_can_say_stay_in_it() -> None:
    one, other = (
        Policy.parse(f"default: errno(1)\n{rule}\n", dialect="ftrace") for rule in ("read: fd > 2", "read: 1")
    )
    both = one & other
    assert both.dialect == "ftrace"
    assert str(both) == "default: errno(1)\nread: fd > 2\nread: 1\n"


@pytest.mark.parametrize("other", ["default: errno(1)\n", "default: kill_thread\n", "default: log\n", "read: 0\n", ""])
@pytest.mark.parametrize("one", ["default: errno(1)\nread: 1\nwrite: fd == 1\nclose: 1\n", "default: allow\nread: 0\n"])
def test_whatever_the_defaults_the_text_reads_back(one: str, other: str) -> None:
    first, second = (Policy.parse(text, dialect="ftrace") for text in (one, other))
    for both in (first & second, second & first):
        assert Policy.parse(str(both), dialect=both.dialect) == both


def test_a_refusal_still_names_the_line_of_the_file() -> None:
    both = parsed(RAW) & parsed(TYPED)
    rule = both.decide("read", (0, 0, 1), arch="x86_64").rule
    assert rule is not None
    assert (rule.file, rule.line, rule.text) == ("a.policy", 3, "read: fd in {3, -1}")
    rule = both.decide("read", (3, 0, 1), arch="x86_64").rule
    assert rule is not None
    assert rule.line == 3
    rule = parsed(RAW).decide("read", (2, 0, 1), arch="x86_64").rule
    assert rule is not None
    assert (rule.line, rule.text) == (2, "read: fd > 2 || !(count & 1)")


def test_what_no_filter_can_see_is_refused_when_they_are_joined() -> None:
    one = Policy.parse('read: comm == "cat"\n', name="a.policy", dialect="ftrace")
    with pytest.raises(CompileError, match="comm is not part of the call"):
        one & Policy.parse("read: 1\n")


def test_an_architecture_that_lacks_an_argument_is_refused_the_call_there() -> None:
    one = Policy.parse("pread64: pos == 1\n", dialect="ftrace")  # split over two registers of a 32-bit ABI
    both = one & Policy.parse("pread64: 1\n[i386]\n")
    assert both.decide("pread64", (0, 0, 0, 1), arch="x86_64").action == "allow"
    assert both.decide("pread64", (0, 0, 0, 1), arch="i386").action == KILL
