"""What two policies answer differently, and nothing else."""

from __future__ import annotations

import random

import pytest

from sysgate.action import Action, from_ret
from sysgate.analyse.answers import action_text
from sysgate.analyse.diff import differences
from sysgate.bpf.machine import run
from sysgate.call import Call
from sysgate.compiler import compile
from sysgate.errors import CompileError
from sysgate.policy import meaning, resolve
from sysgate.policy.include import parse
from sysgate.proof import prove


def gate_of(text, *arches):
    return resolve.gate([resolve.resolve(parse(text, "x.policy"), arch) for arch in arches])


def proved(gate):
    made = compile(gate, optimize="fast")
    prove(gate, made)
    return made


def shown(one, other, *arches):
    """Each difference on a line: heads: condition: one → other."""
    arches = arches or ("x86_64",)
    found = differences(gate_of(one, *arches), gate_of(other, *arches), arches)
    return [
        f"{', '.join(each.heads)}: {each.condition}: "
        f"{action_text(each.one, 'x86_64')} → {action_text(each.other, 'x86_64')}"
        for each in found
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("read: fd == 1 || fd == 2", "read: fd in {2, 1}"),
        ("read: !(fd != 3)", "read: fd == 3"),
        ("read: fd <= 2 && fd >= 2", "read: fd == 2"),
        ("kill: pid < 0xffffffff", "kill: 1"),  # an int never reaches it
        ("read: fd == 0x100000000", "read: 0"),
        ("read, write: 1\nread: fd == 0", "write: 1\nread: fd == 0"),
        ("@clock: 1", "adjtimex, clock_adjtime, clock_settime, settimeofday: 1"),
        ("default: errno(EPERM)\nread: 1", "default: errno(1)\nread: 1\nopen: 0"),
        ("mmap: (prot & PROT_WRITE) == 0 || (prot & PROT_EXEC) == 0", "mmap: (prot & 6) != 6"),
        ("openat: { flags & O_CREAT -> errno(EROFS); else allow }", "openat: !(flags & O_CREAT) else errno(EROFS)"),
    ],
)
def test_policies_that_mean_the_same_do_not_differ(one, other):
    assert shown(one, other) == []


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ("read: 1", "read, write: 1", ["write: 1: kill → allow"]),
        ("read: fd > 2", "read: fd >= 2", ["read: fd == 2: kill → allow"]),
        ("read: fd == 3", "read: reg0 == 3", ["read: fd == 3 && reg0 != 3: allow → kill"]),
        (
            "openat: (flags & O_ACCMODE) == O_RDONLY else errno(EROFS)",
            "openat: (flags & O_ACCMODE) == O_RDONLY else errno(EACCES)",
            ["openat: (flags & O_ACCMODE) != O_RDONLY: errno(EROFS) → errno(EACCES)"],
        ),
        (
            "socket: family == AF_UNIX",
            "socket: family in {AF_UNIX, AF_INET}",
            ["socket: family == AF_INET: kill → allow"],
        ),
        (
            "socket: { family == AF_UNIX -> allow; else errno(EPERM) }",
            "socket: { family == AF_UNIX -> notify; else trap }",
            ["socket: family == AF_UNIX: allow → notify", "socket: family != AF_UNIX: errno(EPERM) → trap"],
        ),
        ("read: 1", "read: 1\n@clock: 1", ["@clock: 1: kill → allow"]),
        ("[x86_64]\n500: 1", "[x86_64]\n500..502: 1", ["501..502: 1: kill → allow"]),
        ("read: 1", "default: kill_thread\nread: 1", None),
    ],
)
def test_differences_are_told_in_the_words_of_the_language(one, other, found):
    said = shown(one, other)
    if found is None:
        assert any("472..0xffffffff: 1: kill → kill_thread" in line for line in said)
        assert said[-1] == ": 1: kill → kill_thread"  # the foreign architectures
    else:
        assert sorted(said) == sorted(found)


def test_architectures_that_differ_in_the_same_way_share_an_entry():
    found = differences(
        gate_of("read: 1", "x86_64", "i386"), gate_of("read, write: 1", "x86_64", "i386"), ("x86_64", "i386")
    )
    assert [(each.arches, each.heads) for each in found] == [(("x86_64", "i386"), ("write",))]
    one, other = "[x86_64]\nread: 1", "[i386]\nread: 1"
    found = differences(gate_of(one, "x86_64", "i386"), gate_of(other, "x86_64", "i386"), ("x86_64", "i386"))
    assert sorted((each.arches, each.one.kind) for each in found) == [
        (("i386",), "kill_process"),
        (("x86_64",), "allow"),
    ]


def test_a_program_is_compared_with_a_policy():
    gate = gate_of("read: fd == 0\nwrite: 1", "x86_64")
    assert differences(gate, proved(gate), ("x86_64",)) == ()
    other = proved(gate_of("read: fd == 0\nwrite: fd < 3", "x86_64"))
    (found,) = differences(gate, other, ("x86_64",))
    assert (found.heads, found.condition, found.one.kind, found.other.kind) == (
        ("write",),
        "fd > 2",
        "allow",
        "kill_process",
    )


def test_what_differs_differs_and_what_does_not_is_the_same():
    rng = random.Random(3)
    tests = ["fd == 1", "fd < 4", "count & 3", "reg0 == 1", "fd in {1, 5}", "(count & 0xff) == 2", "buf == 0", "1", "0"]
    for _ in range(60):
        texts = []
        for _ in range(2):
            one, two = rng.choice(tests), rng.choice(tests)
            texts.append(
                f"read, write: {one} {rng.choice(['&&', '||'])} !({two})\nread: {rng.choice(tests)} else errno(EPERM)"
            )
        gates = [gate_of(text, "x86_64") for text in texts]
        found = differences(*gates, ("x86_64",))
        programs = [proved(gate) for gate in gates]
        for _ in range(60):
            number = rng.randrange(2)
            args = [rng.choice([0, 1, 2, 3, 4, 5, 6, 1 << 32 | 1, 0xFFFF_FFFF, 0x102]) for _ in range(3)] + [0, 0, 0]
            answers = [from_ret(run(program, 0xC000_003E, number, args)[0]) for program in programs]
            holding = [each for each in found if _holds(each, number, args)]
            if answers[0] == answers[1]:
                assert holding == [], texts
            else:
                assert [(each.one, each.other) for each in holding] == [tuple(answers)], texts


def _holds(difference, number, args):
    """Whether a difference says something about a call: its condition is made the rule of a policy."""
    call = ("read", "write")[number]
    if call not in difference.heads and "@known" not in difference.heads:
        return False
    action, _ = meaning.decide(
        gate_of(f"{call}: {difference.condition}", "x86_64"), Call("x86_64", number, tuple(args))
    )
    return action == Action("allow")


def test_an_unknown_architecture_is_refused_in_words():
    with pytest.raises(CompileError, match="unknown architecture 'vax'"):
        differences(gate_of("read: 1", "x86_64"), gate_of("read: 1", "x86_64"), ("vax",))
