"""The reference meaning: what a policy answers to one call, evaluated on integers, plainly.

Compiler and prover have their own ways; this one is written to be compared with DESIGN, row by row.
"""

from __future__ import annotations

from sysgate.action import ALLOW
from sysgate.facts.arches import arch as arch_named
from sysgate.policy import ruleset

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.action import Action
    from sysgate.call import Call
    from sysgate.decision import Origin


def decide(gate: ruleset.Gate, call: Call) -> tuple[Action, Origin | None]:
    """The answer to a call, and the line it comes from (None where no line says it)."""
    found = segment(gate, call)
    if found is None:
        return gate.foreign, None
    if not found.rules:
        return found.answer, found.origin
    action: Action = ALLOW
    origin: Origin | None = None
    for rule in found.rules:
        answer = _answer(rule, call.args)
        # The strictest wins, of equals the later.
        if answer.rank <= action.rank:
            action, origin = answer, rule.origin
    return action, origin


def holds(expr: ruleset.Expr, args: tuple[int, ...]) -> bool:
    """Whether an expression holds for six argument words."""
    if isinstance(expr, ruleset.Compare):
        return _compares(value(expr.term, args), expr.op, expr.value, expr.term)
    if isinstance(expr, ruleset.Any):
        for part in expr.parts:  # noqa: SIM110 - any() would add a frame to every level
            if holds(part, args):
                return True
        return False
    if isinstance(expr, ruleset.All):
        for part in expr.parts:  # noqa: SIM110
            if not holds(part, args):
                return False
        return True
    if isinstance(expr, ruleset.Not):
        return not holds(expr.inner, args)
    if isinstance(expr, ruleset.Constant):
        return expr.holds
    if isinstance(expr, ruleset.Shares):
        # Bits of the mask above the argument's meet nothing: the argument has none there.
        return _bits(expr.term, args) & expr.mask != 0
    number = value(expr.term, args)
    for low, high in expr.items:
        if high is None:
            if _equals(number, low, expr.term):
                return True
        elif low <= number <= high:
            return True
    return False


def value(term: ruleset.Term, args: tuple[int, ...]) -> int:
    """What a test looks at: the low bits that the kernel uses, read as it reads them."""
    bits = _bits(term, args)
    if term.mask is not None:
        return bits & term.mask
    return bits - (1 << term.bits) if term.signed and bits >> (term.bits - 1) else bits


def _bits(term: ruleset.Term, args: tuple[int, ...]) -> int:
    if len(term.regs) == 1:
        word = args[term.regs[0]]
    else:
        low, high = term.regs
        word = args[low] & 0xFFFF_FFFF | (args[high] & 0xFFFF_FFFF) << 32
    return word & ((1 << term.bits) - 1)


def _equals(number: int, constant: int, term: ruleset.Term) -> bool:
    n = term.bits
    if not -(1 << (n - 1)) <= constant < 1 << n:
        return False
    return (number - constant) % (1 << n) == 0


def _compares(number: int, op: str, constant: int, term: ruleset.Term) -> bool:
    if op == "==":
        return _equals(number, constant, term)
    if op == "!=":
        return not _equals(number, constant, term)
    if op == "<":
        return number < constant
    if op == "<=":
        return number <= constant
    if op == ">":
        return number > constant
    return number >= constant


def _answer(rule: ruleset.Bound, args: tuple[int, ...]) -> Action:
    for expr, action in rule.cases:
        if holds(expr, args):
            return action
    return rule.otherwise


def segment(gate: ruleset.Gate, call: Call) -> ruleset.Segment | None:
    """The rules for a call's number; None for an architecture that the gate does not cover."""
    known = call.arch if isinstance(call.arch, int) else arch_named(call.arch)
    audit = known if known is None or isinstance(known, int) else known.audit
    for asked, segments in gate.entries:
        if asked == audit:
            low, high = 0, len(segments)
            while high - low > 1:
                middle = (low + high) // 2
                if segments[middle].low <= call.nr:
                    low = middle
                else:
                    high = middle
            return segments[low]
    return None
