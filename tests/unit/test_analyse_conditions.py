"""Sets of calls come back as the conditions a person would write, and mean the same."""

from __future__ import annotations

import random

import pytest

from sysgate.action import ALLOW, KILL_PROCESS, Action
from sysgate.analyse import answers, ruled, vector
from sysgate.analyse.space import Space
from sysgate.analyse.view import views
from sysgate.errors import BpfError
from sysgate.facts import calls
from sysgate.policy import resolve
from sysgate.policy.include import parse


def segment_of(text, arch, call):
    number = calls.number(arch, call)
    return next(one for one in resolve.resolve(parse(text), arch).segments if one.low <= number <= one.high)


def back(text, arch, call, space=None):
    """The body of a call's rule, through the diagram and back."""
    space = space or Space()
    found = answers.cases(space, ruled.call(space, segment_of(text, arch, call)), views(arch, call))
    if len(found.first) == 1 and found.first[0][1] == ALLOW and found.last == KILL_PROCESS:
        return found.first[0][0].text
    cases = "".join(f"{one.text} -> {answers.action_text(leaf, arch)}; " for one, leaf in found.first)
    return f"{{ {cases}else {answers.action_text(found.last, arch)} }}"


@pytest.mark.parametrize(
    ("call", "condition"),
    [
        ("read", "fd == 0"),
        ("read", "fd != 0"),
        ("read", "fd in {0, 1, 7}"),
        ("read", "fd < 16"),
        ("read", "fd >= 16"),
        ("read", "fd in {3..9}"),
        ("read", "!(fd in {3..9})"),
        ("read", "count <= 4096"),
        ("read", "fd == 0 && count < 10"),
        ("read", "fd == 0 || count < 10"),
        ("kill", "pid > 2"),  # signed: not -1, which a comparison of the word would let through
        ("kill", "pid == -1"),
        ("kill", "pid >= 0 && sig in {SIGHUP, SIGTERM}"),
        ("openat", "(flags & O_ACCMODE) == O_RDONLY"),
        ("openat", "(flags & O_ACCMODE) != O_RDONLY"),
        ("openat", "!(flags & (O_CREAT|O_TRUNC))"),
        ("openat", "dfd == AT_FDCWD && flags & O_CLOEXEC"),
        ("openat", "reg0 == AT_FDCWD"),  # the whole word
        ("chmod", "!(mode & (S_ISGID|S_ISUID))"),  # umode_t has 16 bits
        ("mmap", "!(prot & PROT_EXEC)"),
        ("mmap", "(prot & (PROT_WRITE|PROT_EXEC)) != (PROT_WRITE|PROT_EXEC)"),
        ("mmap", "(prot & ~(PROT_READ|PROT_WRITE)) == 0"),
        ("mmap", "addr == 0 && len < 0x100000"),
        ("socket", "family == AF_UNIX"),
        ("socket", "family in {AF_UNIX, AF_INET, AF_INET6} || family == AF_NETLINK && protocol == 0"),
        ("socket", "(type & SOCK_TYPE_MASK) == SOCK_STREAM"),
        ("socket", "!(family in {AF_ALG, AF_VSOCK})"),
        ("ioctl", "cmd in {TCGETS, FIONREAD}"),
        ("ioctl", "fd <= 2 && cmd == TCGETS || cmd == FIONREAD"),
        ("prctl", "option in {PR_SET_NAME, PR_GET_NAME}"),
        ("clone", "!(clone_flags & (CLONE_NEWUSER|CLONE_NEWNET))"),
        ("futex", "(op & ~(FUTEX_PRIVATE_FLAG|FUTEX_CLOCK_REALTIME)) in {FUTEX_WAIT, FUTEX_REQUEUE}"),
        ("mprotect", "prot == (PROT_READ|PROT_WRITE)"),
        ("write", "(count & 0xff) <= 16"),
        ("write", "!(buf & 0xfff) || count == 0"),
        ("write", "reg0 == 1 && buf != 0 && count <= 64"),
        ("write", "fd == 1 && (buf == 2 || count == 3)"),
        ("write", "(fd == 1 || buf == 2) && count == 3"),
    ],
)
def test_a_condition_comes_back_as_it_was_written(call, condition):
    assert back(f"{call}: {condition}", "x86_64", call) == condition


