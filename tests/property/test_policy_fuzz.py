"""Text of any kind: a policy comes of it, or a PolicyError that shows the place; nothing else, ever."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies import policies
from sysgate import CompileError, Policy, PolicyError
from sysgate.policy import layout
from sysgate.policy.lexer import plain, spans_of, words_of

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").rglob("*.policy")) + sorted((ROOT / "src/sysgate/ready").glob("*.policy"))
WORDS = (
    *"=!<>&|-~(){}[],:;@.#\"'$%*+/?\\^` \t\n\r\0\f\v",
    *("==", "!=", "<=", ">=", "&&", "||", "->", "..", "\r\n", "\ufeff", "é", "\u202e", "\u2028", "\ud7ff"),
    *("read", "fd", "O_RDONLY", "errno(", "kill", "else", "in"),
    *("let", "include", "since", "default", "deny", "all", "not"),
    *("1", "0", "0x", "08", "0777", "18446744073709551616", "0xffffffffffffffff", "6.12", "reg0", "x86_64", "@known"),
)  # fmt: skip


def judged(text: str, dialect: str = "sysgate") -> Policy | None:
    """The policy, or None after a look at its errors."""
    try:
        return Policy.parse(text, name="fuzz", dialect=dialect)
    except PolicyError as error:
        if dialect == "sysgate":
            check_errors(error, text)
        return None


def check_errors(error: PolicyError, text: str) -> None:
    assert error.errors[0].message == error.message
    assert str(error)
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    places = []
    for one in error.errors:
        assert one.message
        if one.file != "fuzz":
            continue
        if one.line is None:
            continue
        assert one.column is not None
        assert one.source == lines[one.line - 1]
        assert 1 <= one.column <= len(one.source) + 1
        assert one.width >= 1
        places.append((one.line, one.column))
    assert places == sorted(places)


def exercise(text: str) -> None:
    policy = judged(text)
    if policy is None:
        return
    assert Policy.parse(str(policy)) == policy
    layout.formatted(text)
    try:
        policy.decide(0, (1, 2, 3), arch="x86_64")
    except CompileError as error:
        if isinstance(error, PolicyError):
            check_errors(error, text)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    exercise(text)
    judged(text, "ftrace")


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=40), st.sampled_from(["", " "]))
def test_any_words_of_the_language(words: list[str], between: str) -> None:
    text = between.join(words)
    exercise(text)
    exercise(f"[x86_64]\nread: {text}")
    judged(text, "ftrace")
    judged(f"read: {text}", "ftrace")


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    """A text with a few pieces cut out, doubled, or put in."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 8))
        kind = draw(st.integers(0, 2))
        if kind == 0:
            text = text[:at] + text[at + length :]
        elif kind == 1:
            text = text[:at] + draw(st.sampled_from(WORDS)) + text[at:]
        else:
            text = text[:at] + text[max(0, at - length) :]
    return text


@settings(max_examples=200, deadline=None)
@given(policies(("x86_64", "i386")).flatmap(mutated))
def test_a_drawn_policy_with_mistakes(text: str) -> None:
    exercise(text)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_with_mistakes(path: Path) -> None:
    original = path.read_text()

    @settings(max_examples=30, deadline=None)
    @given(mutated(original))
    def run(text: str) -> None:
        exercise(text)

    run()


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=20).map("".join) | st.text(max_size=60))
def test_the_fast_reading_of_a_line_finds_the_words_of_the_careful_one(line: str) -> None:
    line = line.replace("\n", " ")
    assert list(words_of(line)) == [line[start:end] for start, end in spans_of(line)]
    assert plain(line) or not line.isascii() or any(ord(char) < 32 or ord(char) == 127 for char in line)
