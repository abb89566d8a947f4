"""Programs and policies as functions of single bits, compared: slower than boxes, and without their limits."""

from __future__ import annotations

from sysgate.proof import computed
from sysgate.proof.answers import ALLOW
from sysgate.proof.bits import CONSTANT, FALSE, TRUE, Bits
from sysgate.proof.graph import ARCH, COMPUTED, EXPRESSION, NR, TICKET, WORDS
from sysgate.proof.order import order
from sysgate.proof.spans import WORD, Spans, union
from sysgate.proof.spec import Both, Either, Test

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sysgate.proof.graph import Graph
    from sysgate.proof.judge import Ticket
    from sysgate.proof.spec import Formula, Goal, Law

    # The values of variables, by level, the last one first.
    _Path = tuple[int, int, "_Path | None"]

# Steps altogether, some five seconds; and for one test of an expression.
BUDGET, TEST_BUDGET = 2_000_000, 300_000

# The words of a call, those that a test of the launch ticket leaves in the registers, and whether it holds.
_WORDS = (*range(WORDS + 2), computed.CARRIES)


def compare(one: Graph, two: Graph, audits: Sequence[int] | None) -> None:
    """Raises Difference where two programs answer some call differently, CompileError where the budget is spent.

    audits: the only architectures that count; None for all.
    """
    bits = _bits(one, two)
    opaque: dict[tuple[int, Spans], int] = {}
    had, due = _asked(bits, audits, _program(bits, one, opaque), _program(bits, two, opaque))
    _compared(bits, had, due, lambda first, second: first >= COMPUTED or second >= COMPUTED)
    computed.compare(bits, one.symbols, had, due)


def judge(graph: Graph, laws: Sequence[Law], ticket: Ticket | None, audits: Sequence[int] | None) -> None:
    """As compare, for a program and what a policy asks of it."""
    bits = _bits(graph)
    rights: list[tuple[int, ...]] = []
    due = _policy(bits, laws, rights)
    if ticket is not None:
        carried = bits.both(
            bits.variable(computed.CARRIES, 0), bits.member(bits.data(ARCH, WORD), _points((ticket[0],)))
        )
        carried = bits.both(carried, bits.member(bits.data(NR, WORD), _points(ticket[1])))
        due = bits.choose(carried, bits.constant(ALLOW), due)
    had, due = _asked(bits, audits, _program(bits, graph, {}), due)
    _compared(bits, had, due, lambda had, right: right < 0 and had in rights[~right])


