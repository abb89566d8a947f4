"""Filters and calls, fresh ones every time, put to the running kernel's own filter engine and to ours."""

from __future__ import annotations

import ctypes
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tracefs import mounted

from sysgate.errors import PolicyError
from sysgate.facts import ftrace_events
from sysgate.policy.ftrace import Filter

FILTERS = 10_000
ACCEPTED = 0.4
COMPARE = ("==", "!=", "<", "<=", ">", ">=", "&")
OPERATORS = (*COMPARE, "~")
libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture(scope="module")
def events() -> Iterator[Path]:
    """The syscall events of a tracing instance of our own; the machine's own tracing is not touched."""
    instance = mounted() / "instances" / f"sysgate-test-{os.getpid()}"
    try:
        instance.mkdir()
    except OSError as error:
        pytest.skip(f"no tracing instance: {error}")
    if not (instance / "events/syscalls").is_dir():
        instance.rmdir()
        pytest.skip("this kernel has no syscall events")
    yield instance / "events/syscalls"
    (instance / "events/enable").write_text("0")
    instance.rmdir()


def asked(events: Path, event: str, text: bytes) -> bool:
    """Whether the kernel takes the filter, in one write."""
    filter = os.open(events / event / "filter", os.O_WRONLY)
    try:
        os.write(filter, text)
    except OSError:
        return False
    finally:
        os.close(filter)
    return True


def ours(event: str, text: bytes) -> PolicyError | None:
    try:
        Filter(event, text.decode("utf-8", "surrogateescape"), arch="x86_64")
    except PolicyError as error:
        return error
    return None


# The kernel reads in front of its own array and warns for `a || b &&`, and writes behind it where a quote
# inside CPUS{…} hides terms from its count. We refuse the first; neither is asked of a kernel that has work to do.
def harms_the_kernel(text: bytes, error: PolicyError | None) -> bool:
    hidden = re.search(rb"CPUS\{[^}]*['\"]", text)
    return bool(hidden) or (error is not None and error.message == "the filter ends after &&")


