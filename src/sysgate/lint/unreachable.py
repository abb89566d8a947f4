"""Parts of a rule that can never decide anything."""

from __future__ import annotations

from sysgate.compiler.diagram import Diagram, Order, Overflow
from sysgate.compiler.lower import Lowering
from sysgate.lint.finding import Finding, Subject, at
from sysgate.policy import ruleset

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sysgate.policy.ruleset import Bound

CHECK = "unreachable"
_BUDGET = 2_000  # nodes: a check that would need more says nothing


def check(subject: Subject) -> Iterator[Finding]:
    """Cases that earlier ones have taken all calls from, and rules whose condition always or never holds."""
    for _, _, bound in subject.bounds():
        try:
            yield from _findings(bound)
        except Overflow:
            continue


def _findings(bound: Bound) -> Iterator[Finding]:
    diagram = Diagram()
    diagram.budget = _BUDGET
    lowering = Lowering(diagram, Order())
    taken: tuple[ruleset.Expr, ...] = ()
    before = lowering.false
    for place, (expr, _) in enumerate(bound.cases, 1):
        # A single comparison that is constant is constant_tests' to tell.
        plain = isinstance(expr, (ruleset.Constant, ruleset.Compare))
        alone = lowering.condition(expr)
        taken = (*taken, expr)
        now = lowering.condition(ruleset.Any(taken))
        if not plain and alone == lowering.false:
            yield at(bound.origin, CHECK, f"{_case(bound, place)} never holds", "is an && meant to be an ||?")
        elif now == before and not plain:
            yield at(bound.origin, CHECK, f"case {place} is never reached: earlier cases take all its calls", "")
        elif not plain and alone == lowering.true:
            yield at(bound.origin, CHECK, f"{_case(bound, place)} always holds", "write 1 if that is meant")
        before = now
    if before == lowering.true and len(bound.cases) > 1 and bound.origin is not None and "else" in bound.origin.text:
        yield at(bound.origin, CHECK, "the else is never reached: the cases take every call", "")


def _case(bound: Bound, place: int) -> str:
    return "the condition" if len(bound.cases) == 1 else f"case {place}"
