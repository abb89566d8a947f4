"""Gates as `resolve` makes them, drawn at random: all terms, tests and actions, few numbers and many boundaries."""

from __future__ import annotations

from random import Random

from sysgate.action import Action
from sysgate.decision import Origin
from sysgate.policy.ruleset import (
    All,
    Among,
    Any,
    Bound,
    Compare,
    Constant,
    Expr,
    Gate,
    Not,
    Segment,
    Shares,
    Term,
    atoms,
)

X86_64, I386, AARCH64, S390X = 0xC000003E, 0x40000003, 0xC00000B7, 0x80000016
WORD = (1 << 64) - 1
ORIGIN = Origin("drawn.policy", 1, "drawn")
ACTIONS = (
    Action("allow"),
    Action("allow"),
    Action("errno", 1),
    Action("errno", 13),
    Action("errno", 4095),
    Action("errno", 0),
    Action("kill_process"),
    Action("kill_thread"),
    Action("trap", 7),
    Action("trace", 65535),
    Action("log"),
    Action("notify"),
)
CORNERS = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFF, 0xFFFF, 0x1_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
WIDE = (0x1_0000_0000, 0x1_0000_0001, 0x7FFF_FFFF_FFFF_FFFF, 0x8000_0000_0000_0000, WORD, 0xFFFF_FFFF_0000_0000)
OPERATORS = ("==", "!=", "<", "<=", ">", ">=")


def constant(random: Random, bits: int) -> int:
    """A constant to compare with: a corner or near one, negative too, sometimes out of range."""
    draw = random.random()
    if draw < 0.6:
        value = random.choice(CORNERS if bits <= 32 or random.random() < 0.5 else (*CORNERS, *WIDE))
    elif draw < 0.8:
        value = random.getrandbits(bits)
    else:
        value = -random.choice((1, 2, 3, 100, 1 << bits - 1))
    return max(-(1 << 63), min(WORD, value + random.choice((0, 0, 0, 1, -1))))


def term(random: Random, *, masked: bool) -> Term:
    """What a test looks at."""
    register = random.choice((0, 0, 0, 1, 1, 2, 5))
    draw = random.random()
    if draw < 0.35:
        bits, signed, regs = 64, False, (register,)
    elif draw < 0.65:
        bits, signed, regs = 32, random.random() < 0.5, (register,)
    elif draw < 0.75:
        bits, signed, regs = 64, True, (register,)
    elif draw < 0.85:
        bits, signed, regs = 16, random.random() < 0.5, (register,)
    else:
        bits, signed, regs = 64, random.random() < 0.5, (register, (register + 1) % 6)
    mask = _mask(random, bits) if masked and random.random() < 0.5 else None
    return Term(f"a{register}", bits, signed, regs, mask)


def _mask(random: Random, bits: int) -> int:
    draw = random.random()
    if draw < 0.4:
        return random.choice((1, 2, 3, 0x80, 0xFF, 0xF0F0, 0x8000_0000))
    if draw < 0.6:
        return ~random.choice((1, 3, 0x80, 0x8_0000))
    if draw < 0.8:
        return 1 << random.randrange(bits) | 1 << random.randrange(bits)
    return random.getrandbits(bits)


def expression(random: Random, depth: int) -> Expr:
    """A test, or several joined."""
    draw = random.random()
    if depth and draw < 0.45:
        parts = tuple(expression(random, depth - 1) for _ in range(random.choice((2, 2, 3, 4))))
        return (All if random.random() < 0.5 else Any)(parts)
    if draw < 0.5:
        return Not(expression(random, max(0, depth - 1)))
    if draw < 0.52:
        return Constant(random.random() < 0.5)
    if draw < 0.62:
        return Shares(one := term(random, masked=False), _mask(random, one.bits))
    looked = term(random, masked=True)
    # Beside a mask `resolve` has already made constants unsigned.
    values = (
        (lambda: abs(constant(random, looked.bits)))
        if looked.mask is not None
        else lambda: constant(random, looked.bits)
    )
    if draw < 0.8:
        return Compare(looked, random.choice(OPERATORS), values())
    items: list[tuple[int, int | None]] = []
    for _ in range(random.choice((1, 2, 3, 6))):
        if random.random() < 0.3:
            low, high = sorted((values(), values()))
            items.append((low, high))
        else:
            items.append((values(), None))
    return Among(looked, tuple(items))