class Writer:
    """Random filters for an event: right ones, and right ones with something broken."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.events = ftrace_events.names()

    def filter(self) -> tuple[str, bytes]:
        event = self.random.choice(self.events)
        text = self.expression(event, self.random.choice((0, 0, 1, 2, 3))).encode()
        if self.random.random() < 0.25:
            text = self.broken(text)
        return f"sys_enter_{event}", text

    def expression(self, event: str, depth: int) -> str:
        pick = self.random.choice
        if depth == 0:
            return self.predicate(event)
        inner = [self.operand(event, depth - 1) for _ in range(pick((1, 2, 2, 3, 4)))]
        text = inner[0]
        for operand in inner[1:]:
            text += self.space() + pick(("&&", "||")) + self.space() + operand
        return text

    def operand(self, event: str, depth: int) -> str:
        text = self.expression(event, depth)
        if self.random.random() < 0.5:
            text = f"({self.space()}{text}{self.space()})"
        return "".join(self.random.choices(("", "!", "! ", "!!"), (70, 20, 5, 5))) + text

    def predicate(self, event: str) -> str:
        arguments = ftrace_events.arguments(event) or ()
        kind = self.random.choices(("own", "cpu", "comm", "common", "stack"), (80, 5, 5, 8, 2))[0]
        if kind == "own" and arguments:
            name, ctype = self.random.choice(arguments)
            if ctype in ("char *", "const char *"):
                return self.text(name + self.random.choice(("", ".ustring", ".ustring")))
            return self.function(name) if self.random.random() < 0.06 else self.number(name)
        if kind == "cpu":
            return self.number(self.random.choice(("cpu", "CPU", "common_cpu")))
        if kind == "comm":
            return self.text(self.random.choice(("comm", "COMM")))
        if kind == "stack":
            return self.number(self.random.choice(("stacktrace", "STACKTRACE")))
        names = ("common_type", "common_flags", "common_preempt_count", "common_pid", "__syscall_nr")
        return self.number(self.random.choice(names))

    def number(self, name: str) -> str:
        if self.random.random() < 0.08:
            return (
                f"{name}{self.space()}{self.random.choice(('==', '!=', '&', '<'))}{self.space()}CPUS{{{self.cpus()}}}"
            )
        op = self.random.choice(COMPARE) if self.random.random() < 0.98 else "~"
        return f"{name}{self.space()}{op}{self.space()}{self.value()}"

    def value(self) -> str:
        edges = (0, 1, 3, 255, 0xFFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 32, 1 << 63, (1 << 64) - 1)
        value = self.random.choice(edges) + self.random.choice((-1, 0, 0, 1, 7))
        if self.random.random() < 0.2:
            value = self.random.getrandbits(self.random.randrange(1, 70))
        shapes = ("%d", "%d", "0x%x", "0X%X", "0%o", "0x0%x", "00%o")
        shown = self.random.choice(shapes) % abs(value)
        return ("-" if value < 0 or self.random.random() < 0.03 else "") + shown

    def text(self, name: str) -> str:
        letters = self.random.choices("ab*?[]!-\\/.09 &|()", k=self.random.choice((0, 1, 2, 3, 5, 8, 255, 256)))
        quote = self.random.choice("'\"")
        op = self.random.choice(("==", "!=", "~")) if self.random.random() < 0.95 else self.random.choice(COMPARE)
        return f"{name}{self.space()}{op}{self.space()}{quote}{''.join(letters)}{quote}"

    def cpus(self) -> str:
        one = (
            "0",
            "1",
            "2",
            "0-1",
            "all",
            "N",
            "0-N",
            "0-1:1/2",
            "ALL:1/1",
            "1-0",
            "0-9",
            "",
            " ",
            "x",
            "0:1",
            "0-1:2/1",
        )
        return self.random.choice((",", " ", ", ")).join(self.random.choices(one, k=self.random.choice((1, 1, 2, 3))))

    def function(self, name: str) -> str:
        known = (
            "vfs_read",
            "do_sys_open",
            "start_kernel",
            "_text",
            "__start_rodata",
            "nosuch",
            "0xffffffff81000010",
            "0",
        )
        after = self.random.choice(("", "", " "))
        return (
            f"{name}.function{self.space()}{self.random.choice(('==', '!=', '<'))} {self.random.choice(known)}{after} "
        )

    def space(self) -> str:
        return self.random.choices((" ", "", "  ", "\t", "\n", "\v\f\r"), (50, 35, 5, 4, 3, 3))[0]

    def broken(self, text: bytes) -> bytes:
        """One to three small accidents."""
        odd = (b"(", b")", b"!", b"&", b"|", b"=", b"'", b'"', b"&&", b"||", b" ", b"~", b"-", b"x", b"0", b"{", b"}")
        rare = (b"\xa0", b"\xc3\xa9", b"\x01", b".ustring", b".function", b"CPUS{0}", b"\\", b"\x00", b"$", b";", b"1")
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            at = self.random.randrange(len(text) + 1)
            keep = at + self.random.choice((0, 0, 1, 1, 2, 4))
            put = self.random.choice((b"", self.random.choice(odd), self.random.choice(odd), self.random.choice(rare)))
            text = text[:at] + put + text[keep:]
        return text


def kinds_in(text: bytes) -> set[str]:
    """What an accepted filter shows: its operators, and its kinds of field and value."""
    bare = re.sub(rb"\"[^\"]*\"|'[^']*'", b'""', text).decode("latin-1")
    found = {op for op in OPERATORS if re.search(rf"[\w\s]{re.escape(op)}[\s\w\"'-]", bare)}
    found |= {
        word for word in ("&&", "||", "(", ".ustring", ".function", "CPUS{", "common_", "comm", "stack") if word in bare
    }
    found |= {"!"} if re.search(r"!(?![=~])", bare) else set()
    found |= {"text"} if '""' in bare else set()
    return found | ({"cpu"} if re.search(r"\bcpu\b", bare) else set())


EVERYTHING = {
    *OPERATORS,
    "&&",
    "||",
    "(",
    "!",
    ".ustring",
    ".function",
    "CPUS{",
    "common_",
    "comm",
    "stack",
    "text",
    "cpu",
}


def test_ten_thousand_fresh_filters_are_taken_and_refused_alike(events: Path) -> None:
    seed = int.from_bytes(os.urandom(6), "big")
    writer = Writer(seed)
    answers: Counter[bool] = Counter()
    shown: set[str] = set()
    different = []
    while answers.total() < FILTERS:
        event, text = writer.filter()
        error = ours(event, text)
        if not (events / event).is_dir() or harms_the_kernel(text, error):
            continue
        accepted = asked(events, event, text)
        answers[accepted] += 1
        if accepted:
            shown |= kinds_in(text)
        if accepted is not (error is None):
            different.append((event, text, accepted, str(error)))
    assert different == [], f"seed {seed}"
    assert answers[True] >= ACCEPTED * FILTERS, answers
    assert shown >= EVERYTHING, EVERYTHING - shown


CALL = "recvfrom"  # six arguments, and harmless: descriptors that are not open
NUMBER = 45


def fired(events: Path, filter: str, calls: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The calls for which the kernel's event fires, of those this thread makes now."""
    instance = events.parent.parent
    event = events / f"sys_enter_{CALL}"
    (event / "filter").write_text(filter)
    (instance / "trace").write_text("")
    (event / "enable").write_text("1")
    for words in calls:
        libc.syscall(ctypes.c_long(NUMBER), *(ctypes.c_ulong(word) for word in words))
    (event / "enable").write_text("0")
    lines = re.findall(rf"sys_{CALL}\((.*)\)", (instance / "trace").read_text())
    return [tuple(int(value, 0) for value in re.findall(r": (\w+)", line)) for line in lines]


