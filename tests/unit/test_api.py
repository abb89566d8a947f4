"""The public classes: what they accept, what they answer, and that bad input ends in an error of sysgate's own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

import sysgate
from sysgate import BpfError, CompileError, Policy, PolicyError, Program, ProofError, SysgateError
from sysgate.ftrace import Filter

POLICY = Policy.parse("default: errno(EPERM)\nread: fd == 0\nwrite: fd in {1, 2}\n")
BOTH = POLICY.compile(["x86_64", "i386"], optimize="fast")

# (what is called, the error it raises, a word of its message)
BAD: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: POLICY.compile("foo"), CompileError, "unknown architecture 'foo'"),
    (lambda: POLICY.compile([]), CompileError, "no architecture"),
    (lambda: POLICY.compile(5), CompileError, "not int"),
    (lambda: POLICY.compile([5]), CompileError, "unknown architecture 5"),
    (lambda: POLICY.compile(["x86_64", "s390x"]), CompileError, "big-endian"),
    (lambda: POLICY.compile(optimize="best"), CompileError, "'best'"),
    (lambda: POLICY.compile(profile={"raed": 1}), CompileError, "raed"),
    (lambda: POLICY.decide("raed", arch="x86_64"), PolicyError, "raed"),
    (lambda: POLICY.decide(None), SysgateError, "NoneType"),
    (lambda: POLICY.decide("read", ("x",)), SysgateError, "integers"),
    (lambda: POLICY.decide("read", range(7)), SysgateError, "six"),
    (lambda: POLICY.decide("read", arch=1), SysgateError, "number"),
    (lambda: Policy.parse(5), PolicyError, "text"),
    (lambda: Policy.parse(b"read: 1"), PolicyError, "a policy is text, not bytes"),
    (lambda: Policy.parse("read: 1", name=5), PolicyError, "a policy's name is text, not int"),
    (lambda: Policy.parse("read: 1", dialect=None), PolicyError, "a dialect is text, not NoneType"),
    (lambda: Policy.parse("read: 1", dialect="x"), PolicyError, "dialect"),
    (lambda: Policy.load("/nonexistent"), PolicyError, "/nonexistent"),
    (lambda: Policy.load("@no_netwrok"), PolicyError, "no_netwrok"),
    (lambda: Policy.load("a\0b"), PolicyError, "null byte"),
    (lambda: POLICY.decide("read", {1: 2}), SysgateError, "sequence"),
    (lambda: POLICY.decide("read", ip=None), SysgateError, "NoneType"),
    (lambda: Policy.load(None), PolicyError, "NoneType"),
    (lambda: Policy.load(type("Odd", (), {"__fspath__": lambda self: 5})()), PolicyError, "not int"),
    (lambda: Filter(5, "1"), SysgateError, "str is wanted, not int"),
    (lambda: Filter("close", b"1"), SysgateError, "str is wanted, not bytes"),
    (lambda: Filter("close", "fd == 1", arch=["x86_64"]), SysgateError, "str or None is wanted"),
    (lambda: Filter("close", "cpu & CPUS{1}", cpus="8"), SysgateError, "int or None is wanted"),
    (lambda: Filter("close", "fd == 1").match(1), SysgateError, "not int"),
    (lambda: Filter("close", "fd == 1").match(("1",)), SysgateError, "int is wanted, not str"),
    (lambda: Filter("close", 'comm == "x"').match((1,), comm=b"x"), SysgateError, "not bytes"),
    (lambda: Filter("close", 'comm == "x"').match((1,), comm="\ud800"), SysgateError, "no task's name"),
    (lambda: Filter("close", "cpu == 1").match((1,), cpu=1.0), SysgateError, "not float"),
    (lambda: Filter("close", "common_pid == 1").match((1,), common=[1]), SysgateError, "not list"),
    (lambda: Filter("close", "common_pid == 1").match((1,), common={"common_pid": "1"}), SysgateError, "not str"),
    (lambda: Filter("close", "fd == 1").match((1,), strings={"x": "x"}), SysgateError, "bytes or None is wanted"),
    (lambda: sysgate.run(["true"], policy="default: allow"), PolicyError, "a Policy is wanted"),
    (lambda: sysgate.attach(1, None), PolicyError, "a Policy is wanted"),
    (lambda: sysgate.attach("x", POLICY), SysgateError, "number"),
    (lambda: sysgate.status("1"), SysgateError, "number"),
    (lambda: sysgate.prove(BOTH, POLICY), SysgateError, "Program"),
    (lambda: sysgate.prove(None, BOTH), PolicyError, "a Policy is wanted"),
    (lambda: Program.from_bytes(b""), BpfError, "at least one"),
    (lambda: Program.from_bytes(b"123"), BpfError, "8-byte"),
    (lambda: Program.from_bytes("12345678"), BpfError, "not str"),
    (lambda: Program.from_bytes(None), BpfError, "NoneType"),
    (lambda: POLICY.compile(["aarch64", "arm"]).decide("read"), BpfError, "aarch64, arm"),
    (lambda: Program.from_bytes(b"\6\0\0\0\0\0\xff\x7f").to_policy(), BpfError, "architecture"),
    (lambda: sysgate.prove(POLICY, Policy.parse("read: 1").compile()), ProofError, "says"),
]


@pytest.mark.parametrize(("act", "error", "said"), BAD)
def test_bad_input_is_said_in_sysgates_own_words(act: Callable[[], object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        act()


# (call, arguments, architecture, action by the policy, action by the program for x86_64 and i386)
CALLS = [
    ("read", (), "x86_64", "allow", "allow"),  # missing arguments are 0
    ("read", (1 << 64,), "x86_64", "allow", "allow"),  # arguments are modulo 2**64
    ("write", (-(1 << 63) + 1,), "x86_64", "allow", "allow"),
    ("sys_write", (2,), "x86_64", "allow", "allow"),
    (1 - (1 << 32), (2,), "x86_64", "allow", "allow"),  # numbers are modulo 2**32
    (-1, (), "x86_64", "errno", "errno"),
    ("read", (0,), "i386", "allow", "allow"),
    ("read", (0,), "aarch64", "allow", "kill_process"),  # a policy is for all; a program for what it was compiled for
    ("read", (0,), "x32", "allow", "errno"),
    (0, (0,), 0x1234_5678, "kill_process", "kill_process"),
]


@pytest.mark.parametrize(("call", "args", "arch", "policy", "program"), CALLS)
def test_a_call_is_answered(call: str | int, args: tuple[int, ...], arch: str, policy: str, program: str) -> None:
    assert POLICY.decide(call, args, arch=arch).action == policy
    assert BOTH.decide(call, args, arch=arch).action == program


def test_the_architecture_unsaid_is_the_only_one_there_is() -> None:
    assert POLICY.compile("s390x", optimize="fast").decide("write", (1,)).action == "allow"


def test_a_decision_names_its_rule() -> None:
    refused = POLICY.decide("read", (3,), arch="x86_64")
    assert (refused.rule.file, refused.rule.line, refused.rule.text) == ("<policy>", 2, "read: fd == 0")
    assert BOTH.decide("mkdir", arch="x86_64").rule.text == "default: errno(EPERM)"
    assert Policy.parse("read: 1").decide("mkdir", arch="x86_64").rule is None
    assert Program.from_bytes(bytes(BOTH)).decide("read", arch="x86_64").rule is None


def test_asking_the_same_policy_again_does_not_resolve_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from sysgate.policy import resolve

    resolved: list[str] = []
    whole = resolve.resolve
    monkeypatch.setattr(resolve, "resolve", lambda policy, arch: resolved.append(arch) or whole(policy, arch))
    policy = Policy.parse("read: fd == 5\n")
    program = policy.compile("x86_64", optimize="fast")
    for fd in range(20):
        assert policy.decide("read", (fd,), arch="x86_64").action == program.decide("read", (fd,)).action
    assert resolved == ["x86_64"]
    twin = Policy.parse("read: fd == 6\n")  # another policy is another question
    assert twin.decide("read", (6,), arch="x86_64").action == "allow"
    assert policy.decide("read", (6,), arch="x86_64").action == "kill_process"


def test_bytes_go_out_and_come_back_in_either_byte_order() -> None:
    for arch in ("x86_64", "s390x"):
        made = POLICY.compile(arch, optimize="fast")
        again = Program.from_bytes(bytes(made))
        assert (again.insns, again.big_endian) == (made.insns, made.big_endian)
        assert len(bytes(made)) == 8 * len(made)
        assert sysgate.prove(POLICY, again, arch)


def test_policies_are_equal_when_their_rules_are() -> None:
    spelled = Policy.parse("# another\nlet OUT = {1, 2}\ndefault: errno(1)\nread:   fd == 0\nwrite: fd in OUT\n", "b")
    assert Policy.parse(str(POLICY)) == POLICY
    assert Policy.parse(str(spelled)) == spelled
    assert Policy.parse("read: fd == 0\n") != POLICY
    assert Policy.parse(str(POLICY & POLICY)) == POLICY & POLICY


def test_a_program_goes_back_into_a_policy() -> None:
    again = BOTH.to_policy()
    assert sysgate.prove(again, BOTH, ["x86_64", "i386"])
    assert sysgate.prove(BOTH, again.compile(["x86_64", "i386"]))


def test_the_filter_engine_is_a_module_of_its_own() -> None:
    for line in ("from sysgate.ftrace import Filter", "import sysgate; Filter = sysgate.ftrace.Filter"):
        code = f"{line}; print(Filter('sys_enter_close', 'fd > 2').match((3,)))"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True\n"


def test_what_cannot_be_proved_within_budget_names_the_rule_that_asks_most(monkeypatch) -> None:
    def prove(*_: object) -> None:
        raise sysgate.proof.Spent("the words are mixed too thoroughly")

    monkeypatch.setattr("sysgate.proof.prove", prove)
    policy = Policy.parse("[x86_64]\nread: fd == 1\nwrite: fd == 1 || fd == 2\n", "a.policy")
    with pytest.raises(CompileError) as raised:
        policy.compile("x86_64")
    assert str(raised.value) == (
        "could not be proved within budget, nor refuted: the words are mixed too thoroughly\n"
        "    most is asked by a.policy:3: write: fd == 1 || fd == 2"
    )
