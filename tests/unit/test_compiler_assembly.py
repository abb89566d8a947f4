"""From segments to one program: what numbers mean, who shares a tree, where the architecture is asked."""

from __future__ import annotations

import pytest

from sysgate import Policy, proof
from sysgate.action import ALLOW, KILL_PROCESS, Action
from sysgate.bpf import bitmap, machine
from sysgate.compiler import compile
from sysgate.compiler.assemble import Assembly
from sysgate.compiler.choice import choose
from sysgate.compiler.code import TICKET
from sysgate.compiler.diagram import Diagram
from sysgate.compiler.fast import Fast
from sysgate.compiler.full import Full
from sysgate.compiler.groups import Group, grouped
from sysgate.compiler.limit import TooLong, too_long
from sysgate.compiler.meanings import Meanings, same
from sysgate.compiler.profile import in_short
from sysgate.compiler.rare import rare
from sysgate.compiler.steps import AND, JA, JEQ, JEQ_X, JGE, JSET, LD, LDX, RET
from sysgate.decision import Origin
from sysgate.errors import CompileError
from sysgate.policy.ruleset import All, Among, Any, Bound, Compare, Constant, Not, Segment, Shares, Term

FULL = 0xFFFF_FFFF
ERRNO = Action("errno", 1)
X86_64, I386, AARCH64 = 0xC000003E, 0x40000003, 0xC00000B7
A0, A1 = (Term(f"reg{place}", 64, False, (place,)) for place in (0, 1))


def made(text: str, *arches: str, optimize: str = "fast"):
    return Policy.parse(text).compile(list(arches or ("x86_64",)), optimize=optimize)


def codes(program) -> list[int]:
    return [code for code, *_ in program.insns]


# meanings


def segments(*rules: tuple[int, tuple[Bound, ...]]) -> tuple[Segment, ...]:
    lows = [low for low, _ in rules]
    ends = [*(low - 1 for low in lows[1:]), FULL]
    return tuple(Segment(low, end, held, ERRNO, None) for (low, held), end in zip(rules, ends, strict=True))


def test_numbers_whose_rules_come_to_the_same_have_one_meaning() -> None:
    one = Bound(((Compare(A0, "==", 1), ALLOW),), ERRNO, Origin("a", 1, "one"))
    other = Bound(((Among(A0, ((1, None),)), ALLOW),), ERRNO, Origin("a", 2, "other"))
    plain = Bound(((Constant(True), ALLOW),), ERRNO, None)
    always = Bound((), ALLOW, None)
    meanings = Meanings(Diagram(), Fast(0.03), same)
    found = meanings.borders(segments((0, (one,)), (5, (other,)), (7, ()), (8, (plain,)), (9, (always,)), (10, (one,))))
    assert [low for low, _ in found] == [0, 7, 8, 10]
    (_, first), (_, unruled), (_, allowed), (_, again) = found
    assert first == again != unruled
    assert allowed == meanings.allow
    assert meanings.roots[unruled] == [meanings.diagram.leaf(ERRNO)]
    assert meanings.rules[first] == (one,)  # the first that have it


def test_what_is_returned_is_chosen_after_the_strictest_has_won() -> None:
    notify = Action("notify")
    rule = Bound(((Compare(A0, "==", 1), ERRNO),), KILL_PROCESS, None)
    meanings = Meanings(Diagram(), Fast(0.03), lambda action: notify if action == ERRNO else action)
    ((_, tested), (_, unruled)) = meanings.borders(segments((0, (rule,)), (5, ())))
    diagram = meanings.diagram
    assert meanings.roots[unruled] == [diagram.leaf(notify)]
    (root,) = meanings.roots[tested]
    assert [diagram.decide(root, [0] * 4 + [value, *[0] * 11]) for value in (0, 1)] == [KILL_PROCESS, notify]