# Bits in an order for these graphs, with room for an opaque variable for each test of an expression.
def _bits(*graphs: Graph) -> Bits:
    tests = sum(node[0] == EXPRESSION for graph in graphs for node in graph.nodes)
    return Bits(order(graphs, (*_WORDS, *range(computed.OPAQUE, computed.OPAQUE + tests // 32 + 1))), BUDGET)


# The answer of a program. A test too hard to be taken apart becomes a variable of its own, the same one wherever that
# test is made: programs that agree whatever it says agree.
def _program(bits: Bits, graph: Graph, opaque: dict[tuple[int, Spans], int]) -> int:
    made: dict[int, int] = {}

    def reached(target: int) -> int:
        return made[target] if target >= 0 else bits.constant(~target)

    # Every node's successors stand after it.
    latest_first = sorted(enumerate(graph.nodes), key=lambda entry: (entry[1][5], entry[0]), reverse=True)
    for index, (word, mask, spans, yes, no, _) in latest_first:
        onward, otherwise = reached(yes), reached(no)
        test: int | None
        if onward == otherwise:
            test = TRUE
        elif word == TICKET:
            test = bits.variable(computed.CARRIES, 0)
        elif word == EXPRESSION:
            test = bits.tested(graph.symbols, mask, spans, TEST_BUDGET)
            if test is None:
                place = opaque.setdefault((mask, spans), len(opaque))
                test = bits.variable(computed.OPAQUE + place // 32, place % 32)
        else:
            test = bits.member(bits.data(word, mask), spans)
        made[index] = bits.choose(test, onward, otherwise)
    return reached(graph.root)


# What is right by a policy: an answer, or the complement of a place in rights where several are.
def _policy(bits: Bits, laws: Sequence[Law], rights: list[tuple[int, ...]]) -> int:
    def right(answers: tuple[int, ...]) -> int:
        if len(answers) == 1:
            return bits.constant(answers[0])
        if answers not in rights:
            rights.append(answers)
        return bits.constant(~rights.index(answers))

    due = FALSE
    for law in reversed(laws):
        goals: dict[Goal, int] = {}
        for _, _, goal in law.parts:
            if goal not in goals:
                found = right(goal[-1][1])
                for formula, answers in reversed(goal[:-1]):
                    found = bits.choose(_formula(bits, formula), right(answers), found)
                goals[goal] = found
        edges = [(high, goals[goal]) for _, high, goal in law.parts]
        by_number = _by_number(bits, bits.data(NR, WORD), 31, 0, edges)
        if law.audit is None:
            due = by_number
        else:
            due = bits.choose(bits.member(bits.data(ARCH, WORD), _points((law.audit,))), by_number, due)
    return due


# edges: up to which number (in) which function counts, for the numbers from low to low + 2**(bit + 1) - 1.
def _by_number(bits: Bits, number: list[int], bit: int, low: int, edges: list[tuple[int, int]]) -> int:
    if len(edges) == 1:
        return edges[0][1]
    middle = low + (1 << bit)
    below = [edge for edge in edges if edge[0] < middle]
    above = edges[len(below) :]
    if not below or below[-1][0] < middle - 1:
        below.append((middle - 1, above[0][1]))
    return bits.choose(
        number[bit],
        _by_number(bits, number, bit - 1, middle, above),
        _by_number(bits, number, bit - 1, low, below),
    )


def _formula(bits: Bits, formula: Formula) -> int:
    if isinstance(formula, bool):
        return TRUE if formula else FALSE
    if isinstance(formula, Test):
        low, low_mask, high, high_mask = formula.key
        word = bits.data(low, low_mask)
        return bits.member(word + bits.data(high, high_mask) if high_mask else word, formula.spans)
    assert isinstance(formula, (Both, Either))
    join = bits.both if isinstance(formula, Both) else bits.either
    # Halves of halves: the parts that meet stay small for longer.
    parts = [_formula(bits, part) for part in formula.parts]
    while len(parts) > 1:
        parts = [join(*parts[at : at + 2]) if at + 1 < len(parts) else parts[at] for at in range(0, len(parts), 2)]
    return parts[0]


# Two functions, made the same for architectures that are not asked about.
def _asked(bits: Bits, audits: Sequence[int] | None, one: int, two: int) -> tuple[int, int]:
    if audits is None:
        return one, two
    asked = bits.member(bits.data(ARCH, WORD), _points(audits))
    return bits.choose(asked, one, TRUE), bits.choose(asked, two, TRUE)


# Raises Difference where one's answer and two's differ, unless `fit` says that they belong together.
def _compared(bits: Bits, one: int, two: int, fit: Callable[[int, int], bool]) -> None:
    wrong = _apart(bits, one, two, fit)
    if wrong is not None:
        raise computed.difference(bits, wrong)


# The variables, by level, of a call to which two functions give answers that do not fit.
def _apart(bits: Bits, had: int, due: int, fit: Callable[[int, int], bool]) -> dict[int, int] | None:
    level, low, high = bits.level, bits.low, bits.high
    seen = set()
    stack: list[tuple[int, int, _Path | None]] = [(had, due, None)]
    while stack:
        one, two, path = stack.pop()
        if one == two or (one, two) in seen:
            continue
        seen.add((one, two))
        top = min(level[one], level[two])
        if level[one] == level[two] == CONSTANT:
            if fit(low[one], low[two]):
                continue
            found: dict[int, int] = {}
            while path is not None:
                at, value, path = path
                found[at] = value
            return found
        for value, half in ((0, low), (1, high)):
            stack.append(
                (
                    half[one] if level[one] == top else one,
                    half[two] if level[two] == top else two,
                    (top, value, path),
                )
            )
    return None


def _points(values: Sequence[int] | frozenset[int]) -> Spans:
    return union((value, value) for value in values)
