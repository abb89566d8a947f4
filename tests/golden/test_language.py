"""docs/language.md: each policy on the page gives the answers beside it, by its meaning and as a program."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sysgate import Policy, PolicyError
from sysgate.action import Action
from sysgate.analyse.answers import action_text
from sysgate.call import Call
from sysgate.cli.run import policy_of, quick
from sysgate.policy import call_text, meaning, resolve

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "language.md").read_text()
BLOCK = re.compile(r"^```(policy|answers|mistake)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def rows() -> list[tuple[str, str, str]]:
    """(policy, call, answer) of the page."""
    found, policy = [], ""
    for kind, text in BLOCK.findall(PAGE):
        if kind == "policy":
            policy = text
        elif kind == "answers":
            found += [(policy, *line.split(" → ")) for line in text.splitlines()]
    return found


@pytest.mark.parametrize(("text", "call", "answer"), rows())
def test_the_page_tells_the_truth(text: str, call: str, answer: str) -> None:
    policy = Policy.parse(text)
    asked = call_text.read(call, "x86_64")
    words = [word or 0 for word in asked.words]
    for decider in (policy, policy.compile(asked.arch, optimize="fast")):
        told = decider.decide(asked.nr, words, arch=asked.arch)
        assert action_text(Action(told.action, told.data), asked.arch) == answer


@pytest.mark.parametrize("text", [text for kind, text in BLOCK.findall(PAGE) if kind == "mistake"])
def test_mistakes_are_all_told(text: str) -> None:
    with pytest.raises(PolicyError) as told:
        Policy.parse(text)
    assert len(told.value.errors) == len(text.splitlines())


def test_every_policy_has_answers() -> None:
    kinds = [kind for kind, _ in BLOCK.findall(PAGE) if kind != "mistake"]
    assert kinds == ["policy", "answers"] * (len(kinds) // 2)
    assert len(rows()) > 50


COMMAND_LINES = re.findall(r"^\| `(-p .*?)`, (.*?) \| (.*?) \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("words", "files", "answer"), COMMAND_LINES)
def test_the_rules_of_a_command_line_are_included_by_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, files: str, answer: str
) -> None:
    text = "\n".join(re.findall(r"`(.*?)`", files)) + "\n"
    for name in ("a", "b"):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    read = quick([*shlex.split(words), "true"])
    assert read is not None
    action = meaning.decide(resolve.gate_of(policy_of(read), ["x86_64"]), Call("x86_64", 83, (0,) * 6, 0))[0]
    assert action_text(action, "x86_64") == answer


def test_command_lines_are_on_the_page() -> None:
    assert len(COMMAND_LINES) == 4
