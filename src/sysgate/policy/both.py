"""`A & B`: the policy that allows what both allow."""

from __future__ import annotations

from sysgate.errors import PolicyError
from sysgate.facts.arches import ARCHES
from sysgate.policy import ast


def both(first: ast.Policy, second: ast.Policy) -> ast.Policy:
    """Both must allow, as if the kernel asked the one and then the other.

    Raises PolicyError where one is of the ftrace dialect and the other is not.
    """
    if first.dialect != second.dialect:
        raise PolicyError(f"a policy of dialect {first.dialect} and one of {second.dialect} make none together")
    sides, scopes, rules = len(first.sides), len(first.scopes), len(first.rules)
    named = {*first.named, *second.named}
    return ast.Policy(
        first.sides + tuple([ast.Side(side.since, side.default, side.end + rules) for side in second.sides]),
        first.scopes
        + tuple(
            [
                ast.Scope(scope.side + sides, scope.deny, None if scope.outer is None else scope.outer + scopes)
                for scope in second.scopes
            ]
        ),
        first.rules
        + tuple(
            [
                ast.Placed(rule.heads, rule.body, rule.arches, rule.scope + scopes, rule.source, rule.at, rule.end)
                for rule in second.rules
            ]
        ),
        tuple([arch for arch in ARCHES if arch in named]),
        first.dialect,
    )
