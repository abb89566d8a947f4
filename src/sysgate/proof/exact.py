"""Programs and policies as functions of single bits, compared: slower than boxes, and without their limits.

Seen loosely first, where that decides; else exactly.
"""

from __future__ import annotations

from sysgate.proof import computed, refine
from sysgate.proof.answers import ALLOW
from sysgate.proof.arithmetic import FALSE, TRUE
from sysgate.proof.bits import CONSTANT, Bits
from sysgate.proof.budget import Spent
from sysgate.proof.graph import ARCH, COMPUTED, EXPRESSION, NR, TICKET
from sysgate.proof.spans import WORD, Spans, union
from sysgate.proof.spec import Both, Test
from sysgate.proof.views import Exactly, Loosely, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sysgate.proof.budget import Budget
    from sysgate.proof.graph import Graph
    from sysgate.proof.judge import Ticket
    from sysgate.proof.spec import Formula, Goal, Law


def compare(one: Graph, two: Graph, audits: Sequence[int] | None, budget: Budget) -> str:
    """The view in which two programs are seen to answer all calls alike: "tests" or "bits".

    audits: the only architectures that count; None for all.
    Raises Difference where they do not, Spent where the budget is.
    """
    graphs = (one, two)

    def answers(view: View) -> tuple[int, int]:
        return _asked(view, audits, _program(view, one), _program(view, two))

    loose = Loosely(graphs, (), budget)
    if _agreed(loose, lambda: _wrong(loose.bits, *answers(loose), int.__eq__)):
        return "tests"

    view = Exactly(graphs, budget)
    had, due = answers(view)
    view.refute(_wrong(view.bits, had, due, lambda first, second: max(first, second) >= COMPUTED))
    for wrong in computed.differences(view.bits, one.symbols, had, due):
        view.refute(wrong)
    return "bits"


def judge(
    graph: Graph, laws: Sequence[Law], ticket: Ticket | None, audits: Sequence[int] | None, budget: Budget
) -> str:
    """As compare, for a program and what a policy asks of it."""

    def wrong(view: View) -> int:
        rights: list[tuple[int, ...]] = []
        due = _policy(view, laws, rights)
        if ticket is not None:
            here = view.bits.both(view.word(ARCH, WORD, _points((ticket[0],))), view.word(NR, WORD, _points(ticket[1])))
            due = view.bits.choose(view.bits.both(view.carries(), here), view.bits.constant(ALLOW), due)
        had, due = _asked(view, audits, _program(view, graph), due)
        return _wrong(view.bits, had, due, lambda had, right: right < 0 and had in rights[~right])

    loose = Loosely((graph,), {id(goal): goal for law in laws for _, _, goal in law.parts}.values(), budget)
    if _agreed(loose, lambda: wrong(loose)):
        return "tests"
    view = Exactly((graph,), budget)
    view.refute(wrong(view))
    return "bits"


# Is it settled, seen loosely, that nothing is wrong? Raises Difference where something is for certain.
def _agreed(view: Loosely, wrong: Callable[[], int]) -> bool:
    try:
        differ = wrong()
        if max(view.bits.constants) >= COMPUTED:  # of two computed answers it is not seen whether they are the same
            return differ == FALSE
        return refine.nowhere(view, differ)
    except Spent:  # seen exactly it may be small
        return False


# The answer of a program.
def _program(view: View, graph: Graph) -> int:
    bits = view.bits
    made: dict[int, int] = {}

    def reached(target: int) -> int:
        return made[target] if target >= 0 else bits.constant(~target)

    # Every node's successors stand after it.
    latest_first = sorted(enumerate(graph.nodes), key=lambda entry: (entry[1][5], entry[0]), reverse=True)
    for index, (word, mask, spans, yes, no, _) in latest_first:
        onward, otherwise = reached(yes), reached(no)
        if onward == otherwise:
            test = TRUE
        elif word == TICKET:
            test = view.carries()
        elif word == EXPRESSION:
            test = view.expression(graph.symbols, mask, spans)
        else:
            test = view.word(word, mask, spans)
        made[index] = bits.choose(test, onward, otherwise)
    return reached(graph.root)


# What is right by a policy: an answer, or the complement of a place in rights where several are.
def _policy(view: View, laws: Sequence[Law], rights: list[tuple[int, ...]]) -> int:
    bits = view.bits

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
                    found = bits.choose(_formula(view, formula), right(answers), found)
                goals[goal] = found
        edges = [(high, goals[goal]) for _, high, goal in law.parts]
        by_number = _by_number(bits, bits.data(NR, WORD), 31, 0, edges)
        if law.audit is None:
            due = by_number
        else:
            due = bits.choose(view.word(ARCH, WORD, _points((law.audit,))), by_number, due)
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


def _formula(view: View, formula: Formula) -> int:
    if isinstance(formula, bool):
        return TRUE if formula else FALSE
    if isinstance(formula, Test):
        return view.test(formula)
    join = view.bits.both if isinstance(formula, Both) else view.bits.either
    # Halves of halves: the parts that meet stay small for longer.
    parts = [_formula(view, part) for part in formula.parts]
    while len(parts) > 1:
        parts = [join(*parts[at : at + 2]) if at + 1 < len(parts) else parts[at] for at in range(0, len(parts), 2)]
    return parts[0]


# Two functions, made the same for architectures that are not asked about.
def _asked(view: View, audits: Sequence[int] | None, one: int, two: int) -> tuple[int, int]:
    if audits is None:
        return one, two
    asked = view.word(ARCH, WORD, _points(audits))
    return view.bits.choose(asked, one, TRUE), view.bits.choose(asked, two, TRUE)


# Where one's answer and two's differ, unless `fit` says that they go together.
def _wrong(bits: Bits, one: int, two: int, fit: Callable[[int, int], bool]) -> int:
    level, low, high = bits.level, bits.low, bits.high
    known: dict[tuple[int, int], int] = {}

    def wrong(one: int, two: int) -> int:
        if one == two:
            return FALSE
        key = (one, two)
        if key not in known:
            top = min(level[one], level[two])
            if top == CONSTANT:
                known[key] = FALSE if fit(low[one], low[two]) else TRUE
            else:
                one_low, one_high = (low[one], high[one]) if level[one] == top else (one, one)
                two_low, two_high = (low[two], high[two]) if level[two] == top else (two, two)
                known[key] = bits.node(top, wrong(one_low, two_low), wrong(one_high, two_high))
        return known[key]

    return wrong(one, two)


def _points(values: Sequence[int] | frozenset[int]) -> Spans:
    return union((value, value) for value in values)
