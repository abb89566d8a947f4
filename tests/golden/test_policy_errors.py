"""Every error message of the policy language, with caret and hint, in a golden file; and no message but those.

policy_errors.txt is made of blocks: `=== ARCH` (the policy is resolved for it; `-`: only read), perhaps a dialect,
the policy, `---`, and what is said. UPDATE_GOLDEN=1 writes what is said now.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from sysgate import Policy, PolicyError
from sysgate.policy import expressions, files, ftrace_file, include, lexer, names, parser, resolve, typed

GOLDEN = Path(__file__).with_name("policy_errors.txt")
MODULES = (parser, expressions, names, include, files, typed, resolve, ftrace_file, lexer)
# Places that no text reaches: files and sizes, which tests/unit/test_policy_limits.py has.
ELSEWHERE = {
    "a text of {len(text) >> 20} million characters is no policy",
    "{_kind(found.st_mode)}, not a file",
    "more than {MOST >> 20} MB are no policy",
    "cannot be read: {reason}",
    "byte 0x{raw[error.start]:02x} is not UTF-8",
    "unknown dialect {dialect!r}",
    "`since` belongs to the outermost file",
    "includes stand more than {MAX_DEPTH} deep",
    "{name} of this file is defined already, in {before.file}:{before.line}",
    "the lets of this file stand for more than {MAX_EXPANDED} constants",
}


def blocks() -> list[tuple[str, str, str]]:
    """(what it is for, policy, what is said) of each block."""
    found = []
    for block in f"\n{GOLDEN.read_text()}".split("\n=== ")[1:]:
        head, _, rest = block.partition("\n")
        policy, _, said = rest.partition("---\n")
        found.append((head, policy, said.rstrip("\n")))
    return found


def said(target: str, text: str) -> str:
    """What reading a policy, and for an architecture resolving it, says; "" if nothing."""
    try:
        arch, _, dialect = target.partition(" ")
        policy = Policy.parse(text.removesuffix("\n"), name="x", dialect=dialect or "sysgate")
        if arch != "-":
            resolve.resolve(policy, arch)
    except PolicyError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("target", "policy", "expected"), blocks())
def test_a_mistake_is_said_like_this(
    target: str, policy: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said(target, policy) == expected
    assert expected, "this policy has no mistake"


def message_lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line, message) of each place in a module that makes an error."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("fail", "expected", "error", "PolicyError", "Missing", "_error") and node.args:
            text = next((arg for arg in node.args if isinstance(arg, (ast.Constant, ast.JoinedStr))), None)
            if text is not None:
                yield node.lineno, ast.unparse(text).lstrip("f")[1:-1]


def test_every_place_that_makes_an_error_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = {str(module.__file__) for module in MODULES}
    reached: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _: object) -> object:
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            reached.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for target, policy, _ in blocks():
            said(target, policy)
    finally:
        sys.settrace(before)
    missing = [
        f"{Path(file).name}:{line}: {message}"
        for file in sorted(files)
        for line, message in message_lines(Path(file))
        if (file, line) not in reached and message not in ELSEWHERE and "{message}" not in message
    ]
    assert not missing, "\n".join(missing)


if os.environ.get("UPDATE_GOLDEN"):
    text = "".join(f"=== {target}\n{policy}---\n{said(target, policy)}\n\n" for target, policy, _ in blocks())
    GOLDEN.write_text(text)
