"""How many calls may pass is the same whether a policy is asked or the program made of it."""

from __future__ import annotations

import pytest

from sysgate.api import Policy
from sysgate.bpf.program import from_bytes
from sysgate.facts import calls
from sysgate.life import passing

ALL = len(set(calls.table("x86_64").values()))

ROWS = [
    ("read: 1", 1),
    ("read: 0", 0),
    ("default: allow", ALL),
    ("default: allow\nmkdir, rmdir: 0 else errno(EACCES)", ALL - 2),
    ("default: log\nread: 0 else kill", ALL - 1),
    ("read: fd == 3 else trap(1)", 1),
    ("read: fd == 3 && fd == 4", 0),
    ("mmap: { prot & PROT_EXEC -> errno(EPERM); flags == 1 -> allow; else trap(2) }", 1),
    ("write: { fd == 1 -> errno(EPERM); else trap(1) }", 0),
]


@pytest.mark.parametrize(("text", "count"), ROWS)
def test_a_policy_and_its_program_let_the_same_number_of_calls_pass(text: str, count: int) -> None:
    policy = Policy.parse(text)
    program = from_bytes(bytes(policy.compile("x86_64")), big_endian=False)
    assert passing.of_programs([program]) == count
    if "fd == 4" not in text:  # what cannot be met is counted where only the policy is known
        assert passing.of_policy(policy) == count


def test_a_stack_lets_pass_what_all_of_it_let_pass() -> None:
    texts = ("default: allow\nmkdir: 0", "default: allow\nrmdir: 0", "default: allow\nmkdir: mode == 0 else kill")
    stack = [from_bytes(bytes(Policy.parse(text).compile("x86_64")), big_endian=False) for text in texts]
    assert passing.of_programs(stack) == ALL - 2
