"""A policy as a diagram: what its rules answer to every call of one architecture, and which line says so.

The fourth place that knows how the kernel cuts arguments off, beside meaning, compiler and prover: this one writes
it as functions of single bits.
"""

from __future__ import annotations

from itertools import pairwise

from sysgate.action import ALLOW, Action
from sysgate.analyse import vector
from sysgate.analyse.forest import FALSE, TRUE, Overgrown
from sysgate.call import Call
from sysgate.errors import CompileError, ProofError
from sysgate.policy import ruleset

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from sysgate.analyse.space import Space
    from sysgate.analyse.vector import Vector
    from sysgate.decision import Origin

_NUMBER_BITS = 32


def diagram(
    space: Space, segments: Sequence[ruleset.Segment], leaf: Callable[[Action, Origin | None], Hashable] | None = None
) -> int:
    """The node that answers every call of an architecture as the segments say.

    leaf: what an answer and the line that gave it become as a leaf; without it, the Action alone.
    Raises CompileError where the rules are too intricate to be followed.
    """
    made = leaf or _action
    try:
        rules = _Rules(space)
        nodes: dict[tuple[object, ...], int] = {}
        runs = []
        for segment in segments:
            key = (*map(id, segment.rules), segment.answer, segment.origin)
            if key not in nodes:
                nodes[key] = space.mapped(rules.segment(segment), lambda value: space.leaf(_of(value, made)))
            runs.append((segment.low, nodes[key]))
        return _by_number(space, runs)
    except Overgrown:
        raise CompileError("what the rules decide together is too intricate to be followed") from None


def call(
    space: Space, segment: ruleset.Segment, leaf: Callable[[Action, Origin | None], Hashable] | None = None
) -> int:
    """The answer to the numbers of one segment alone, as in `diagram`."""
    try:
        return space.mapped(_Rules(space).segment(segment), lambda value: space.leaf(_of(value, leaf or _action)))
    except Overgrown:
        raise CompileError("what the rules decide together is too intricate to be followed") from None


def difference(space: Space, arch: str, program: int, policy: int) -> ProofError:
    """The error that shows a call which two diagrams of an architecture, not the same, answer differently."""
    differ = space.combined(program, policy, lambda one, other: one != other)
    number, args, pointer = space.call(space.example(differ))
    six = args[0], args[1], args[2], args[3], args[4], args[5]
    return ProofError("the policy does not mean what the programs do", Call(arch, number, six, pointer))


def _action(action: Action, origin: Origin | None) -> Hashable:
    return action


def _of(value: Hashable, made: Callable[[Action, Origin | None], Hashable]) -> Hashable:
    assert isinstance(value, tuple)
    return made(*value)


# runs: where each node begins, in order, the first at 0.
def _by_number(space: Space, runs: list[tuple[int, int]]) -> int:
    found = runs[-1][1]
    number = space.number()
    for (_, node), (start, _) in reversed(list(pairwise(runs))):
        below = vector.above(space, vector.constant(start), number)
        found = space.ite(below, node, found)
    return found


class _Rules:
    def __init__(self, space: Space) -> None:
        self.space = space
        self.known: dict[int, int] = {}  # by identity: resolving shares expressions between calls
        self.kept: list[ruleset.Bound] = []

    def segment(self, segment: ruleset.Segment) -> int:
        """The answer with the line it comes from, as leaves."""
        if not segment.rules:
            return self.space.leaf((segment.answer, segment.origin))
        found = self.space.leaf((ALLOW, None))
        for rule in segment.rules:
            found = self.space.combined(found, self.rule(rule), _stricter)
        return found

    def rule(self, rule: ruleset.Bound) -> int:
        found = self.known.get(id(rule))
        if found is None:
            found = self.space.leaf((rule.otherwise, rule.origin))
            for expr, action in reversed(rule.cases):
                found = self.space.ite(self.holds(expr), self.space.leaf((action, rule.origin)), found)
            self.known[id(rule)] = found
            self.kept.append(rule)  # an identity is good only as long as its object lives
        return found

    def holds(self, expr: ruleset.Expr) -> int:
        """Where an expression holds, as a set."""
        space = self.space
        if isinstance(expr, ruleset.Constant):
            return TRUE if expr.holds else FALSE
        if isinstance(expr, ruleset.Not):
            return space.negated(self.holds(expr.inner))
        if isinstance(expr, ruleset.All):
            found = TRUE
            for part in expr.parts:
                found = space.both(found, self.holds(part))
            return found
        if isinstance(expr, ruleset.Any):
            found = FALSE
            for part in expr.parts:
                found = space.either(found, self.holds(part))
            return found
        return _Test(space, expr.term).holds(expr)


class _Test:
    """One test: the term as a word of its bits, read as it reads them."""

    def __init__(self, space: Space, term: ruleset.Term) -> None:
        self.space, self.term = space, term
        word = _register(space, term)
        if term.mask is not None:
            word = vector.ands(space, word, vector.constant(term.mask, term.bits))
        self.word = word
        self.signed = term.signed and term.mask is None

    def holds(self, test: ruleset.Compare | ruleset.Shares | ruleset.Among) -> int:
        space = self.space
        if isinstance(test, ruleset.Shares):
            return vector.shares(space, self.word, vector.constant(test.mask, self.term.bits))
        if isinstance(test, ruleset.Compare):
            return self.compares(test.op, test.value)
        found = FALSE
        for low, high in test.items:
            if high is None:
                found = space.either(found, self.equals(low))
            else:
                found = space.either(found, space.both(self.at_least(low), self.at_most(high)))
        return found

    def compares(self, op: str, value: int) -> int:
        space = self.space
        if op in ("==", "!="):
            found = self.equals(value)
            return found if op == "==" else space.negated(found)
        if op in ("<", ">="):
            found = self.at_least(value)
            return found if op == ">=" else space.negated(found)
        found = self.at_most(value)
        return found if op == "<=" else space.negated(found)

    def equals(self, value: int) -> int:
        bits = self.term.bits
        if not -(1 << bits - 1) <= value < 1 << bits:
            return FALSE
        return vector.equal(self.space, self.word, vector.constant(value, bits))

    def at_least(self, value: int) -> int:
        least, most = self.ends()
        if value <= least or value > most:
            return TRUE if value <= least else FALSE
        return self.space.negated(vector.above(self.space, self.ordered_constant(value), self.ordered()))

    def at_most(self, value: int) -> int:
        least, most = self.ends()
        if value >= most or value < least:
            return TRUE if value >= most else FALSE
        return self.space.negated(vector.above(self.space, self.ordered(), self.ordered_constant(value)))

    def ends(self) -> tuple[int, int]:
        bits = self.term.bits
        return (-(1 << bits - 1), (1 << bits - 1) - 1) if self.signed else (0, (1 << bits) - 1)

    # Signed numbers compare as unsigned ones do once their highest bit is turned round.
    def ordered(self) -> Vector:
        return (*self.word[:-1], self.space.negated(self.word[-1])) if self.signed else self.word

    def ordered_constant(self, value: int) -> Vector:
        bits = self.term.bits
        return vector.constant(value + (1 << bits - 1) if self.signed else value, bits)


def _register(space: Space, term: ruleset.Term) -> Vector:
    if len(term.regs) == 1:
        return space.register(term.regs[0], 0, term.bits)
    low, high = term.regs
    return (space.register(low, 0, 32) + space.register(high, 0, 32))[: term.bits]


def _stricter(earlier: object, later: object) -> Hashable:
    assert isinstance(earlier, tuple)
    assert isinstance(later, tuple)
    return later if later[0].rank <= earlier[0].rank else earlier
