"""What a policy asks of a program, as sets: for each architecture and number the answers due, and where.

The prover's own reading of terms, comparisons and rules (DESIGN, "Arguments" and "Meaning"), apart from the
reference evaluation on integers and from the compiler's lowering on purpose: a test here is the set of values that a
masked pair of words may have.
"""

from __future__ import annotations

from sysgate.policy.ruleset import All, Among, Any, Compare, Constant, Not, Shares
from sysgate.proof.answers import answer
from sysgate.proof.graph import ARGS
from sysgate.proof.spans import WORD, Spans, complement, intersection, union, widened
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sysgate.action import Action
    from sysgate.policy.ruleset import Bound, Expr, Gate, Segment, Term

    # What an answer may be replaced by: one action, or several that are all right.
    Leaf = Callable[[Action], "Action | tuple[Action, ...]"]

Key = tuple[int, int, int, int]
"""Where a test looks: low word, mask, high word, mask. Without a high word its mask is 0 and it is NO_WORD."""

NO_WORD = -1


class Test(Value):
    """The value of the masked words, high half above low half, lies in spans."""

    key: Key
    spans: Spans

    def words(self) -> tuple[Key, list[tuple[Spans, Spans]]]:
        """The same said of each word by itself: where to look, and rectangles of what (high, low) may be there.

        The rectangles are apart in the high word, and no two have the same low ones. Without a high word it is one,
        with nothing in its place. Masks that reach up to the highest bit are gone.
        """
        low, low_mask, high, high_mask = self.key
        if high == NO_WORD:
            low_mask, lows = widened(low_mask, self.spans)
            return (low, low_mask, high, 0), [((), lows)]
        found = [(widened(high_mask, highs), widened(low_mask, lows)) for highs, lows in _rectangles(self.spans)]
        key = (low, widened(low_mask, ())[0], high, widened(high_mask, ())[0])
        return key, [(highs, lows) for (_, highs), (_, lows) in found if highs and lows]


class Both(Value):
    """Every part holds."""

    parts: tuple[Formula, ...]


class Either(Value):
    """Some part holds."""

    parts: tuple[Formula, ...]


Formula = bool | Test | Both | Either

Goal = tuple[tuple[Formula, tuple[int, ...]], ...]
"""The first formula that holds has the answers that are right; the last formula is True."""


class Law(Value):
    """What is due on one architecture. audit: its AUDIT_ARCH value; None for all that no other law is about.

    parts: (low, high, goal) for the numbers low … high, without gap or overlap, 0 … 2**32-1.
    """

    audit: int | None
    parts: tuple[tuple[int, int, Goal], ...]


def laws(gate: Gate, leaf: Leaf) -> tuple[Law, ...]:
    """The laws of a gate, the foreign architectures' last. leaf maps the answer that wins to what is right."""
    reader = _Reader(leaf)
    made = [Law(audit, reader.parts(segments)) for audit, segments in gate.entries]
    return (*made, Law(None, ((0, WORD, ((True, reader.right(gate.foreign)),)),)))


class _Reader:
    def __init__(self, leaf: Leaf) -> None:
        self.leaf = leaf
        # By identity: a policy's rules are large values, and the same ones stand for many numbers.
        self.goals: dict[int, Goal] = {}
        self.answers: dict[tuple[str, int], tuple[int, ...]] = {}

    def parts(self, segments: Iterable[Segment]) -> tuple[tuple[int, int, Goal], ...]:
        merged: list[tuple[int, int, Goal]] = []
        for segment in segments:
            goal = self.goal(segment.rules) if segment.rules else ((True, self.right(segment.answer)),)
            if merged and merged[-1][2] == goal:
                merged[-1] = (merged[-1][0], segment.high, goal)
            else:
                merged.append((segment.low, segment.high, goal))
        return tuple(merged)

    def right(self, action: Action) -> tuple[int, ...]:
        name = (action.kind, action.data)
        if name not in self.answers:
            due = self.leaf(action)
            actions = due if isinstance(due, tuple) else (due,)
            self.answers[name] = tuple(sorted({answer(each.ret) for each in actions}))
        return self.answers[name]

    def goal(self, rules: tuple[Bound, ...]) -> Goal:
        if id(rules) not in self.goals:
            self.goals[id(rules)] = _short([(formula, self.right(action)) for formula, action in _ranked(rules)])
        return self.goals[id(rules)]


# Rules as (formula, action): the first that holds wins.
def _ranked(rules: Sequence[Bound]) -> list[tuple[Formula, Action]]:
    if len(rules) == 1:
        [rule] = rules
        return [*((formula(expr), action) for expr, action in rule.cases), (True, rule.otherwise)]
    # Each rule gives one action for a call; the strictest of all wins, of equals the later rule's.
    entries: list[tuple[int, int, Formula, Action]] = []
    for place, rule in enumerate(rules):
        earlier: Formula = True
        for expr, action in rule.cases:
            entries.append((action.rank, -place, joined(Both, (earlier, formula(expr))), action))
            earlier = joined(Both, (earlier, formula(expr, holds=False)))
        entries.append((rule.otherwise.rank, -place, earlier, rule.otherwise))
    entries.sort(key=lambda entry: entry[:2])
    return [(each, action) for _, _, each, action in entries]


# What never holds, and what follows a formula that always holds, is left out; neighbours with one answer are joined.
def _short(entries: Iterable[tuple[Formula, tuple[int, ...]]]) -> Goal:
    runs: list[tuple[list[Formula], tuple[int, ...]]] = []
    for each, right in entries:
        if each is not False:
            if not runs or runs[-1][1] != right:
                runs.append(([], right))
            runs[-1][0].append(each)
        if each is True:
            break
    # Exactly one of each rule's formulas holds: the last of all is what is left when no other does.
    last = runs.pop()[1]
    return (*((joined(Either, parts), right) for parts, right in runs), (True, last))


