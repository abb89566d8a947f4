"""What `sysgate fmt` makes of a text: one canonical form, comments kept, nothing changed twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from sysgate import Policy, PolicyError
from sysgate.policy.layout import formatted

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("\n\n", ""),
        ("read:fd==1", "read: fd == 1\n"),
        ("  read , write\t:1   ", "read, write: 1\n"),
        ("read: ((fd==1))", "read: fd == 1\n"),
        ("read: !fd==1", "read: !(fd == 1)\n"),  # printed as it binds
        ("read: !!fd==1", "read: fd == 1\n"),
        ("read: !!!fd==1", "read: !(fd == 1)\n"),
        ("read: ! 0", "read: !0\n"),
        ("read: (fd==1||fd==2)||(fd==3)", "read: fd == 1 || fd == 2 || fd == 3\n"),
        ("read: (fd==1&&fd==2)||fd==3", "read: fd == 1 && fd == 2 || fd == 3\n"),
        ("read: (fd==1||fd==2)&&fd==3", "read: (fd == 1 || fd == 2) && fd == 3\n"),
        ("read: fd&(A|B)", "read: fd & (A | B)\n"),
        ("read: (fd&(A|B))==C", "read: (fd & (A | B)) == C\n"),
        ("read: (fd&A|B)==C", "read: (fd & (A | B)) == C\n"),
        ("read: fd==(1|2)", "read: fd == (1 | 2)\n"),
        ("read: fd==(1)", "read: fd == 1\n"),
        ("read: fd in{1|2,3..4 , -1}", "read: fd in {1 | 2, 3..4, -1}\n"),
        ("read: fd==- 1", "read: fd == -1\n"),
        ("read: fd==~(A|B)", "read: fd == ~(A | B)\n"),
        ("read: fd==-(-3)", "read: fd == 3\n"),
        ("read: fd==~(-3)", "read: fd == ~(-3)\n"),
        ("read: fd==0x1F||fd==0644||fd==31", "read: fd == 0x1F || fd == 0644 || fd == 31\n"),  # numbers stay as spelled
        ("read: 0 else kill_process", "read: 0 else kill\n"),
        ("read: 0 else trap(0)", "read: 0 else trap\n"),
        ("read: 0 else trap( 7 )", "read: 0 else trap(7)\n"),
        ("read: 0 else errno( (EPERM) )", "read: 0 else errno(EPERM)\n"),
        ("read: {fd==1->allow}", "read: fd == 1\n"),
        ("read: {fd==1->allow;else kill;}", "read: fd == 1 else kill\n"),
        ("read: {fd==1->log;}", "read: { fd == 1 -> log }\n"),
        ("read: {\n\nfd==1\n->log\n;\nelse kill\n}", "read: { fd == 1 -> log; else kill }\n"),
        ("sys_read: 1\non_next_syscall : 1", "sys_read: 1\non_next_syscall: 1\n"),
        ("[ amd64,i386 ]\n[all]\n[not arm64]", "[x86_64, i386]\n[all]\n[not aarch64]\n"),
        ("[x86_64]\n0x1 .. 5 , 7:1", "[x86_64]\n0x1..5, 7: 1\n"),
        ("since :6.12\ndefault :kill\ndeny: errno( 1 )", "since: 6.12\ndefault: kill\ndeny: errno(1)\n"),
        ('include   "a.policy"', 'include "a.policy"\n'),  # stays
        ("let A=1|2\nread: fd==A", "let A = 1 | 2\nread: fd == A\n"),  # stays
        ("read: fd in STDIO", "read: fd in STDIO\n"),
        ("@file-system,@aio:1", "@file-system, @aio: 1\n"),
        # blank lines: at most one, none at either end
        ("\n\nread: 1\n\n\n\nwrite: 1\n\n", "read: 1\n\nwrite: 1\n"),
        ("read: 1\r\nwrite: 1\r\n", "read: 1\nwrite: 1\n"),
        ("\ufeffread: 1", "read: 1\n"),
        # comments
        ("# a\n#b\n\n\n  # c  \nread: 1# d", "# a\n#b\n\n# c\nread: 1  # d\n"),
        ("#only", "#only\n"),
        ("read: 1 # \t x\t", "read: 1  # \t x\n"),
        ("let A = {1,\n2} # end", "let A = {1, 2}  # end\n"),
        ("let A = {1 # a\n, # b\n2}", "let A = {\n    # a\n    1,  # b\n    2\n}\n"),
        ("read: {\n# one\nfd==1->allow\n}", "# one\nread: fd == 1\n"),  # no block is left to hold it
        ("read: fd in { 1, # one\n2 }", "# one\nread: fd in {1, 2}\n"),
    ],
)  # fmt: skip
def test_one_canonical_form(text: str, expected: str) -> None:
    assert formatted(text) == expected
    assert formatted(expected) == expected


def test_comments_blocks_and_long_lines() -> None:
    before, after = ((GOLDEN / f"fmt_{name}.policy").read_text() for name in ("before", "after"))
    assert formatted(before) == after
    assert formatted(after) == after
    assert Policy.parse(after) == Policy.parse(before)


def test_mistakes_are_said_and_nothing_is_printed() -> None:
    with pytest.raises(PolicyError) as caught:
        formatted("read: fd = 1\nwrite: 1 1\n", "x.policy")
    assert [(error.file, error.line) for error in caught.value.errors] == [("x.policy", 1), ("x.policy", 2)]


def test_what_names_mean_is_not_asked() -> None:
    assert formatted('include "nowhere.policy"\nfoo: bar == BAZ') == 'include "nowhere.policy"\nfoo: bar == BAZ\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("let A = {0, 1}\nread: fd in A", "read: fd in {0..1}\n".replace("0..1", "0, 1")),
        ("let A = 0x10\nread: fd == A && fd == 0x10000", "read: fd == 16 && fd == 0x10000\n"),
        ("deny: kill\nread: 1\ndefault: log\nsince: 6.1", "since: 6.1\ndefault: log\ndeny: kill\nread: 1\n"),
        ("[x86_64]\nread: 1\n[x86_64, i386]\n[all]\nwrite: 1\n", "[x86_64]\nread: 1\n\n[all]\nwrite: 1\n\n[i386]\n"),
        ("[x86_64]\ndefault: log\nread: 1\ndeny: kill", "[x86_64]\ndefault: log\ndeny: kill\nread: 1\n"),
        ("read: 1\n[i386]\ndeny: kill\n[all]\nwrite: 1", "[i386]\ndeny: kill\n\n[all]\nread: 1\nwrite: 1\n"),
        ("[not i386]\nread: 1", "[not i386]\nread: 1\n"),
        ("[not i386]\nread: 1\n[aarch64]\nwrite: 1", "[not i386]\nread: 1\n\n[aarch64]\nwrite: 1\n"),
        ("on_next_syscall: 1\nread: 1 # x", "read: 1\n"),
    ],
)
def test_str_is_flat(text: str, expected: str) -> None:
    policy = Policy.parse(text)
    assert str(policy) == expected
    assert Policy.parse(expected) == policy


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("read: 1", "  read :1 # x", True),
        ("let A = 2\nread: fd == A", "read: fd == 0x2", True),
        ("read: ((fd == 1))", "read: fd == 1", True),
        ("read: {fd == 1 -> allow}", "read: fd == 1", True),
        ("[amd64]\nread: 1", "[x86_64]\nread: 1", True),
        ("read: 0 else kill_process", "read: 0 else kill", True),
        ("default: kill\nread: 1", "read: 1\ndefault: kill", True),
        ("read: 1", "read: 0", False),
        ("read: 1", "write: 1", False),
        ("read: 1\nwrite: 1", "write: 1\nread: 1", False),  # order tells of equals
        ("read: 1", "read: 1\n[i386]", False),  # another native set
    ],
)
def test_policies_are_equal_when_their_rules_are(one: str, other: str, equal: bool) -> None:
    first, second = Policy.parse(one, name="a"), Policy.parse(other, name="b")
    assert (first == second) is equal
    assert (first != second) is not equal
    if equal:
        assert hash(first) == hash(second)
    assert first != one