def test_the_ticket_stands_before_what_its_numbers_mean() -> None:
    meanings = Meanings(Diagram(), Fast(0.03), same)
    borders = meanings.borders(segments((0, ()), (7, (Bound((), ALLOW, None),)), (8, ())))
    ticketed = meanings.with_ticket(borders, frozenset({3, 7}))
    assert [low for low, _ in ticketed] == [0, 3, 4, 7, 8]
    meaning = dict(ticketed)
    assert meaning[0] == meaning[4] == meaning[8] == borders[0][1]
    for number, otherwise in ((3, ERRNO), (7, ALLOW)):
        word, _, _, kids = meanings.diagram.nodes[meanings.roots[meaning[number]][0]]
        if otherwise == ALLOW:  # passes with the ticket or without
            assert meaning[number] == meanings.allow
        else:
            assert word == TICKET
            assert [meanings.diagram.value(kid) for kid in kids] == [ALLOW, otherwise]


def test_a_diagram_that_explodes_is_the_chain_of_its_rules() -> None:
    parts = tuple(All((Shares(A0, 1 << bit), Shares(A1, 1 << bit))) for bit in range(24))
    rule = Bound(((Any(parts), ALLOW),), ERRNO, None)
    diagram = Diagram()
    meanings = Meanings(diagram, Fast(0.03), same)
    ((_, meaning),) = meanings.borders(segments((0, (rule,))))
    (root,) = meanings.roots[meaning]
    assert diagram.least(root) <= 2 * len(parts)
    # a second call with more of the same is no diagram either, though some of it is there already
    more = Bound(((Any((*parts, Compare(A0, "==", 1 << 40))), ALLOW),), ERRNO, None)
    ((_, meaning),) = meanings.borders(segments((0, (more,))))
    assert diagram.least(meanings.roots[meaning][0]) <= 2 * len(parts) + 3


def hopeless(at: int) -> Bound:
    pairs = tuple(All((Shares(A0, 1 << at + bit), Shares(A1, 1 << at + bit))) for bit in range(20))
    return Bound(((Any(pairs), ALLOW),), ERRNO, None)


def test_all_calls_share_what_hopeless_diagrams_may_take() -> None:
    setting = Fast(0.03)
    meanings = Meanings(Diagram(), setting, same)
    calls = 40
    found = meanings.borders(segments(*((at, (hopeless(at),)) for at in range(calls))))
    assert len(found) == calls
    assert all(meanings.diagram.least(meanings.roots[meaning][0]) <= 40 for _, meaning in found)  # chains
    assert len(meanings.diagram.nodes) < (setting.large + 1) * setting.nodes + calls * 600


def test_what_is_returned_for_an_answer_takes_nothing_from_the_budget() -> None:
    # After the hopeless calls 500 nodes are left for each: enough for the 301 of this one, not for those twice.
    values = tuple((at << 32 | at, None) for at in range(300))
    many = Bound(((Among(A0, values), ALLOW),), ERRNO, None)
    notify = Action("notify")
    meanings = Meanings(Diagram(), Fast(0.03), lambda action: notify if action == ERRNO else action)
    found = meanings.borders(segments(*((at, (hopeless(at),)) for at in range(6)), (9, (many,))))
    (root,) = meanings.roots[found[-1][1]]
    assert len(meanings.diagram.below(root)) == 1 + 300 + 2
    for low, high, action in ((7, 7, ALLOW), (7, 8, notify)):
        assert meanings.diagram.decide(root, [0] * 4 + [low, high, *[0] * 10]) == action


def test_full_keeps_diagrams_in_several_orders() -> None:
    rule = Bound(((Any((Compare(A0, "==", 7), Compare(A1, ">", 1 << 40))), ALLOW),), ERRNO, None)
    found = []
    for setting in (Fast(0.03), Full(0.03, 1, known=False)):
        meanings = Meanings(Diagram(), setting, same)
        ((_, meaning),) = meanings.borders(segments((0, (rule,))))
        found.append(meanings.roots[meaning])
    assert len(found[0]) == 1
    assert len(found[1]) > 2


# limit


def test_a_program_that_cannot_fit_is_refused_before_it_is_made() -> None:
    values = ", ".join(str(n * 0x1_0000_0001 % (1 << 64)) for n in range(1, 10_000))
    # low halves 1 … 9,999: 10,000 cuts of one node; for each a high half, told by two cuts from what is below and above
    with pytest.raises(
        CompileError, match=r"at least 24,999 instructions; the kernel takes 4,096\n.*<policy>:1: read: reg0"
    ):
        made(f"read: reg0 in {{{values}}}")


