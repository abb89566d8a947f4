"""docs/language.md: each policy on the page gives the answers beside it, by its meaning and as a program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sysgate import Policy, PolicyError
from sysgate.action import Action
from sysgate.analyse.answers import action_text
from sysgate.policy import call_text

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
