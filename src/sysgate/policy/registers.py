"""A policy of dialect "ftrace" as one of the language proper: the same tests, of raw registers."""

from __future__ import annotations

from sysgate.errors import UnfitError
from sysgate.facts import calls
from sysgate.facts.arches import ARCHES
from sysgate.policy import ast
from sysgate.policy import ruleset as rules
from sysgate.policy.typed import Typing, Unfit


def in_registers(policy: ast.Policy) -> ast.Policy:
    """The policy with each filter as a test of `reg0` … `reg5`; itself where its dialect is not "ftrace".

    Where an architecture lacks what a filter names, its call is refused there. Raises UnfitError for a filter of what
    no policy can see.
    """
    if policy.dialect != "ftrace":
        return policy
    made: list[ast.Placed] = []
    for rule in policy.rules:
        ((expr, answer),) = rule.body.cases
        if not isinstance(expr, ast.Raw):
            made.append(rule)
            continue
        for where, test in _tests(rule, expr).items():
            body = ast.Body(((test, answer),), None)
            made.append(ast.Placed(rule.heads, body, where, rule.scope, rule.source, rule.at, rule.end))
    return ast.Policy(policy.sides, policy.scopes, tuple(made), policy.named, "sysgate")


def _tests(rule: ast.Placed, raw: ast.Raw) -> dict[tuple[str, ...] | None, ast.Expr]:
    """By the architectures it is for, None for all: what a filter asks of a call's registers."""
    (head,) = rule.heads
    assert isinstance(head, ast.Name)  # the dialect has no other
    found: dict[ast.Expr, list[str]] = {}
    unfit: Unfit | None = None
    for arch in ARCHES:
        call = calls.resolve(arch, head.name)
        if call is None:
            continue
        test: ast.Expr = ast.NEVER
        try:
            test = _expr(Typing(arch, call, rule.source).expr(raw))
        except Unfit as error:
            unfit = error
        found.setdefault(test, []).append(arch)
    if unfit and list(found) == [ast.NEVER]:
        raise rule.source.error(unfit.missing.message, unfit.at, rule.end, unfit.missing.hint, UnfitError)
    if len(found) < 2:
        return dict.fromkeys([None], next(iter(found), ast.NEVER))
    return {tuple(where): test for test, where in found.items()}


def _expr(expr: rules.Expr) -> ast.Expr:
    if isinstance(expr, rules.Constant):
        return ast.Always(expr.holds)
    if isinstance(expr, rules.Not):
        return ast.Not(_expr(expr.inner))
    if isinstance(expr, (rules.All, rules.Any)):
        kind = ast.All if isinstance(expr, rules.All) else ast.Any
        return kind(tuple([_expr(part) for part in expr.parts]))
    assert not isinstance(expr, rules.Among)  # nor has it sets
    name = f"reg{expr.term.regs[0]}"
    if isinstance(expr, rules.Shares):
        return ast.Shares(name, expr.mask, 0)
    return ast.Compare(name, None, expr.op, expr.value, 0)