def formula(expr: Expr, *, holds: bool = True) -> Formula:
    """The formula of an expression, or with holds=False of its opposite."""
    if isinstance(expr, Not):
        return formula(expr.inner, holds=not holds)
    if isinstance(expr, Constant):
        return expr.holds == holds
    if isinstance(expr, (All, Any)):
        kind = Both if isinstance(expr, All) == holds else Either
        return joined(kind, [formula(part, holds=holds) for part in expr.parts])
    key, spans = values(expr)
    return _test(key, spans if holds else complement(spans, _top(key)))


def joined(kind: type[Both] | type[Either], parts: Iterable[Formula]) -> Formula:
    """Parts under one and, or one or: nested ones unfolded, constants gone, tests of the same words made one."""
    decides = kind is Either
    tests: dict[Key, list[Spans]] = {}
    others: list[Formula] = []
    todo = list(parts)[::-1]
    while todo:
        part = todo.pop()
        if part is decides:
            return decides
        if isinstance(part, Test):
            tests.setdefault(part.key, []).append(part.spans)
        elif isinstance(part, kind):
            todo += part.parts[::-1]
        elif not isinstance(part, bool):
            others.append(part)
    merged: list[Formula] = []
    for key, sets in tests.items():
        one = _test(key, _joined_spans(sets, decides))
        if one is decides:
            return decides
        if not isinstance(one, bool):
            merged.append(one)
    merged += others
    if len(merged) < 2:
        return merged[0] if merged else not decides
    return kind(tuple(merged))


def _joined_spans(sets: list[Spans], either: bool) -> Spans:
    if len(sets) == 1:
        return sets[0]
    if either:
        return union(span for spans in sets for span in spans)
    shared = sets[0]
    for spans in sets[1:]:
        shared = intersection(shared, spans)
    return shared


def values(literal: Compare | Shares | Among) -> tuple[Key, Spans]:
    """Where a comparison looks, and for which values there it holds."""
    term = literal.term
    top = (1 << term.bits) - 1
    mask = top if term.mask is None else term.mask & top
    if isinstance(literal, Shares):
        return _key(term, mask & literal.mask), ((1, top),)
    if isinstance(literal, Among):
        spans = union(
            span
            for first, last in literal.items
            for span in (_equal(term, first) if last is None else _range(term, first, last))
        )
    else:
        spans = _compared(term, literal.op, literal.value)
    return _key(term, mask), spans


def _key(term: Term, mask: int) -> Key:
    low = ARGS + 2 * term.regs[0]
    if term.bits <= 32:
        return low, mask, NO_WORD, 0
    return low, mask & WORD, low + 1 if len(term.regs) == 1 else ARGS + 2 * term.regs[1], mask >> 32


def _top(key: Key) -> int:
    return WORD if key[2] == NO_WORD else WORD << 32 | WORD


# A test whose answer is known is a constant, one that looks at a single word has a key that says so.
def _test(key: Key, spans: Spans) -> Formula:
    low, low_mask, high, high_mask = key
    if high != NO_WORD and not high_mask:
        key, spans = (low, low_mask, NO_WORD, 0), intersection(spans, ((0, WORD),))
    elif high != NO_WORD and not low_mask:
        key = (high, high_mask, NO_WORD, 0)
        spans = union((-(-first >> 32), last >> 32) for first, last in spans)
    most = key[3] << 32 | key[1]
    if not spans or spans[0][0] > most:
        return False
    if spans[0][0] == 0 and spans[0][1] >= most:
        return True
    return Test(key, spans)


# 64-bit values as (high halves, low halves): apart in the high halves, no two with the same low halves.
def _rectangles(spans: Spans) -> list[tuple[Spans, Spans]]:
    by_high: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for start, end in spans:
        first, last = start >> 32, end >> 32
        if first == last:
            by_high.setdefault((first, first), []).append((start & WORD, end & WORD))
            continue
        if start & WORD:
            by_high.setdefault((first, first), []).append((start & WORD, WORD))
            first += 1
        if end & WORD != WORD:
            by_high.setdefault((last, last), []).append((0, end & WORD))
            last -= 1
        if first <= last:
            by_high.setdefault((first, last), []).append((0, WORD))
    by_low: dict[Spans, list[tuple[int, int]]] = {}
    for highs, lows in by_high.items():
        by_low.setdefault(tuple(lows) if len(lows) == 1 else union(lows), []).append(highs)
    return [(union(highs), lows) for lows, highs in by_low.items()]


# What a term's value may be for a comparison to hold, as its n bits (all 64 at most) read without sign.


def _compared(term: Term, op: str, value: int) -> Spans:
    if op == "==":
        return _equal(term, value)
    if op == "!=":
        return complement(_equal(term, value), (1 << term.bits) - 1)
    lowest, highest = -(1 << 64), 1 << 65  # beyond all values
    if op in ("<", "<="):
        return _range(term, lowest, value - (op == "<"))
    return _range(term, value + (op == ">"), highest)


def _equal(term: Term, value: int) -> Spans:
    size = 1 << term.bits
    return ((value % size, value % size),) if -size // 2 <= value < size else ()


def _range(term: Term, first: int, last: int) -> Spans:
    size = 1 << term.bits
    if not term.signed or term.mask is not None:
        return union(((max(first, 0), min(last, size - 1)),))
    negative = (max(first, -size // 2) + size, min(last, -1) + size)
    return union((negative, (max(first, 0), min(last, size // 2 - 1))))