@pytest.mark.parametrize(
    ("call", "written", "simpler"),
    [
        ("read", "fd == 1 || fd == 2 || fd == 3 || fd == 4", "fd in {1..4}"),
        ("read", "fd > 2 && fd < 3", None),
        ("read", "fd <= 3 && fd >= 3", "fd == 3"),
        ("read", "!(fd != 3)", "fd == 3"),
        ("read", "(fd == 1 || count == 1) && fd == 1", "fd == 1"),
        ("read", "fd == 0x100000001 || fd == 2", "fd == 2"),  # one outside 32 bits equals nothing
        ("kill", "pid < 0xffffffff && sig == 0", "sig == 0"),  # every int is
        ("mmap", "(prot & PROT_WRITE) == 0 || (prot & PROT_EXEC) == 0",
         "(prot & (PROT_WRITE|PROT_EXEC)) != (PROT_WRITE|PROT_EXEC)"),
        ("ioctl", "cmd & 0x2000 || cmd & 0x4000 || cmd == 1", "cmd & 0x6000 || cmd == FIBMAP"),
        ("openat", "flags & O_WRONLY || flags & O_RDWR", "(flags & O_ACCMODE) != O_RDONLY"),
        ("socket", "family == AF_UNIX && type == SOCK_STREAM || family == AF_UNIX && type == SOCK_DGRAM",
         "family == AF_UNIX && type in {SOCK_STREAM, SOCK_DGRAM}"),
    ],
)  # fmt: skip
def test_a_condition_comes_back_simpler_where_it_can_be(call, written, simpler):
    if simpler is None:
        assert back(f"{call}: {written}", "x86_64", call) == "{ else kill }"
    else:
        assert back(f"{call}: {written}", "x86_64", call) == simpler


@pytest.mark.parametrize(
    ("body", "back_again"),
    [
        ("{ family == AF_UNIX -> allow; family == AF_INET -> notify; else errno(EAFNOSUPPORT) }", None),
        ("{ family < 0 -> kill; family > 100 -> errno(EINVAL); else allow }", None),
        # the second case need not say what the first has answered
        ("{ family == 1 -> trap; family != 1 && type == 2 -> trace(7); else log }",
         "{ family == AF_UNIX -> trap; type == SOCK_DGRAM -> trace(7); else log }"),
    ],
)  # fmt: skip
def test_several_answers_come_back_as_cases(body, back_again):
    found = back(f"socket: {body}", "x86_64", "socket")
    space = Space()
    nodes = [ruled.call(space, segment_of(f"socket: {text}", "x86_64", "socket")) for text in (body, found)]
    assert nodes[0] == nodes[1]
    if back_again:
        assert found == back_again
    assert len(found) <= len(body) + 1


@pytest.mark.parametrize(
    ("arch", "call", "condition"),
    [
        ("s390x", "openat", "(flags & O_ACCMODE) == O_RDONLY"),
        ("i386", "socketcall", "call in {SYS_SOCKET, SYS_BIND}"),
        ("i386", "read", "fd == 0"),
        ("mips64el", "mmap", "prot == PROT_EXEC"),
        ("aarch64", "openat", "flags & O_DIRECTORY"),  # another number than on x86_64
        ("arm", "clone", "clone_flags == CLONE_VM"),
    ],
)
def test_each_architecture_has_its_own_names_and_numbers(arch, call, condition):
    assert back(f"[{arch}]\n{call}: {condition}", arch, call) == condition