def rules(random: Random, depth: int) -> tuple[Bound, ...]:
    """The rules of a number: mostly one."""
    made = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        cases = tuple(
            (Constant(True) if random.random() < 0.2 else expression(random, depth), random.choice(ACTIONS))
            for _ in range(random.choice((0, 1, 1, 1, 2, 3)))
        )
        made.append(Bound(cases, random.choice(ACTIONS), ORIGIN))
    return tuple(made)


def values(random: Random) -> Bound:
    """A rule on many values of 64 bits, and on ranges that end at them: most halves are of one value alone."""
    register = random.choice((0, 1, 5))
    looked = Term("wide", 64, False, (register,) if random.random() < 0.85 else (register, (register + 1) % 6))
    some = random.sample(ACTIONS[1:], 3)
    count = random.choice((5, 8, 12, 20))
    halves = [random.sample(range(count * spread), count) for spread in (3, 50)]
    for half in halves:
        half[0] = random.choice((half[0], half[1], 0, 0xFFFF_FFFF))
    random.shuffle(halves)
    made = [high << 32 | low for high, low in zip(*halves)]
    cases: list[tuple[Expr, Action]] = []
    for few in (made[::2], made[1::2]) if random.random() < 0.3 else (made,):
        cases.append((Among(looked, tuple((value, None) for value in few)), random.choice(some)))

    def edge() -> int:
        value: int = random.choice(made)
        value = random.choice((value, value, value | 0xFFFF_FFFF, value & ~0xFFFF_FFFF))
        return min(WORD, max(0, value + random.choice((0, 0, 0, 1, -1))))

    for _ in range(random.choice((1, 1, 2))):
        low, high = sorted((edge(), random.choice((0, 1, WORD, edge()))))
        beyond = Compare(looked, random.choice(OPERATORS[2:]), edge())
        cases.append((random.choice((beyond, Among(looked, ((low, high),)))), random.choice(some)))
    return Bound(tuple(cases), random.choice(some), ORIGIN)


def masks(random: Random) -> Bound:
    """A rule on masks of one register or two, some of which share bits."""
    registers = random.sample(range(6), 2)

    def test() -> Expr:
        bits = random.choice((16, 32, 32, 64))
        register = registers[random.random() < 0.3]
        mask = random.choice(
            (1, 2, 3, 6, 0x40, 0x43, 0x6400, 0xF0F0, 1 << 31, ~15 & WORD, 1 << 32 | 1, WORD << 32 & WORD)
        )
        draw = random.random()
        if draw < 0.3:
            return Shares(Term("flags", bits, False, (register,)), mask)
        looked = Term("flags", bits, random.random() < 0.3, (register,), mask if draw < 0.8 else None)
        value = random.choice((0, 1, 2, 3, mask, mask & -mask, 0x5421, 0x8000_0000))
        if draw < 0.5:
            return Among(looked, tuple((value ^ other, None) for other in random.sample(range(8), 3)))
        return Compare(looked, random.choice(OPERATORS), value)

    def joined(depth: int) -> Expr:
        if depth == 0 or random.random() < 0.3:
            return Not(test()) if random.random() < 0.2 else test()
        return random.choice((All, Any))(tuple(joined(depth - 1) for _ in range(random.choice((2, 2, 3)))))

    cases = tuple((joined(2), random.choice(ACTIONS)) for _ in range(random.choice((1, 2, 4))))
    return Bound(cases, random.choice(ACTIONS), ORIGIN)


