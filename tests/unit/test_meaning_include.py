"""DESIGN's rows about include, `A & B` and the command line's -p and -e."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sysgate import Policy, PolicyError
from sysgate.policy import ast as policy_ast
from sysgate.policy import include, meaning, resolve

KILL = "kill_process"


@pytest.fixture
def policy(tmp_path: Path) -> Callable[..., Policy]:
    """A policy from several files; the first is the outermost."""

    def load(**files: str) -> Policy:
        for name, text in files.items():
            (tmp_path / f"{name}.policy").write_text(text)
        return Policy.load(tmp_path / f"{next(iter(files))}.policy")

    return load


def answer(policy: policy_ast.Policy, call: str | int, *args: int, arch: str = "x86_64") -> str:
    """By the reference, by the program, and by what the flat text says."""
    made = policy if isinstance(policy, Policy) else Policy(*policy._astuple())
    answers = []
    flat = Policy.parse(str(made))
    assert flat == made
    assert not any(line.startswith(("include", "let")) for line in str(made).splitlines())
    for decider in (made, flat, made.compile(arch, optimize="fast")):
        got = decider.decide(call, args, arch=arch)
        answers.append(f"{got.action} {got.data}" if got.action in ("errno", "trap", "trace") else got.action)
    assert len(set(answers)) == 1, answers
    return answers[0]


def test_a_fragments_rules_join(policy: Callable[..., Policy]) -> None:
    p = policy(main='include "base.policy"\ndefault: errno(EPERM)\nwrite: fd == 1\n', base="read: fd == 0\nwrite: 1\n")
    assert answer(p, "read", 0) == "allow"
    assert answer(p, "read", 1) == "errno 1"  # the includer's refusal
    assert answer(p, "write", 2) == "errno 1"  # every rule is asked
    assert answer(p, "close") == "errno 1"


@pytest.mark.parametrize(
    ("main", "base", "expected"),
    [
        ("deny: errno(1)", "read: 0", "errno 1"),  # the includer's deny
        ("deny: errno(1)", "deny: errno(2)\nread: 0", "errno 2"),  # its own
        ("", "deny: errno(2)\nread: 0", "errno 2"),
        ("default: errno(3)", "read: 0", "errno 3"),
        ("[x86_64]\ndeny: errno(1)", "deny: errno(2)\nread: 0", "errno 2"),
        ("[x86_64]\ndeny: errno(1)", "read: 0", "errno 1"),
        ("deny: errno(1)", "[x86_64]\ndeny: errno(2)\n[all]\nread: 0", "errno 2"),
        ("deny: errno(1)", "[aarch64]\ndeny: errno(2)\n[all]\nread: 0", "errno 1"),
        ("deny: errno(1)", "[x86_64, i386]\ndeny: errno(2)\n[all]\nread: 0 else log", "log"),
        ("deny: errno(1)\nread: 1", "deny: errno(2)\nread: 0", "errno 2"),
        ("deny: errno(1)\nread: 0", "deny: errno(2)\nread: 1", "errno 1"),
    ],
)
def test_a_fragments_own_deny_is_for_its_own_rules(
    policy: Callable[..., Policy], main: str, base: str, expected: str
) -> None:
    section, _, rest = main.partition("[")
    p = policy(main=f'{section}\ninclude "base.policy"\n' + (f"[{rest}" if rest else ""), base=base)
    assert answer(p, "read") == expected


def test_a_fragment_in_a_fragment_asks_the_nearest_deny(policy: Callable[..., Policy]) -> None:
    p = policy(main='include "a.policy"\ndeny: errno(1)\n', a='deny: errno(2)\ninclude "b.policy"\n', b="read: 0\n")
    assert answer(p, "read") == "errno 2"
    p = policy(main='include "a.policy"\ndeny: errno(1)\n', a='include "b.policy"\n', b="deny: errno(3)\nread: 0\n")
    assert answer(p, "read") == "errno 3"


def test_a_policy_only_takes_away_whoever_includes_it(policy: Callable[..., Policy]) -> None:
    deny_list = "default: allow\nbpf, ptrace: 0 else errno(EPERM)\nopenat: (flags & O_ACCMODE) == O_RDONLY\n"
    p = policy(main='include "no.policy"\nread, ptrace, openat: 1\n', no=deny_list)
    assert answer(p, "read") == "allow"
    assert answer(p, "close") == KILL  # the includer says nothing of it
    assert answer(p, "ptrace") == "errno 1"
    assert answer(p, "bpf") == KILL  # with rules in one only: the other's no-rule answer as a rule
    assert answer(p, "openat", 0, 0, 0) == "allow"
    assert answer(p, "openat", 0, 0, 1) == KILL  # the refusal of an allow-by-default policy is kill
    p = policy(main='include "no.policy"\ndefault: errno(EACCES)\nread, ptrace: 1\n', no=deny_list)
    assert answer(p, "bpf") == "errno 13"  # of equals the later: the includer's end
    assert answer(p, "openat", 0, 0, 1) == KILL


def test_two_allow_lists_allow_what_both_do(policy: Callable[..., Policy]) -> None:
    p = policy(
        main='include "inner.policy"\ndefault: errno(1)\nread, write: 1\n',
        inner="default: errno(2)\ndeny: errno(3)\nread: fd == 0\nclose: 1\n",
    )
    assert answer(p, "read", 0) == "allow"
    assert answer(p, "read", 1) == "errno 3"
    assert answer(p, "write") == "errno 2"  # the inner default, as a rule
    assert answer(p, "close") == "errno 1"
    assert answer(p, "mmap") == "errno 1"  # in neither: the stricter, of equals the later


def test_lets_of_an_included_file_are_known_after_it_and_outer_ones_not_inside(policy: Callable[..., Policy]) -> None:
    p = policy(main='include "names.policy"\nread: fd in STDIO\n', names="let STDIO = {0, 1}\n")
    assert answer(p, "read", 1) == "allow"
    p = policy(main='include "a.policy"\nread: fd == B\n', a='include "b.policy"\nlet A = B\n', b="let B = 7\n")
    assert answer(p, "read", 7) == "allow"
    with pytest.raises(PolicyError, match="unknown constant A") as caught:
        policy(main='let A = 1\ninclude "a.policy"\n', a="read: fd == A\n")
    assert caught.value.file.endswith("a.policy")
    with pytest.raises(PolicyError, match="A of this file is defined already"):
        policy(main='let A = 1\ninclude "a.policy"\n', a="let A = 1\n")
    with pytest.raises(PolicyError, match="A is defined already"):
        policy(main='include "a.policy"\nlet A = 1\n', a="let A = 1\n")
    with pytest.raises(PolicyError, match="unknown constant A"):
        policy(main='read: fd == A\ninclude "a.policy"\n', a="let A = 1\n")


def test_each_file_counts_once(policy: Callable[..., Policy]) -> None:
    p = policy(
        main='include "a.policy"\ninclude "b.policy"\ninclude "c.policy"\nread: fd == N\n',
        a='include "c.policy"\nwrite: fd == N\n',
        b='include "c.policy"\nwrite: fd == N\n',
        c="let N = 4\nclose: 1\n",
    )
    assert str(p).count("close") == 1
    assert answer(p, "read", 4) == "allow"
    p = policy(main='include "p.policy"\ninclude "p.policy"\n', p="default: allow\nread: 0\n")
    assert len(p.sides) == 2


def test_a_fragment_of_two_policies_counts_in_each(policy: Callable[..., Policy]) -> None:
    p = policy(
        main='include "inner.policy"\ninclude "shared.policy"\n',
        inner='default: kill\ninclude "shared.policy"\n',
        shared="read: 1\n",
    )
    assert answer(p, "read") == "allow"


def test_include_is_relative_to_the_file_that_says_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "deep.policy").write_text('include "../top.policy"\ninclude "near.policy"\n')
    (tmp_path / "sub" / "near.policy").write_text("write: 1\n")
    (tmp_path / "top.policy").write_text("read: 1\n")
    p = Policy.parse('include "sub/deep.policy"\n', name=str(tmp_path / "x.policy"))
    assert answer(p, "read") == "allow"
    assert answer(p, "write") == "allow"


@pytest.mark.parametrize(
    ("files", "message", "line"),
    [
        ({"main": 'include "main.policy"\n'}, "goes round in a circle", 1),
        ({"main": 'read: 1\ninclude "a.policy"\n', "a": 'include "main.policy"\n'}, "goes round in a circle", 1),
        ({"main": 'include "none.policy"\n'}, "No such file", 1),
        ({"main": 'include "/"\n'}, "a directory", 1),
        ({"main": 'include "/dev/null"\n'}, "a device", 1),
        ({"main": 'include "@nothing"\n'}, "no ready policy is called @nothing", 1),
        ({"main": 'include "a.policy"\n', "a": "since: 6.1\n"}, "`since` belongs to the outermost file", 1),
        ({"main": 'include "a.policy"\n', "a": "default: kill\nsince: 6.1\n"}, "`since` belongs to the outermost", 2),
        ({"main": "read: 1\ninclude 'a.policy'\n"}, "a file stands in double quotes", 2),
        ({"main": 'include "a.policy\n'}, "this quote is never closed", 1),
        ({"main": "include a.policy\n"}, "expected the file in quotes", 1),
        ({"main": 'include ""\n'}, "a file has a name", 1),
    ],
)
def test_what_cannot_be_included_is_said(
    policy: Callable[..., Policy], files: dict[str, str], message: str, line: int
) -> None:
    with pytest.raises(PolicyError) as caught:
        policy(**files)
    assert message in caught.value.message
    assert caught.value.line == line
    assert len(caught.value.errors) == 1


def test_mistakes_of_an_included_file_stand_where_it_is_included(policy: Callable[..., Policy]) -> None:
    with pytest.raises(PolicyError) as caught:
        policy(main='reed: 1\ninclude "a.policy"\nrite: 1\n', a="\nclos: 1\nopenn: 1\n")
    places = [(Path(str(error.file)).name, error.line) for error in caught.value.errors]
    assert places == [("main.policy", 1), ("a.policy", 2), ("a.policy", 3), ("main.policy", 3)]


def test_a_long_chain_of_includes_is_said(policy: Callable[..., Policy]) -> None:
    files = {f"f{number}": f'include "f{number + 1}.policy"\n' for number in range(40)}
    with pytest.raises(PolicyError, match="includes stand more than 32 deep"):
        policy(**files)


# ---- A & B

BOTH = [
    # A, B, call, args, expected
    ("read: 1", "read: fd == 0", "read", (1,), KILL),
    ("read: 1", "read: fd == 0", "read", (0,), "allow"),
    ("default: errno(1)\nread: 1", "default: errno(2)\nwrite: 1", "read", (), "errno 2"),
    ("default: errno(1)\nread: 1", "default: errno(2)\nwrite: 1", "write", (), "errno 1"),
    ("default: errno(1)\nread: 1", "default: errno(2)\nwrite: 1", "close", (), "errno 2"),  # of equals the later
    ("default: errno(1)", "default: trap(3)", "close", (), "trap 3"),
    ("default: trap(3)", "default: errno(1)", "close", (), "trap 3"),
    ("default: allow\nread: 0", "read: 1", "read", (), KILL),
    ("default: log\nread: 1", "default: allow", "read", (), "allow"),
    ("default: log", "default: allow\nread: 1", "read", (), "log"),
    ("deny: errno(5)\nread: 0", "read: 1", "read", (), "errno 5"),  # each side's own deny
    ("deny: errno(5)\nread: 0", "deny: errno(6)\nread: 0", "read", (), "errno 6"),
    ("since: 5.4", "default: allow", "openat2", (), "errno 38"),  # since: each side's for its own
    ("since: 5.4\ndefault: allow", "default: allow", "openat2", (), "errno 38"),
    ("since: 5.4\ndefault: allow", "default: allow\nopenat2: 1", "openat2", (), "errno 38"),
    ("since: 5.4\ndefault: allow", "default: kill", "openat2", (), KILL),
    ("since: 5.4\ndefault: allow", "since: 6.1\ndefault: errno(1)", "openat2", (), "errno 1"),
    ("since: 6.1\ndefault: errno(1)", "since: 5.4\ndefault: allow", "openat2", (), "errno 38"),
    ("since: 6.1\ndefault: errno(1)", "since: 5.4\ndefault: errno(1)", "cachestat", (), "errno 38"),
    ("since: 5.4\ndefault: errno(1)", "default: errno(2)", 3000, (), "errno 2"),
    ("since: 5.4\ndefault: kill", "default: errno(2)", 3000, (), "errno 2"),
    ("since: 5.4\ndefault: kill", "default: errno(2)", "read", (), KILL),
    ("since: 5.4\ndefault: kill", "default: errno(2)", "openat2", (), "errno 2"),
    ("default: errno(1)", "default: allow", 0x4000_0000, (), KILL),  # x32: each side's refusal
    ("default: errno(1)", "default: errno(2)\n[x86_64]\n0x40000000: 1", 0x4000_0000, (), "errno 1"),
    ("[x86_64]\n0: 1", "read: fd == 3", "read", (3,), "allow"),  # a call by number and by name is one call
    ("[x86_64]\n0..9: 1", "default: errno(7)", "read", (), "errno 7"),
    ("[x86_64]\n0..9: 1", "default: errno(7)\n1: 1".replace("\n1:", "\n[x86_64]\n1:"), 1, (), "allow"),
    ("umount: 1", "umount2: 1", "umount2", (), "allow"),  # one call by two names, here
    ("kill_thread".join(("default: ", "")), "default: errno(1)", "read", (), "kill_thread"),
]


@pytest.mark.parametrize(("first", "second", "call", "args", "expected"), BOTH)
def test_both_must_allow(first: str, second: str, call: str | int, args: tuple[int, ...], expected: str) -> None:
    assert answer(Policy.parse(first) & Policy.parse(second), call, *args) == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("default: kill_thread", "default: kill_thread", "kill_thread"),
        ("default: kill_thread", "default: allow", KILL),
        ("", "default: kill_thread", KILL),
        ("since: 2.6", "default: kill_thread", KILL),
    ],
)
def test_foreign_architectures_get_kill_thread_only_if_both_say_so(first: str, second: str, expected: str) -> None:
    both = Policy.parse(first) & Policy.parse(second)
    for policy in (both, Policy.parse(str(both))):
        assert policy.decide(0, arch=0x1234).action == expected
    assert Policy.parse(str(both)) == both


def test_the_native_set_of_both_is_that_of_either(monkeypatch: pytest.MonkeyPatch) -> None:
    from sysgate.facts.arches import arch

    monkeypatch.setattr(resolve, "native", lambda: arch("x86_64"))
    both = Policy.parse("[i386]\nread: 1") & Policy.parse("[x32]\nwrite: 1")
    assert resolve.arches(both) == ("x86_64", "x32", "i386")
    # To say what holds on one architecture only, the flat text names none that was not named.
    both = Policy.parse("umount: 1") & Policy.parse("default: errno(1)\numount2: 1")
    assert resolve.arches(Policy.parse(str(both))) == ("x86_64",)


def test_both_keeps_who_said_what() -> None:
    both = Policy.parse("default: errno(1)\nread: 1", name="a") & Policy.parse("read: 0 else errno(2)", name="b")
    rule = both.decide("read", arch="x86_64").rule
    assert rule is not None
    assert (rule.file, rule.line) == ("b", 1)
    assert both.decide("close", arch="x86_64").rule is None  # b's kill is unwritten
    rule = (both & Policy.parse("default: kill", name="c")).decide("close", arch="x86_64").rule
    assert rule is not None
    assert (rule.file, rule.line) == ("c", 1)


# ---- -p and -e


def decided(policy: policy_ast.Policy, call: str, *args: int) -> str:
    return answer(policy, call, *args)


def test_all_e_are_one_file() -> None:
    p = include.with_rules(None, ["default: errno(1)", "let A = 3", "read: fd == A", "[x86_64]", "1: 1", "[all]"])
    assert decided(p, "read", 3) == "allow"
    assert decided(p, "write") == "allow"
    assert decided(p, "close") == "errno 1"
    with pytest.raises(PolicyError) as caught:
        include.with_rules(None, ["default: errno(1)", "reed: 1", "default: kill"])
    assert [(error.file, error.line) for error in caught.value.errors] == [("<-e 2>", 1), ("<-e 3>", 1)]
    assert include.with_rules(None, ["since: 5.4"]).sides[0].since == (5, 4)


def test_all_e_are_included_by_the_p_file(tmp_path: Path) -> None:
    path = tmp_path / "app.policy"
    path.write_text("let A = 1\ndefault: errno(1)\nread: 1\n")
    p = include.with_rules(str(path), ["read: fd == 0", "write: 1"])  # a fragment
    assert decided(p, "read", 1) == "errno 1"
    assert decided(p, "write") == "allow"
    p = include.with_rules(str(path), ["default: allow", "read: 0 else errno(2)"])  # a policy: both must allow
    assert decided(p, "read") == "errno 2"
    assert decided(p, "write") == "errno 1"
    for wrong in ("since: 5.4", "read: fd == A"):
        with pytest.raises(PolicyError) as caught:
            include.with_rules(str(path), [wrong])
        assert caught.value.file == "<-e 1>"


def test_reference_meaning_of_a_gate_needs_no_policy() -> None:
    from sysgate import Call

    gate = resolve.gate([resolve.resolve(Policy.parse("read: fd == 1"), "x86_64")])
    assert meaning.decide(gate, Call("x86_64", 0, (1, 0, 0, 0, 0, 0)))[0].kind == "allow"
