"""`A & B`: the policy that allows what both allow."""

from __future__ import annotations

from sysgate.facts.arches import ARCHES
from sysgate.policy import ast


def both(first: ast.Policy, second: ast.Policy) -> ast.Policy:
    """Both must allow, as if the kernel asked the one and then the other.

    Of dialect "ftrace" where both are and its lines can say it; else raw filters become tests of registers.
    Raises UnfitError where one of them asks what no policy can see.
    """
    if first.dialect == second.dialect == "ftrace":
        from sysgate.policy.flat import flat

        made = _joined(first, second)
        said = flat(made)
        if not any(rule.arches or rule.body.otherwise for rule in said.rules) and not any(said.sides[0].default.keys()):
            return made
    if "ftrace" in (first.dialect, second.dialect):
        from sysgate.policy.registers import in_registers

        first, second = in_registers(first), in_registers(second)
    return _joined(first, second)


def _joined(first: ast.Policy, second: ast.Policy) -> ast.Policy:
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