@pytest.mark.parametrize(
    ("make", "condition"),
    [
        # No typed comparison asks for this: the upper half must be zero too, or may be anything.
        (lambda space: vector.equal(space, space.register(0), vector.constant(3, 64)), "reg0 == 3"),
        (lambda space: vector.equal(space, space.register(1, 0, 32), vector.constant(3)), "(buf & 0xffffffff) == 3"),
        (lambda space: vector.above(space, space.register(1, 0, 32), vector.constant(99)), "(buf & 0xffffffff) > 0x63"),
        (lambda space: vector.shares(space, space.register(0, 32, 32), vector.constant(1)), "reg0 & 0x100000000"),
        (lambda space: vector.above(space, space.register(0, 0, 32), vector.constant(2)), "fd > 2"),
    ],
)
def test_raw_words_are_named_where_an_argument_does_not_say_it(make, condition):
    space = Space()
    node = space.ite(make(space), space.leaf(ALLOW), space.leaf(KILL_PROCESS))
    assert answers.cases(space, node, views("x86_64", "write")).first[0][0].text == condition


def test_two_registers_can_be_set_against_each_other():
    space = Space(braided=True)
    same = vector.equal(space, space.register(0), space.register(2))
    node = space.ite(same, space.leaf(ALLOW), space.leaf(KILL_PROCESS))
    condition = answers.cases(space, node, views("x86_64", "write")).first[0][0].text
    assert ruled.call(space, segment_of(f"write: {condition}", "x86_64", "write")) == node


def test_the_instruction_pointer_is_refused_in_words():
    space = Space()
    node = space.ite(space.node(space.variable_of(6, 3), 0, 1), space.leaf(ALLOW), space.leaf(KILL_PROCESS))
    with pytest.raises(BpfError, match="instruction pointer, which no rule can look at"):
        answers.cases(space, node, views("x86_64", "write"))


CALLS = [
    ("x86_64", "openat"), ("x86_64", "mmap"), ("x86_64", "socket"), ("x86_64", "ioctl"), ("x86_64", "kill"),
    ("x86_64", "chmod"), ("i386", "fcntl"), ("s390x", "clone"), ("aarch64", "write"), ("mips64el", "socket"),
]  # fmt: skip
LEAVES = [ALLOW, KILL_PROCESS, Action("errno", 1), Action("trap", 7), Action("log")]


def random_test(space, rng, register):
    width = rng.choice([16, 32, 64, 64])
    word = space.register(register, 0, width)
    edges = [rng.randrange(8), 1 << rng.randrange(width), -1, rng.getrandbits(width), 0x5401, -100, 0x80000]
    bound = vector.constant(rng.choice(edges), width)
    mask = vector.constant(rng.choice([3, 7, 0xFF, ~3, 0x7E02_0000, rng.getrandbits(width)]), width)
    under = vector.ands(space, word, mask)
    return rng.choice(
        [
            lambda: vector.equal(space, word, bound),
            lambda: vector.above(space, word, bound),
            lambda: vector.shares(space, word, bound),
            lambda: vector.equal(space, under, vector.ands(space, bound, mask)),
            lambda: vector.above(space, under, bound),
        ]
    )()


def random_set(space, rng, registers, depth):
    if depth == 0 or rng.random() < 0.2:
        return random_test(space, rng, rng.choice(registers))
    one, other = (random_set(space, rng, registers, depth - 1) for _ in range(2))
    return rng.choice([space.both, space.either, space.minus])(one, other)


def test_whatever_comes_back_means_the_same():
    rng = random.Random(42)
    for _ in range(150):
        arch, call = rng.choice(CALLS)
        space, registers = Space(), rng.sample(range(6), rng.randint(1, 2))
        node = space.leaf(rng.choice(LEAVES))
        for _ in range(rng.choice([1, 1, 2, 3])):
            node = space.ite(random_set(space, rng, registers, rng.randrange(3)), space.leaf(rng.choice(LEAVES)), node)
        found = answers.cases(space, node, views(arch, call))
        if not found.first:
            continue
        cases = "".join(f"{one.text} -> {answers.action_text(leaf, arch)}; " for one, leaf in found.first)
        text = f"[{arch}]\n{call}: {{ {cases}else {answers.action_text(found.last, arch)} }}"
        assert ruled.call(space, segment_of(text, arch, call)) == node, text
