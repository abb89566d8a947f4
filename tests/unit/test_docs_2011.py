"""docs/2011.md names tests; they exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/2011.md").read_text()


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`(tests/[\w./]+)?(::\w+)?`", PAGE)
    file = ""
    found = 0
    for path, test in named:
        file = path or file
        if not path and not test:
            continue
        found += 1
        assert (ROOT / file).exists(), file
        assert not test or f"def {test[2:]}(" in (ROOT / file).read_text(), f"{file}{test}"
    assert found > 15


def test_the_page_has_a_row_for_each_of_the_seven_patches() -> None:
    assert re.findall(r"^\| (\d)\. ", PAGE, re.MULTILINE) == list("1234567")
