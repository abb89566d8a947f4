"""Rules as a plain chain of tests, one after the other: never larger than what was written.

A diagram that joins conditions on several words can be exponentially larger than its rules. The chain asks rule after
rule, as most other compilers do, and is what is left when a diagram outgrows its budget. The nodes are a Diagram's,
but along a path the words come in no order.
"""

from __future__ import annotations

from sysgate.compiler.lower import grouped, read
from sysgate.policy.ruleset import All, Any, Constant, Not

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.action import Action
    from sysgate.compiler.lower import Lowering
    from sysgate.policy.ruleset import Bound, Expr


def chain(lowering: Lowering, rules: Sequence[Bound]) -> int:
    """The diagram of the strictest of all rules' answers, of equals the later; linear in the rules.

    The strictest answers are sought first: for each rank every rule that can give it is asked once, the last first.
    """
    diagram = lowering.diagram
    given: dict[int, dict[Action, None]] = {}  # by rank
    for rule in rules:
        for action in (rule.otherwise, *(action for _, action in rule.cases)):
            given.setdefault(action.rank, {})[action] = None
    mildest = max(given)
    # Where no rule gives a stricter answer, some rule gives one of the last rank: this leaf is never reached.
    rest = diagram.leaf(next(iter(given[mildest])))
    for rank in sorted(given, reverse=True):
        if rank == mildest and len(given[rank]) == 1:
            continue
        for rule in rules:
            if not any(action.rank == rank for action in (rule.otherwise, *(action for _, action in rule.cases))):
                continue
            found = diagram.leaf(rule.otherwise) if rule.otherwise.rank == rank else rest
            for expr, action in reversed(rule.cases):
                found = _test(lowering, expr, diagram.leaf(action) if action.rank == rank else rest, found)
            rest = found
    return rest


def _test(lowering: Lowering, expr: Expr, yes: int, no: int) -> int:
    # Goes on with yes where the expression holds, else with no.
    if isinstance(expr, Not):
        return _test(lowering, expr.inner, no, yes)
    if isinstance(expr, Constant):
        return yes if expr.holds else no
    if isinstance(expr, (Any, All)):
        entries = grouped(expr)
        going = no if isinstance(expr, Any) else yes
        for where, held, part in reversed(entries):
            left, right = (yes, going) if isinstance(expr, Any) else (going, no)
            if where is None:
                going = _test(lowering, part, left, right)
            else:
                going = _branch(lowering, lowering.literal(where, held), left, right)
        return going
    return _branch(lowering, lowering.literal(*read(expr)), yes, no)


def _branch(lowering: Lowering, condition: int, yes: int, no: int) -> int:
    leaves = {lowering.true: yes, lowering.false: no}
    return lowering.diagram.replace(condition, leaves.get, {})
