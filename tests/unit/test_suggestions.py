"""The line that would allow a refused call: right, narrow, and in its place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sysgate.api import Policy
from sysgate.call import Call
from sysgate.facts import arches, calls, constants
from sysgate.policy import meaning, resolve
from sysgate.policy.ruleset import Gate
from sysgate.supervise import narrow, suggest
from sysgate.supervise.answer import Judge, Verdict
from sysgate.supervise.denial import Denial

FILE = "app.policy"


def gate_of(text: str) -> Gate:
    policy = Policy.parse(text, FILE)
    return resolve.gate([resolve.resolve(policy, arch) for arch in resolve.arches(policy)])


def refused(text: str, call: Call) -> tuple[Verdict, Judge]:
    judge = Judge(gate_of(text))
    known = arches.arch(call.arch) if isinstance(call.arch, str) else None
    verdict = judge.verdict(known.audit if known else int(call.arch), call.nr, 0, call.args)
    assert verdict.action.kind != "allow"
    return verdict, judge


def call_of(name: str, *args: int | str, arch: str = "x86_64") -> Call:
    words = [word if isinstance(word, int) else _constant(word, arch) for word in args]
    nr = calls.number(arch, name)
    assert nr is not None
    padded = [word & ((1 << 64) - 1) for word in words] + [0] * (6 - len(words))
    return Call(arch, nr, tuple(padded))  # type: ignore[arg-type]


def _constant(written: str, arch: str) -> int:
    total = 0
    for name in written.split("|"):
        value = constants.value(name, arch)
        assert value is not None, name
        total |= value
    return total


def applied(text: str, edits: tuple[suggest.Edit, ...]) -> str:
    """The policy with the edits made; its rules stand on one line each."""
    lines = text.splitlines()
    added = []
    for edit in edits:
        if edit.instead is None:
            added += edit.lines
        else:
            lines[edit.instead[1] - 1] = "\n".join(edit.lines)
    return "\n".join(lines + added)


# What a policy says (all else is refused), the call, and the line that is to stand there.
LINES = [
    ("", call_of("openat", -100, 1, "O_RDONLY"), "openat: (flags & O_ACCMODE) == O_RDONLY"),
    ("", call_of("openat", -100, 1, "O_RDONLY|O_CLOEXEC"), "openat: (flags & O_ACCMODE) == O_RDONLY"),
    ("", call_of("openat", -100, 1, "O_WRONLY|O_CREAT|O_TRUNC", 0o644),
     "openat: !(flags & ~(O_WRONLY|O_CREAT|O_TRUNC))"),
    ("", call_of("open", 1, "O_RDONLY|O_CREAT", 0o644), "open: !(flags & ~O_CREAT)"),
    ("", call_of("open", 1, "O_RDWR"), "open: !(flags & ~O_RDWR)"),
    ("", call_of("write", 1, 0x1000, 5), "write: fd == 1"),
    ("", call_of("write", 17, 0x1000, 5), "write: fd >= 3"),  # which number a file gets is chance
    ("", call_of("close", -1), "close: 1"),
    ("", call_of("getpid"), "getpid: 1"),
    ("", call_of("socket", "AF_INET", "SOCK_STREAM|SOCK_CLOEXEC", 6),
     "socket: family == AF_INET && type == (SOCK_STREAM|SOCK_CLOEXEC)"),
    ("", call_of("mmap", 0, 4096, "PROT_READ|PROT_EXEC", "MAP_PRIVATE", 3),
     "mmap: !(prot & ~(PROT_READ|PROT_EXEC)) && !(flags & ~MAP_PRIVATE)"),
    ("", call_of("mprotect", 0x1000, 4096, 0), "mprotect: prot == 0"),
    ("", call_of("ioctl", 1, "TIOCSTI", 0x1000), "ioctl: fd == 1 && cmd == TIOCSTI"),
    ("", call_of("ioctl", 1, 0x12345678, 0x1000), "ioctl: fd == 1 && cmd == 0x12345678"),
    ("", call_of("kill", 4711, "SIGTERM"), "kill: sig == SIGTERM"),
    ("", call_of("futex", 0x1000, "FUTEX_WAIT|FUTEX_PRIVATE_FLAG", 1), "futex: op == FUTEX_WAIT_PRIVATE"),
    # garbage in the upper halves
    ("", call_of("openat", (1 << 63) | 0xFFFFFF9C, 1, 1 << 40), "openat: (flags & O_ACCMODE) == O_RDONLY"),
    # another ABI is let in by a section
    ("", call_of("getpid", arch="i386"), "[i386]\ngetpid: 1"),
    ("", call_of("read", 0, 1, 1, arch="x32"), "[x32]\nread: fd == 0"),
    # a number no table knows
    ("", Call("x86_64", 9999), "[x86_64]\n9999: 1"),
    # nothing helps against an architecture that nobody knows
    ("", Call(0x1234, 1), ""),
    # a rule refused: it is put wider, in its place
    ("write: fd == 1", call_of("write", 2), "write: fd == 1 || fd == 2"),
    ("write: 0", call_of("write", 2), "write: fd == 2"),
    ("sys_write: fd == 1 && count < 9", call_of("write", 1, 0, 9), "sys_write: fd == 1 && count < 9 || fd == 1"),
    ("write: 0 else errno(EIO)", call_of("write", 2), "write: fd == 2 else errno(EIO)"),
    ("write: fd == 1 else errno(EIO)  # why", call_of("write", 2), "write: fd == 1 || fd == 2 else errno(EIO)"),
    ("getpid: 0 else errno(EIO)", call_of("getpid"), "getpid: 1"),
    ("socket: { family == AF_UNIX -> allow; else errno(EIO) }", call_of("socket", "AF_INET", "SOCK_STREAM"),
     "socket: { family == AF_INET && type == SOCK_STREAM -> allow; family == AF_UNIX -> allow; else errno(EIO) }"),
    # ... and split, so that others stay as they are
    ("read, write: fd == 1", call_of("write", 2), "read: fd == 1\nwrite: fd == 1 || fd == 2"),
    ("@sync: 0", call_of("sync"), None),
    # two rules refuse: both must change
    ("write: fd == 1\nwrite: count < 9", call_of("write", 2, 0, 9),
     "write: fd == 1 || fd == 2  # instead of app.policy:1\nwrite: count < 9 || fd == 2  # instead of app.policy:2"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "call", "line"), LINES, ids=lambda value: str(value)[:60])
def test_the_suggestion_is_the_line_a_person_would_write(text: str, call: Call, line: str | None) -> None:
    verdict, judge = refused(text, call)
    found = suggest.suggestion(verdict, judge)
    if line is not None:
        assert found == line
    if found:
        changed = applied(text, suggest.edits(verdict, judge))
        assert meaning.decide(gate_of(changed), call)[0].kind == "allow", changed


@pytest.mark.parametrize(("text", "call"), [
    ("[x86_64]\n0..10: reg0 == 7", call_of("write", 2)),
    ("[x86_64]\n1: reg0 == 7", call_of("write", 2)),
    ("[x86_64]\n9990..9999: 0 else errno(EIO)", Call("x86_64", 9995)),
    ("@file-system: 0", call_of("mkdir", 0, 0o777)),
    ("@io-event, getpid, @sync: 0", call_of("sync")),
    ("default: errno(EPERM)\nread: 1", call_of("write", 2)),
    ("since: 4.0\nread: 1", call_of("openat2", -100)),
    ("write, sys_write: 0", call_of("write", 1)),
])  # fmt: skip
def test_a_suggestion_allows_the_call_and_changes_no_other(text: str, call: Call) -> None:
    verdict, judge = refused(text, call)
    before, after = gate_of(text), gate_of(applied(text, suggest.edits(verdict, judge)))
    assert meaning.decide(after, call)[0].kind == "allow"
    for nr in [*calls.table("x86_64").values(), *range(9988, 10002)]:
        if nr != call.nr:
            for first in (0, 1, 7):
                other = Call("x86_64", nr, (first, 0, 0, 0, 0, 0))
                assert meaning.decide(after, other)[0] == meaning.decide(before, other)[0], other


NAMES = sorted(calls.table("x86_64"))
WORDS = st.one_of(
    st.integers(0, 8),
    st.sampled_from(
        [0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF, 1 << 31, 1 << 32, 1 << 63, 0o644, 0x80000, 0x5413, 0x8000_0005]
    ),
    st.integers(0, (1 << 64) - 1),
)


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(NAMES), args=st.tuples(*[WORDS] * 6))
def test_whatever_the_call_the_suggested_line_parses_and_allows_it(name: str, args: tuple[int, ...]) -> None:
    call = call_of(name, *args)
    verdict, judge = refused("", call)
    assert meaning.decide(gate_of(suggest.suggestion(verdict, judge)), call)[0].kind == "allow"


def denial_of(call: Call) -> Denial:
    return Denial(1, 1, "x", call, str(call), "kill_process", 0, None, "", 1)


def test_lines_for_many_refusals_are_one_a_call_and_allow_them_all() -> None:
    made = [
        call_of("openat", -100, 1, "O_RDONLY|O_CLOEXEC"),
        call_of("write", 1),
        call_of("openat", -100, 1, "O_WRONLY|O_CREAT", 0o600),
        call_of("write", 2),
        call_of("write", 5),
        call_of("socket", "AF_UNIX", "SOCK_STREAM"),
        call_of("socket", "AF_INET", "SOCK_STREAM"),
        call_of("getpid"),
        call_of("close", -1),
        call_of("close", 3),
    ]
    lines = suggest.lines(map(denial_of, made))
    assert lines == (
        "openat: !(flags & ~(O_WRONLY|O_CREAT|O_CLOEXEC))",
        "write: (fd == 1 || fd == 2 || fd >= 3)",
        "socket: family in {AF_UNIX, AF_INET} && type == SOCK_STREAM",
        "getpid: 1",
        "close: 1",
    )
    gate = gate_of("\n".join(lines))
    assert all(meaning.decide(gate, call)[0].kind == "allow" for call in made)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["openat", "socket", "mmap", "fcntl", "close", "kill"]), st.tuples(*[WORDS] * 6)),
        min_size=1,
        max_size=6,
    )
)
def test_a_join_lets_through_all_that_its_boxes_do(drawn: list[tuple[str, tuple[int, ...]]]) -> None:
    made = [call_of(name, *args) for name, args in drawn]
    gate = gate_of("\n".join(suggest.lines(map(denial_of, made))))
    assert all(meaning.decide(gate, call)[0].kind == "allow" for call in made)


def test_the_narrowest_test_for_every_call_names_only_what_the_call_has() -> None:
    for name in NAMES:
        box = narrow.box(call_of(name))
        assert box is not None
        gate_of(f"{name}: {box.text()}")