def spread(random: Random) -> Bound:
    """A rule with many small values and ranges of a register, of several answers."""
    looked = Term("command", random.choice((32, 64)), random.random() < 0.2, (random.choice((1, 2)),))
    most = random.choice((16, 64, 300))
    cases = []
    for _ in range(random.choice((1, 2, 3))):
        lows = [random.randrange(most) for _ in range(random.choice((3, 8, 20)))]
        ends = (None, None, None, most // 8)
        items = tuple((low, end and low + random.randrange(end)) for low in lows for end in [random.choice(ends)])
        cases.append((Among(looked, items), random.choice(ACTIONS)))
    return Bound(tuple(cases), random.choice(ACTIONS), ORIGIN)


def hard_gate(random: Random) -> Gate:
    """A gate that leaves the compiler much to choose from: few calls, each with rules of many tests."""
    kinds = (values, values, masks, spread)
    made = [tuple(random.choice(kinds)(random) for _ in range(random.choice((1, 1, 2)))) for _ in range(3)]
    default = random.choice(ACTIONS)
    entries = []
    for audit in random.choice(((X86_64,), (X86_64,), (X86_64, I386), (AARCH64, I386, X86_64), (S390X,))):
        segments = []
        low = 0
        for number in sorted(random.sample(range(300), random.choice((1, 3, 6)))):
            if number > low:
                segments.append(Segment(low, number - 1, (), default, None))
            segments.append(Segment(number, number, random.choice(made), default, None))
            low = number + 1
        segments.append(Segment(low, 0xFFFF_FFFF, (), default, None))
        entries.append((audit, tuple(segments)))
    foreign = random.choice((default, random.choice(ACTIONS)))
    return Gate(tuple(entries), foreign, entries[0][0] == S390X)


def gate(random: Random, *, numbers: int = 12, depth: int = 2) -> Gate:
    """A gate of one or more architectures."""
    arches = random.choice(((X86_64,), (X86_64,), (X86_64, I386), (AARCH64, I386, X86_64), (S390X,)))
    shared = [rules(random, depth) for _ in range(3)]
    entries = []
    for audit in arches:
        edges = {0}
        while len(edges) < numbers:
            number = random.choice(
                (random.randrange(20), random.randrange(20), random.randrange(500), 1 << 30, 0xFFFF_FFFF)
            )
            edges |= {number, min(0xFFFF_FFFF, number + random.choice((1, 1, 1, 2, 9)))}
        listed = sorted(edges)
        default = random.choice(ACTIONS)
        segments = []
        for low, after in zip(listed, [*listed[1:], 1 << 32]):
            asked = random.choice(
                (
                    (),
                    (),
                    rules(random, depth),
                    random.choice(shared),
                    (Bound(((Constant(True), ACTIONS[0]),), default, ORIGIN),),
                )
            )
            segments.append(Segment(low, after - 1, asked, default, None))
        entries.append((audit, tuple(segments)))
    return Gate(tuple(entries), random.choice(ACTIONS), arches == (S390X,))


def interesting(made: Gate) -> tuple[list[int], list[int], list[int]]:
    """Architectures, numbers and argument words on both sides of every boundary in a gate."""
    audits = [0, 0x1234, *(audit for audit, _ in made.entries)]
    numbers: set[int] = set()
    words = {0, 1, WORD, 1 << 31, 1 << 32, 1 << 63}
    for _, segments in made.entries:
        for segment in segments:
            numbers |= {segment.low, segment.high}
            for each in [atom for rule in segment.rules for expr, _ in rule.cases for atom in atoms(expr)]:
                if isinstance(each, Shares):
                    words |= {each.mask, ~each.mask}
                else:
                    values = (
                        [each.value]
                        if isinstance(each, Compare)
                        else [v for item in each.items for v in item if v is not None]
                    )
                    mask = each.term.mask or 0
                    words |= {
                        edge
                        for value in values
                        for edge in (value - 1, value, value + 1, value | 1 << 40, value | ~mask)
                    }
    return audits, sorted(numbers), sorted({word & WORD for word in words})