def test_a_program_that_does_not_fit_names_the_rules_that_cost_most() -> None:
    values = [", ".join(str(2 * n + at) for n in range(count)) for at, count in enumerate((3000, 2000, 10, 1000, 500))]
    calls = ("read", "write", "close", "ioctl", "lseek")
    text = "\n".join(f"{call}: reg0 in {{{each}}}" for call, each in zip(calls, values, strict=True))
    with pytest.raises(CompileError) as raised:
        made(text)
    lines = str(raised.value).splitlines()
    assert lines[0].endswith("instructions; the kernel takes 4,096")
    assert [line.split("<policy>:")[1][:1] for line in lines[1:]] == ["1", "2", "4"]


def test_the_rule_named_is_the_one_with_most_tests() -> None:
    short = Bound(((Compare(A0, "==", 1), ALLOW),), ERRNO, Origin("a.policy", 1, "read: fd == 1"))
    long = Bound(
        ((Not(All((Compare(A0, "==", 1), Shares(A0, 2)))), ALLOW),), ERRNO, Origin("b", 2, "read:   " + "x" * 90)
    )
    longest = Bound(((Any((Among(A0, ((1, None), (2, None), (3, None))),)), ALLOW),), ERRNO, None)
    text = str(too_long(5000, [(10, [short]), (4000, [short, long]), (7, [longest, short]), (1, [short])]))
    assert text == (
        "the program would have 5,000 instructions; the kernel takes 4,096\n"
        f"    4,000 of them for b:2: read: {'x' * 53}…\n"
        "    10 of them for a.policy:1: read: fd == 1\n"
        "    7 of them for an unwritten default"
    )


# groups


def group(audit: int, *borders: tuple[int, int]) -> Group:
    return Group((audit,), [(low, (meaning,)) for low, meaning in borders])


def test_a_short_text_is_told_whole_and_every_test_counts_once() -> None:
    text = "y" * 60
    pair = Bound(((Any((Compare(A0, "==", 1), Compare(A0, "==", 2))), ALLOW),), ERRNO, Origin("a", 1, "pair"))
    three = Bound(((Among(A0, ((1, None), (2, None), (3, None))), ALLOW),), ERRNO, Origin("a", 2, text))
    assert str(too_long(5000, [(10, [pair, three])])).endswith(f"a:2: {text}")


def test_two_groups_in_one_have_all_borders_and_both_meanings() -> None:
    one, other = group(1, (0, 10), (5, 11), (9, 10)), group(2, (0, 10), (5, 12), (7, 10))
    both = one.with_(other)
    assert both.audits == (1, 2)
    assert both.borders == [(0, (10, 10)), (5, (11, 12)), (7, (11, 10)), (9, (10, 10))]
    assert both.cost() == 4 + 2 * 2
    points = [(0, 0.1), (4, 0.2), (5, 0.3), (8, 0.4), (FULL, 0.5)]
    assert both.over(points) == [
        ((10, 10), 0, 0.1),
        ((10, 10), 4, 0.2),
        ((11, 12), 5, 0.3),
        ((11, 10), 8, 0.4),
        ((10, 10), FULL, 0.5),
    ]