def test_fresh_filters_fire_for_exactly_the_calls_that_match(events: Path) -> None:
    seed = int.from_bytes(os.urandom(6), "big")
    writer = Writer(seed)
    pick = writer.random
    (events.parent.parent / "set_event_pid").write_text(str(os.getpid()))
    arguments = [name for name, _ in ftrace_events.arguments(CALL) or ()]
    values = [0, 1, 3, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 32, 1 << 63, (1 << 63) - 1, (1 << 64) - 1]
    answers: Counter[bool] = Counter()
    for _ in range(150):
        calls = []
        for _ in range(12):
            rest = [pick.choice(values) + pick.choice((0, 0, 1)) & (1 << 64) - 1 for _ in range(5)]
            calls.append((0xFFFF_FF00 | pick.getrandbits(8), *rest))
        near = [word for words in calls[:2] for word in words]

        def test(near: list[int] = near) -> str:
            value = pick.choice([*near, pick.choice(values)])
            written = pick.choice(("%d", "0x%x", "0%o")) % value
            return f"{pick.choice(('', '', '!'))}{pick.choice(arguments)} {pick.choice(COMPARE)} {written}"

        text = joined(pick, test, pick.choice((1, 2, 3, 5)))
        filter = Filter(f"sys_enter_{CALL}", text, arch="x86_64")
        expected = [words for words in calls if filter.match(words)]
        answers.update({True: len(expected), False: len(calls) - len(expected)})
        assert fired(events, text, calls) == expected, f"{text} (seed {seed})"
    assert min(answers.values()) > 300, answers


def joined(pick: random.Random, test: Callable[[], str], terms: int) -> str:
    """That many tests with && and ||, some in (negated) parentheses."""
    if terms == 1:
        return test()
    left = pick.randrange(1, terms)
    text = f"{joined(pick, test, left)} {pick.choice(('&&', '||'))} {joined(pick, test, terms - left)}"
    return pick.choice(("{}", "({})", "!({})")).format(text)


# What a name or a path is compared with, and how; the task is called `sysgate-trace`.
TEXTS = [
    ('comm == "sysgate-trace"', True),
    ('comm != "sysgate-trace"', False),
    ('comm == "sysgate"', False),
    ('comm ~ "sysgate*"', True),
    ('comm ~ "*gate*"', True),
    ('comm ~ "*trace"', False),  # the end of the 16-byte buffer is asked, and there are NULs
    ('comm ~ "s?sgate-[a-t]race"', True),
    ('comm ~ "!sysgate*"', False),
    ('comm ~ "[!s]*"', False),
    ('comm ~ "*e*-*e"', True),
    ('!comm == "sh"', True),
    ('filename == "/no/such/9file"', False),  # without .ustring no task's memory is read
    ('filename != "/no/such/9file"', False),
    ('!filename == "/no/such/9file"', True),
    ('filename.ustring == "/no/such/9file"', True),
    ('filename.ustring != "/no/such/9file"', False),
    ('filename.ustring ~ "/no/*"', True),
    ('filename.ustring ~ "*9file"', True),
    ('filename.ustring ~ "*such*"', True),
    ('filename.ustring ~ "/*/such/[0-9]file"', True),
    ('filename.ustring ~ "*\\/9file?"', False),
    ('filename.ustring ~ "*"', True),
    ('filename.ustring ~ "**"', True),
    ('filename.ustring ~ "9*"', False),  # begins with a digit: no glob
    ("cpu >= 0", True),
    ("cpu & 1", False),  # a number's & asks nothing of cpu
    ("cpu & CPUS{all}", True),
    ("cpu == CPUS{all}", False),
    ("dfd == CPUS{0}", False),
    ("common_type == 0", False),
    ("stacktrace == 0 || stacktrace != 0", False),
    ("__syscall_nr == 257", True),
    ("__syscall_nr < -1", False),
    ("0", True),
    ("dfd != 0 &&", True),
]


@pytest.mark.parametrize(("text", "matches"), TEXTS)
def test_what_is_not_a_register_is_compared_as_the_kernel_does(events: Path, text: str, matches: bool) -> None:
    instance = events.parent.parent
    event = events / "sys_enter_openat"
    type = int((event / "id").read_text())
    filter = Filter("sys_enter_openat", text, arch="x86_64")
    cpu = os.sched_getcpu() if hasattr(os, "sched_getcpu") else 0
    path = b"/no/such/9file"
    name = Path("/proc/self/comm").read_text()
    Path("/proc/self/comm").write_text("sysgate-trace")
    (instance / "set_event_pid").write_text(str(os.getpid()))
    (event / "filter").write_text(text)
    (instance / "trace").write_text("")
    (event / "enable").write_text("1")
    pointer = ctypes.create_string_buffer(path)
    libc.syscall(ctypes.c_long(257), ctypes.c_ulong(77), pointer, ctypes.c_ulong(0), ctypes.c_ulong(0))
    (event / "enable").write_text("0")
    Path("/proc/self/comm").write_text(name.rstrip("\n"))
    seen = "sys_openat(dfd: 4d" in (instance / "trace").read_text() or "dfd: 0x4d" in (instance / "trace").read_text()
    words = (77, ctypes.addressof(pointer), 0, 0)
    ours = filter.match(words, comm="sysgate-trace", cpu=cpu, common={"common_type": type}, strings={"filename": path})
    assert (seen, ours) == (matches, matches)
