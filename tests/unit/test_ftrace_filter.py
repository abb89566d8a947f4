"""The ftrace language beyond the conformance cases: what it says, what it knows, what it refuses to guess."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sysgate.errors import CompileError, PolicyError, SysgateError
from sysgate.policy.ftrace import Filter, cpulist, number, pattern, to_expr
from sysgate.policy.meaning import holds
from sysgate.policy.ruleset import All, Any, Compare, Constant, Not, Shares, Term

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "ftrace_errors.txt"
MAX = (1 << 64) - 1

# One mistake of every kind. The kernel's words come first, where it has any.
WRONG = [
    ("sys_enter_fcntl", ""),
    ("sys_enter_fcntl", "()"),
    ("sys_enter_fcntl", "!"),
    ("sys_enter_fcntl", "fd == 3 && == 4"),
    ("sys_enter_fcntl", "fdd == 3"),
    ("sys_enter_fcntl", "zzz == 3"),
    ("sys_enter_getpid", "pid == 3"),
    ("sys_enter_fcntl", "1"),
    ("sys_enter_fcntl", "fd + 3"),
    ("sys_enter_fcntl", "(fd) == 3"),
    ("sys_enter_fcntl", "fd == F_GETFD"),
    ("sys_enter_openat", "dfd == AT_FDCWD"),
    ("sys_enter_fcntl", "fd == cmd"),
    ("sys_enter_fcntl", "comm == sh"),
    ("sys_enter_fcntl", "comm == 3"),
    ("sys_enter_openat", "filename == 0"),
    ("sys_enter_openat", 'flags == "O_RDONLY"'),
    ("sys_enter_openat", 'filename < "x"'),
    ("sys_enter_openat", "flags ~ 3"),
    ("sys_enter_openat", f'filename == "{"a" * 256}"'),
    ("sys_enter_fcntl", "fd == 000000000000000000000003"),
    ("sys_enter_fcntl", "fd == -1"),
    ("sys_enter_fcntl", "fd == 08"),
    ("sys_enter_fcntl", "fd == 18446744073709551616"),
    ("sys_enter_fcntl", "(fd & 3) == 3"),
    ("sys_enter_fcntl", "fd == 3 | cmd == 4"),
    ("sys_enter_fcntl", "fd == 3 || cmd == 4 &&"),
    ("sys_enter_fcntl", "((fd == 3)"),
    ("sys_enter_fcntl", "fd == 3)"),
    ("sys_enter_openat", 'filename == "x'),
    ("sys_enter_fcntl", "cpu == CPUS 0"),
    ("sys_enter_fcntl", "cpu == CPUS{0"),
    ("sys_enter_fcntl", "cpu == CPUS{7-0}"),
    ("sys_enter_fcntl", "cpu < CPUS{0}"),
    ("sys_enter_fcntl", "comm == CPUS{0}"),
    ("sys_enter_fcntl", "cpu.function == vfs_read"),
    ("sys_enter_fcntl", "fd.function < vfs_read"),
    ("sys_enter_fcntl", "fd.function == no_such_function"),
    ("sys_enter_fcntl", "é == 1"),
    ("sys_enter_fcntl", "fd == 1" + " || fd == 1" * 400),
    ("sys_enter_fcntl", "fd == \ud800"),
    ("sys_enter_fcnt", "fd == 1"),
    ("sys_enter_tuxcall", "fd == 1"),
]


def refusal(event: str, text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        Filter(event, text, arch="x86_64", cpus=4)
    return str(caught.value)


def test_every_mistake_is_explained_with_a_caret_and_a_hint() -> None:
    shown = [refusal(event, text) for event, text in WRONG]
    shown = [text if len(text) < 900 else text[:80] + " …" for text in shown]
    assert GOLDEN.read_text() == "\n\n".join(shown) + "\n"


def test_an_error_stands_where_the_filter_stands_in_its_file() -> None:
    line = "fcntl: fd == 1 && cm == 2"
    with pytest.raises(PolicyError) as caught:
        Filter("fcntl", line[7:], arch="x86_64", file="a.policy", line=4, column=8, source=line)
    error = caught.value
    assert (error.file, error.line, error.column, error.width) == ("a.policy", 4, 19, 2)
    assert str(error).splitlines()[1:3] == ["    " + line, "    " + " " * 18 + "^^"]


NAMES = [
    ("sys_enter_openat", "dfd == 1"),
    ("openat", "dfd == 1"),
    ("sys_openat", "dfd == 1"),
    ("sys_enter_newfstat", "fd == 1"),
    ("fstat", "fd == 1"),
    ("sys_newfstat", "fd == 1"),
    ("create_module", None),  # its arguments are not known
    ("kexec_load", "entry == 1"),  # a call without an event on the kernel the table is from: its prototype's names
    ("perf_event_open", "cpu == 3"),  # an argument hides the field every event has
]


@pytest.mark.parametrize(("event", "text"), NAMES)
def test_an_event_is_known_by_its_own_its_calls_and_its_entry_points_name(event: str, text: str | None) -> None:
    if text is None:
        with pytest.raises(PolicyError, match="not known"):
            Filter(event, "fd == 1", arch="x86_64")
    else:
        Filter(event, text, arch="x86_64")


def test_an_argument_named_like_a_field_of_every_event_is_the_argument() -> None:
    assert Filter("perf_event_open", "cpu == 3", arch="x86_64").match((0, 0, 3))


REGISTERS = [
    ("x86_64", "clone", "child_tidptr", 3),
    ("aarch64", "clone", "child_tidptr", 4),  # CLONE_BACKWARDS
    ("s390x", "clone", "newsp", 0),  # CLONE_BACKWARDS2
]


@pytest.mark.parametrize(("arch", "call", "argument", "register"), REGISTERS)
def test_an_argument_is_looked_for_where_the_architecture_passes_it(
    arch: str, call: str, argument: str, register: int
) -> None:
    expr = to_expr(Filter(call, f"{argument} == 7", arch=arch))
    assert expr == Compare(Term(argument, 64, False, (register,)), "==", 7)


def test_an_argument_in_two_registers_is_no_field() -> None:
    with pytest.raises(PolicyError, match="Field not found") as caught:
        Filter("pread64", "pos == 0", arch="i386")
    assert "no single register of i386" in caught.value.hint


FD, CMD = Term("fd", 64, False, (0,)), Term("cmd", 64, False, (1,))
ONE, TWO = Compare(FD, "==", 1), Compare(CMD, "!=", 2)
EXPRESSIONS = [
    ("fd == 1", ONE),
    ("fd & 0x3", Shares(FD, 3)),
    ("!fd == 1", Not(ONE)),
    ("!!fd == 1", ONE),
    ("fd == 1 && cmd != 2", All((ONE, TWO))),
    ("fd == 1 || cmd != 2 && fd == 1", Any((ONE, All((TWO, ONE))))),
    ("(fd == 1 || cmd != 2) && fd == 1", All((Any((ONE, TWO)), ONE))),
    ("fd == 1 && (cmd != 2 && (fd == 1))", All((ONE, TWO, ONE))),
    ("!(fd == 1 && !(cmd != 2))", Not(All((ONE, Not(TWO))))),
    ("fd == 1 && __syscall_nr == 72", All((ONE, Constant(True)))),
    ("fd == 1 &&", ONE),
    ("fd == 18446744073709551615", Compare(FD, "==", MAX)),
]


@pytest.mark.parametrize(("text", "expr"), EXPRESSIONS)
def test_a_filter_is_an_expression_over_raw_registers(text: str, expr: object) -> None:
    assert to_expr(Filter("fcntl", text, arch="x86_64")) == expr


UNSEEN = [
    'comm == "sh"',
    "common_pid == 1",
    "common_type != 1",
    "cpu == 0",
    "stacktrace == 1",
    "fd & CPUS{0-1}",
    "fd == 1 || common_pid == 1",
    "0",
    "fd == 1\0 && cmd == 2",  # the kernel would read `fd == 1`: nothing is cut off in a policy
]


@pytest.mark.parametrize("text", UNSEEN)
def test_a_policy_refuses_what_a_seccomp_filter_cannot_see(text: str) -> None:
    filter = Filter("fcntl", text, arch="x86_64", cpus=4)
    with pytest.raises(CompileError):
        to_expr(filter)


def test_a_policy_refuses_a_test_of_memory() -> None:
    with pytest.raises(CompileError, match="filename is memory"):
        to_expr(Filter("openat", 'filename.ustring ~ "/etc/*"', arch="x86_64"))


def test_what_is_not_known_is_asked_for_only_where_it_decides() -> None:
    filter = Filter("fcntl", 'fd == 1 && comm == "sh"', arch="x86_64")
    assert filter.match((2,)) is False
    assert filter.match((1,), comm="sh") is True
    with pytest.raises(SysgateError, match="depends on comm"):
        filter.match((1,))


def test_registers_are_taken_modulo_two_to_the_64_and_missing_ones_are_zero() -> None:
    assert Filter("fcntl", "fd == 0xffffffffffffffff && arg == 0", arch="x86_64").match((-1,))
    with pytest.raises(SysgateError, match="six"):
        Filter("fcntl", "fd == 1", arch="x86_64").match((1,) * 7)
    with pytest.raises(SysgateError, match="int is wanted"):
        Filter("fcntl", "fd == 1", arch="x86_64").match(("1",))  # type: ignore[arg-type]


NUMBERS = [
    (b"0", 0),
    (b"10", 10),
    (b"010", 8),
    (b"0x10", 16),
    (b"0XfF", 255),
    (b"00", 0),
    (b"18446744073709551615", MAX),
    (b"18446744073709551616", None),
    (b"0x", None),
    (b"08", None),
    (b"1e3", None),
    (b"", None),
    (b"-1", None),
]


@pytest.mark.parametrize(("word", "value"), NUMBERS)
def test_a_number_is_read_as_kstrtoull_reads_it(word: bytes, value: int | None) -> None:
    assert number.unsigned(word) == value


SIGNED = [
    (b"-1", -1),
    (b"-0", 0),
    (b"-0x8000000000000000", -(1 << 63)),
    (b"-9223372036854775809", None),
    (b"9223372036854775807", (1 << 63) - 1),
    (b"9223372036854775808", None),
    (b"-", None),
]


@pytest.mark.parametrize(("word", "value"), SIGNED)
def test_a_signed_number_is_read_as_kstrtoll_reads_it(word: bytes, value: int | None) -> None:
    assert number.signed(word) == value


GLOBS = [
    (b"a", b"a", True),
    (b"a", b"aa", False),
    (b"", b"", True),
    (b"?", b"", False),
    (b"?x?", b"axb", True),
    (b"*??", b"a", False),
    (b"??*", b"abc", True),
    (b"*b", b"bab", True),
    (b"*bc", b"bcbc", True),
    (b"[a-c-e-g]", b"-", True),
    (b"[a-c-e-g]", b"d", False),
    (b"[]a-ceg-ik[]", b"]", True),
    (b"[!]a-ceg-ik[]", b"f", True),
    (b"[!a]", b"", False),
    (b"[a", b"[a", True),
    (b"[a-", b"[a-", True),
    (b"\\*", b"*", True),
    (b"\\*", b"a", False),
    (b"a\\", b"a", True),
    (b"*a*b*[bc]*[ef]*g*", b"abacadaeafag", True),
    (b"*abcd*abcdef*", b"abcabcdabcdeabcdefg", True),
    (b"*ab*cd*", b"abcabcabcabcefg", False),
]


@pytest.mark.parametrize(("glob", "string", "matches"), GLOBS)
def test_a_glob_matches_as_glob_match_does(glob: bytes, string: bytes, matches: bool) -> None:
    assert pattern.glob(glob, string) is matches


LISTS = [
    (b"0", {0}),
    (b"0,2", {0, 2}),
    (b" 0-1 3", {0, 1, 3}),
    (b"all", {0, 1, 2, 3}),
    (b"N", {3}),
    (b"0-N:1/2", {0, 2}),
    (b"0\n;", {0}),
    (b",", set()),
    (b"4", None),
    (b"1-0", None),
    (b"0:1/2", None),
    (b"0-3:2/1", None),
    (b"0x1", None),
]


@pytest.mark.parametrize(("text", "members"), LISTS)
def test_a_processor_list_is_read_as_bitmap_parselist_reads_it(text: bytes, members: set[int] | None) -> None:
    assert cpulist.members(text, 4) == members


def test_a_filter_of_any_depth_and_length_the_kernel_takes_works() -> None:
    deep = "(" * 2040 + "fd == 3" + ")" * 2040
    assert Filter("fcntl", deep, arch="x86_64").match((3,))
    nested = "fd<1||(fd<2&&(" * 200 + "fd==3" + "))" * 200
    assert Filter("fcntl", nested, arch="x86_64").match((0,))
    long = " || ".join(f"fd=={n}" for n in range(350))
    assert holds(to_expr(Filter("fcntl", long, arch="x86_64")), (349, 0, 0, 0, 0, 0))
    odd = Filter("fcntl", "!" * 4001 + "fd == 3", arch="x86_64")
    assert not odd.match((3,))


tests = st.sampled_from(["fd", "cmd", "arg"]).flatmap(
    lambda name: st.builds(
        "{} {} {}".format,
        st.just(name),
        st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "&"]),
        st.sampled_from([0, 1, 3, 1 << 31, (1 << 32) - 1, 1 << 63, MAX]),
    )
)
filters = st.recursive(
    tests,
    lambda inner: st.one_of(
        st.builds("{} && {}".format, inner, inner),
        st.builds("{} || {}".format, inner, inner),
        st.builds("({})".format, inner),
        st.builds("!({})".format, inner),
        st.builds("!{}".format, tests),
    ),
    max_leaves=12,
)
words = st.tuples(*[st.sampled_from([0, 1, 2, 3, 1 << 31, 1 << 32, 1 << 63, MAX])] * 3)


@given(filters, words)
def test_a_filter_and_its_expression_agree(text: str, registers: tuple[int, ...]) -> None:
    filter = Filter("fcntl", text, arch="x86_64")
    assert holds(to_expr(filter), (*registers, 0, 0, 0)) is filter.match(registers)


@given(st.text(max_size=60) | st.text("fdcm ()!&|=<>~'\"0123xCPUS{}.", max_size=60))
def test_any_text_is_taken_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(PolicyError):
        Filter("fcntl", text, arch="x86_64", cpus=4)