def test_architectures_share_a_tree_where_their_numbers_agree() -> None:
    borders = [(low, low // 10 % 3) for low in range(0, 300, 10)]
    alike, also, foreign = group(1, *borders), group(2, *borders), group(3, (0, 5), (7, 6), (19, 5))
    assert sorted(each.audits for each in grouped([alike, foreign, also])) == [(1, 2), (3,)]
    other = group(4, *[(low + 5 if low else 0, (low // 10 + 1) % 3) for low, _ in borders])
    assert sorted(each.audits for each in grouped([alike, other])) == [(1,), (4,)]


ALIKE = "default: errno(EPERM)\nread, write, close, openat, mmap, munmap, brk, fstat, lseek, ioctl, futex: 1\n"


def test_numbers_that_mean_the_same_are_told_apart_once() -> None:
    # aarch64 and riscv64 share the generic table; x86_64 has its own
    alone, both = made(ALIKE, "aarch64"), made(ALIKE, "aarch64", "riscv64")
    assert len(both) <= len(alone) + 2
    apart = made(ALIKE, "aarch64", "x86_64")
    assert len(apart) > len(both)


# assembly


@pytest.mark.parametrize("optimize", ["fast", "full"])
def test_the_architecture_is_asked_last_where_refused_and_foreign_calls_get_the_same(optimize: str) -> None:
    # killed in any case: a refused call is spared the question
    program = made("default: kill\nread, write: 1\n", optimize=optimize)
    refused = program.decide("ptrace", (), arch="x86_64")
    assert refused.action == "kill_process"
    assert program.insns[0][3] == 0  # the number first
    # otherwise it comes first
    program = made("default: errno(EPERM)\nread, write: 1\n", optimize=optimize)
    assert program.insns[0][3] == 4


def test_a_policy_of_one_answer_loads_nothing_in_vain() -> None:
    program = made("default: errno(EPERM)\n", "x86_64", "x32")
    assert codes(program) == [LD, JEQ, RET, RET]


@pytest.mark.parametrize("optimize", ["fast", "full"])
def test_every_unconditional_allow_is_within_what_the_kernel_follows(optimize: str) -> None:
    text = "default: errno(EPERM)\nread, write, close: 1\nioctl: cmd == TCGETS\nopenat: !(flags & O_CREAT)\n"
    text += "[i386]\nsetuid: 1\n"
    program = made(text, "x86_64", "i386", "x32", optimize=optimize)
    # number, architecture, `and`, ja and jumps on constants (kernel/seccomp.c, seccomp_is_const_allow)
    for audit, numbers in ((X86_64, (0, 1, 3)), (I386, (3, 4, 6, 23))):
        for number in numbers:
            assert bitmap.constant_allow(program, audit, number), (hex(audit), number)
    assert set(codes(program)) <= {LD, AND, JA, JEQ, JGE, JSET, RET, 0x25}


@pytest.mark.parametrize(
    ("test", "instructions"),
    [
        ("mode & 0x30", [(JSET, 0x30)]),
        ("!(mode & 0x30)", [(JSET, 0x30)]),
        ("(mode & 0x30) >= 0x20", [(JSET, 0x20)]),  # its highest bit tells
        ("(mode & 0x30) == 0x20", [(AND, 0x30), (JEQ, 0x20)]),  # of 0x20 … 0x2f only one value is left
        ("(mode & 0x30) in {0x10, 0x20, 0x30}", [(JSET, 0x30)]),
        ("mode == 0x1f", [(JEQ, 0x1F)]),
        ("mode != 0x1f", [(JEQ, 0x1F)]),
        ("mode > 0x1f", [(JGE, 0x20), (JGE, 0x8000_0000)]),  # signed
        ("mode & 1 || mode & 6", [(JSET, 7)]),
        ("(mode & 3) == 1 && !(mode & 0x40)", [(AND, 0x43), (JEQ, 1)]),
        ("mode & 0xff00 || mode == 0x31", [(JSET, 0xFF00), (JEQ, 0x31)]),
    ],
)
def test_a_test_takes_as_few_instructions_as_there_are(test: str, instructions: list) -> None:
    program = made(f"default: errno(EPERM)\naccess: {test}\n")
    at = [k for code, _, _, k in program.insns].index(24)  # the low half of the second argument is loaded
    found = [(code, k) for code, _, _, k in program.insns[at + 1 :] if code not in (RET, LD)]
    assert sorted(found) == sorted(instructions)


def test_equal_tests_of_different_calls_are_one() -> None:
    one = made("default: errno(EPERM)\nread: reg0 in {5, 100, 3000}\n")
    many = made("default: errno(EPERM)\nread, ioctl, lseek, fcntl: reg0 in {5, 100, 3000}\n")
    assert len(many) <= len(one) + 2 * 3


def test_big_endian_halves_lie_the_other_way() -> None:
    little, big = (made("[%s]\n0: reg0 == 0x500000003" % arch, arch) for arch in ("aarch64", "s390x"))  # noqa: UP031
    offsets = [{k for code, _, _, k in program.insns if code == LD and k >= 16} for program in (little, big)]
    assert offsets == [{16, 20}, {16, 20}]
    for program, arch in ((little, "aarch64"), (big, "s390x")):
        assert program.decide(0, (0x5_0000_0003,), arch=arch).action == "allow"
        assert program.decide(0, (0x3_0000_0005,), arch=arch).action == "kill_process"


def test_what_may_pass_is_what_some_answer_of_its_rules_lets_pass() -> None:
    one = Compare(A0, "==", 1)
    log = Action("log")
    passing = [
        (Bound(((one, ALLOW),), ERRNO, None),),
        (Bound(((one, ERRNO),), log, None),),
        (Bound((), ALLOW, None),),
    ]
    refused = [
        (Bound(((one, KILL_PROCESS),), ERRNO, None),),
        (Bound(((one, ALLOW),), ERRNO, None), Bound(((one, ERRNO),), KILL_PROCESS, None)),
        (Bound((), ERRNO, None),),
    ]
    meanings = Meanings(Diagram(), Fast(0.03), same)
    borders = meanings.borders(segments(*enumerate(passing + refused)))
    assert [meanings.may_pass(meaning) for _, meaning in borders] == [True] * 3 + [False] * 3
    ticketed = meanings.with_ticket(borders, frozenset({3, 5}))
    assert [meanings.may_pass(meaning) for _, meaning in ticketed][3:6] == [True, False, True]


@pytest.mark.parametrize("optimize", ["fast", "full"])
def test_rare_values_of_64_bits_take_two_instructions_each(optimize: str) -> None:
    values = [(n * 0x9E3779B97F4A7C15) % (1 << 64) for n in range(1, 41)]
    tested = f"ioctl: reg2 in {{{', '.join(map(str, values))}}}"  # one call of many
    program = made(f"default: errno(EPERM)\n{tested}\nread, write, mmap, futex, close: 1\n", optimize=optimize)
    assert {LDX, JEQ_X} <= set(codes(program))
    assert len(program) < 2.8 * len(values)
    for value in values:
        assert program.decide("ioctl", (0, 0, value)).action == "allow"
        assert program.decide("ioctl", (0, 0, value ^ 1)).action == "errno"
        assert program.decide("ioctl", (0, 0, value ^ 1 << 63)).action == "errno"


def test_what_a_chain_of_rare_values_takes_in() -> None:
    diagram = Diagram()
    yes, no = diagram.leaf("yes"), diagram.leaf("no")

    def high(value: int) -> int:
        return diagram.make(5, FULL, (value, value + 1) if value else (1,), (no, yes, no) if value else (yes, no))

    def node(kids: dict[int, int]) -> int:
        cuts = sorted({edge for value in kids for edge in (value, value + 1)})
        return diagram.make(4, FULL, cuts, [no, *(kids.get(cut, no) for cut in cuts)])

    values = {10 * n: high(n) for n in range(1, 8)}
    index = node(values)
    even = [1 / len(diagram.nodes[index][3])] * len(diagram.nodes[index][3])
    found = rare(diagram, index, even)
    assert found is not None
    places, other, points, accept, refuse = found
    assert (other, points, accept, refuse) == (5, [1, 2, 3, 4, 5, 6, 7], yes, no)
    assert [diagram.nodes[index][2][place - 1] for place in places] == [10 * n for n in points]
    # what comes often stays in the tree
    often = [*even]
    often[places[2]] = 0.5
    assert rare(diagram, index, often)[2] == [1, 2, 4, 5, 6, 7]  # type: ignore[index]
    # so does what several values go to, or a value that is no test of one value; fewer than four are no chain
    assert rare(diagram, node({**values, 80: values[10]}), [0.0] * 40)[2] == [2, 3, 4, 5, 6, 7]  # type: ignore[index]
    # zero and all ones are told by one cut
    last = diagram.make(5, FULL, (FULL,), (no, yes))
    assert rare(diagram, node({**values, 80: high(0), 90: last}), [0.0] * 40)[2] == [0, *range(1, 8), FULL]  # type: ignore[index]
    wide = diagram.make(5, FULL, (3,), (no, yes))
    assert rare(diagram, node({**values, 20: wide}), [0.0] * 40)[2] == [1, 3, 4, 5, 6, 7]  # type: ignore[index]
    # nor is one that tells what lies below a value from what lies above it
    three = diagram.make(5, FULL, (2, 3), (no, yes, diagram.leaf("else")))
    assert rare(diagram, node({**values, 20: three}), [0.0] * 40)[2] == [1, 3, 4, 5, 6, 7]  # type: ignore[index]
    assert rare(diagram, node({value: kid for value, kid in values.items() if value < 40}), [0.0] * 40) is None


@pytest.mark.parametrize("optimize", ["fast", "full"])
def test_the_end_of_a_range_among_rare_values(optimize: str) -> None:
    singles = ", ".join(f"{high << 32 | high * 77 + 5:#x}" for high in range(1, 12))
    last = 0x40_0000_1234
    program = made(
        f"default: errno(EPERM)\nioctl: {{ reg2 in {{{singles}, {last:#x}}} -> errno(EACCES); "
        f"reg2 in {{1..{last:#x}}} -> log; else allow }}\n",
        optimize=optimize,
    )
    for value, action in ((last - 1, "log"), (last, "errno"), (last + 1, "allow"), (1 << 32 | 83, "log")):
        assert program.decide("ioctl", (0, 0, value)).action == action


def test_the_way_that_fits_beside_the_others_is_chosen() -> None:
    shared, own, dear = frozenset({1, 2, 3}), frozenset({4, 5}), frozenset({6})
    # alone, the second way is smaller; beside one that needs the same steps anyway, the first is free
    ways = [[(3, 0.0, shared)], [(3, 0.0, shared), (5, 0.0, own)]]
    assert choose(ways, 0.03) == [3, 3]
    assert choose(ways[1:], 0.03) == [5]
    # steps that are made often count more than instructions
    assert choose([[(6, 0.5, dear), (5, 0.0, own)]], 0.03) == [5]
    # two that may both change: the better pair
    assert choose([[(4, 0.0, own), (1, 0.0, shared)], [(6, 0.2, dear), (1, 0.0, shared)]], 0.03) == [1, 1]


@pytest.mark.parametrize("default", ["errno(EPERM)", "kill"])  # kill: foreign architectures come to the numbers, too
def test_the_launch_ticket_looks_once_at_the_end(default: str) -> None:
    policy = Policy.parse(f"default: {default}\nread: 1\n")
    gate = policy.gate("x86_64")
    ticket = (X86_64, frozenset({59, 322}))
    program = compile(gate, optimize="fast", ticket=ticket)
    assert proof.prove(gate, program, ticket=ticket)
    # 6 words: a load and a xor each, joined by 5 of `or x` and `tax`, and one test
    plain = compile(gate, optimize="fast")
    assert len(program.insns) >= len(plain.insns) + 6 * 2 + 5 * 2 + 1
    answer, steps = machine.run(program, X86_64, 59, (0, 0, 0, 1, 0, 0), 0)
    assert answer == (ERRNO.ret if default.startswith("errno") else KILL_PROCESS.ret)
    assert machine.run(program, X86_64, 59, (0, 0, 0, 0, 0, 1), 0) == (answer, steps)  # time tells nothing
    # the words are 0 before launch puts its own: such a call passes, of this architecture alone
    assert machine.run(program, X86_64, 59, (0,) * 6, 0)[0] == ALLOW.ret
    assert machine.run(program, AARCH64, 59, (0,) * 6, 0)[0] == KILL_PROCESS.ret
    # the architecture is asked before the ticket: a foreign call is spared its words
    assert machine.run(program, AARCH64, 59, (0, 0, 0, 1, 0, 0), 0)[1] < 10


@pytest.mark.parametrize("optimize", ["fast", "full"])
def test_the_same_gate_is_the_same_program(optimize: str) -> None:
    text = ALIKE + "socket: family in {AF_UNIX, AF_INET} else errno(EAFNOSUPPORT)\n"
    assert (
        made(text, "x86_64", "aarch64", optimize=optimize).insns
        == made(text, "x86_64", "aarch64", optimize=optimize).insns
    )


def test_what_one_setting_makes_too_long_the_other_may_make_fit() -> None:
    rules = []
    for at in range(300):
        terms = [
            f"(reg{at % 6} & {1 << bit | 1 << (bit + at) % 64}) == {1 << bit} && (reg{(at + 1) % 6} & {1 << bit}) != 0"
            for bit in range(3)
        ]
        rules.append(f"{at}: {' || '.join(terms)}")
    gate = Policy.parse("[x86_64]\n" + "\n".join(rules)).gate("x86_64")
    weights = in_short()
    with pytest.raises(TooLong, match=r"the program would have [56],\d+ instructions"):
        Assembly(gate, weights, Fast(weights.price), same, None).program()
    assert len(compile(gate, optimize="fast").insns) <= 4096
