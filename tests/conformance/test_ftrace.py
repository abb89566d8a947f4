"""Filters against what a running 6.18 kernel said of the very same strings."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sysgate.errors import CompileError, PolicyError
from sysgate.policy.ftrace import Filter, to_expr
from sysgate.policy.meaning import holds

Shared = Callable[[str], Path]
UNNAMED = ("", "(0)")  # the kernel gave no reason; then ours is our own
EXCEPTIONS: dict[str, str] = {}  # a filter → why we answer otherwise; there is none


def cases(shared: Shared, kind: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in shared("conformance/ftrace-public.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind and row["filter"] not in EXCEPTIONS]


def refusal(event: str, text: str) -> PolicyError | None:
    try:
        Filter(event, text, arch="x86_64")
    except PolicyError as error:
        return error
    return None


def test_every_filter_is_taken_or_refused_as_the_kernel_did(shared: Shared) -> None:
    rows = cases(shared, "parse")
    assert len(rows) > 1000
    assert [row for row in rows if (refusal(row["event"], row["filter"]) is None) is not row["accept"]] == []


def test_a_refusal_begins_with_the_words_of_the_kernel(shared: Shared) -> None:
    rows = [row for row in cases(shared, "parse") if row["error"] not in UNNAMED]
    assert len(rows) > 300
    for row in rows:
        error = refusal(row["event"], row["filter"])
        assert error is not None
        assert error.message.startswith(row["error"]), row


def test_a_refusal_points_into_the_text(shared: Shared) -> None:
    for row in cases(shared, "parse"):
        error = refusal(row["event"], row["filter"])
        if error is not None:
            assert error.column is not None
            assert 1 <= error.column <= len(row["filter"]) + 1, row


def test_every_call_matches_as_it_did_in_the_kernel(shared: Shared) -> None:
    rows = cases(shared, "match")
    assert len(rows) > 2000
    for row in rows:
        filter = Filter(f"sys_enter_{row['syscall']}", row["filter"], arch="x86_64")
        assert filter.match(row["args"]) is row["match"], row


def test_a_policy_says_of_every_call_what_the_filter_says(shared: Shared) -> None:
    for row in cases(shared, "match"):
        expr = to_expr(Filter(f"sys_enter_{row['syscall']}", row["filter"], arch="x86_64"))
        assert holds(expr, tuple(row["args"])) is row["match"], row


def test_what_a_policy_cannot_ask_is_said_in_words(shared: Shared) -> None:
    unseen = 0
    for row in cases(shared, "parse"):
        if not row["accept"]:
            continue
        try:
            to_expr(Filter(row["event"], row["filter"], arch="x86_64"))
        except CompileError:
            unseen += 1
    assert unseen > 5


def test_the_committed_formats_are_those_of_the_tables(shared: Shared) -> None:
    path = Path(__file__).resolve().parents[2] / "tools/make_ftrace_formats.py"
    spec = importlib.util.spec_from_file_location("make_ftrace_formats", path)
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    assert make.table(make.from_table(shared("facts/ftrace-formats.jsonl"))) == make.TARGET.read_text()
