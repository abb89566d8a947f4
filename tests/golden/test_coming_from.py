"""docs/coming-from.md: what stands in the right-hand columns is really sysgate's language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sysgate import Policy

PAGE = Path(__file__).resolve().parents[2] / "docs" / "coming-from.md"


def snippets() -> list[str]:
    found = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]
        if len(cells) == 4 and line.startswith("| "):
            quoted = [text.replace("\\|", "|") for text in re.findall(r"`([^`]+)`", cells[2])]
            found += [text for text in quoted if ": " in text and "…" not in text and not text.startswith("sysgate")]
    return found


@pytest.mark.parametrize("text", snippets())
def test_the_page_speaks_the_language(text: str) -> None:
    if re.match(r"\d", text):
        text = f"[x86_64]\n{text}"
    Policy.parse(text).compile("x86_64", optimize="fast")


def test_the_page_has_snippets() -> None:
    assert len(snippets()) > 40
