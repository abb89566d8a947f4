"""When a call gets an answer, in the words of the rules themselves: what is left to say where they are too intricate.

Diagrams find the shortest condition, but not for every set of rules. What is said here joins the rules as they were
written, and is never much longer than they are.
"""

from __future__ import annotations

from sysgate.analyse import said, spelled, view
from sysgate.errors import CompileError
from sysgate.policy import meaning
from sysgate.policy.ruleset import All, Among, Any, Compare, Constant, Not, Shares

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

    from sysgate.action import Action
    from sysgate.analyse.said import Said
    from sysgate.analyse.view import View
    from sysgate.decision import Origin
    from sysgate.policy.ruleset import Bound, Expr, Segment, Term

    Views = Mapping[int, tuple[View, ...]]

_ALWAYS, _NEVER = Constant(True), Constant(False)
_MOST = 50_000  # conditions that are joined


def cases(segment: Segment, args: Sequence[int | None]) -> list[tuple[Expr, Action, Origin | None]]:
    """The answers of a segment's rules and when they are given, the first that holds; the last holds always.

    args: six words or fewer, None for "any value" and for those left out. Some cases may hold for no call.
    Raises CompileError where that would take too many words.
    """
    if not segment.rules:
        return [(_ALWAYS, segment.answer, segment.origin)]
    words = (*args, *(None,) * 6)[:6]
    rules = [(_ways(rule, words), rule.origin) for rule in segment.rules]
    every = {action for ways, _ in rules for _, action in ways}
    ranks = sorted({action.rank for action in every})
    found: list[tuple[Expr, Action, Origin | None]] = []
    # The strictest answers first, of equals the later rule's: as they win.
    for rank in ranks[:-1]:
        for ways, origin in reversed(rules):
            found += [(*given, origin) for given in _given(ways, {action for action in every if action.rank == rank})]
            _bounded(len(found))
    # Where no rule is stricter, all give an answer of the mildest rank, and the last one's counts.
    ways, origin = rules[-1]
    found += [(when, action, origin) for when, action in ways if action.rank == ranks[-1]]
    return _first_that_holds(found)


def possible(segment: Segment) -> list[Action]:
    """The answers that a segment's rules may come to."""
    if not segment.rules:
        return [segment.answer]
    return list(dict.fromkeys(action for rule in segment.rules for _, action in _ways(rule, (None,) * 6)))


def answers(segment: Segment, action: Action) -> Expr:
    """When a segment's rules come to an action. Raises CompileError where that would take too many words."""
    if not segment.rules:
        return _ALWAYS if segment.answer == action else _NEVER
    rules = [_ways(rule, (None,) * 6) for rule in segment.rules]
    every = {given for ways in rules for _, given in ways}
    alike = {given for given in every if given.rank == action.rank} - {action}
    none_stricter = all_of([_gives(ways, {given for given in every if given.rank >= action.rank}) for ways in rules])
    # Of equals the later wins: some rule gives the action, and none behind it another of its rank.
    found: list[Expr] = []
    others: list[Expr] = []
    for ways in reversed(rules):
        found.append(all_of([_gives(ways, {action}), *others]))
        if any(given in alike for _, given in ways):
            others.append(_gives(ways, every - alike - {action}))
        _bounded(len(found) * len(others))
    return all_of([none_stricter, any_of(found)])


def text(expr: Expr, views: Views) -> str:
    """An expression in the policy language. views: the call's (analyse/view)."""
    return said_of(expr, views).text


# A rule as (when, answer), the first that holds; the last holds always.
def _ways(rule: Bound, words: Sequence[int | None]) -> list[tuple[Expr, Action]]:
    found = [(_known(when, words), action) for when, action in (*rule.cases, (_ALWAYS, rule.otherwise))]
    return found[: next(at for at, (when, _) in enumerate(found) if when == _ALWAYS) + 1]


# The ways to wanted answers, each by itself.
def _given(ways: Sequence[tuple[Expr, Action]], wanted: Set[Action]) -> list[tuple[Expr, Action]]:
    found: list[tuple[Expr, Action]] = []
    unwanted: list[Expr] = []
    for when, action in ways:
        if action in wanted:
            found.append((all_of([*unwanted, when]), action))
            _bounded(len(found) * len(unwanted))
        else:
            unwanted.append(_not(when))
    return found


def _gives(ways: Sequence[tuple[Expr, Action]], wanted: Set[Action]) -> Expr:
    return any_of([when for when, _ in _given(ways, wanted)])


def _bounded(words: int) -> None:
    if words > _MOST:
        raise CompileError("what the rules decide together is too intricate for a rule")


def _first_that_holds(
    found: Sequence[tuple[Expr, Action, Origin | None]],
) -> list[tuple[Expr, Action, Origin | None]]:
    # Neighbours with the same answer are one case; nothing stands behind what always holds.
    made: list[tuple[Expr, Action, Origin | None]] = []
    for when, action, origin in found:
        if when == _NEVER:
            continue
        if made and made[-1][1:] == (action, origin):
            made[-1] = any_of([made[-1][0], when]), action, origin
        else:
            made.append((when, action, origin))
        if made[-1][0] == _ALWAYS:
            break
    # Every call has an answer, so that what comes last needs no condition; `e` is better read than `!(e)`.
    made[-1] = _ALWAYS, *made[-1][1:]
    if len(made) == 2 and isinstance(made[0][0], Not):
        made = [(made[0][0].inner, *made[1][1:]), (_ALWAYS, *made[0][1:])]
    return made


def _known(expr: Expr, words: Sequence[int | None]) -> Expr:
    """What is left of an expression where some words are given."""
    if isinstance(expr, Not):
        return _not(_known(expr.inner, words))
    if isinstance(expr, All):
        return all_of([_known(part, words) for part in expr.parts])
    if isinstance(expr, Any):
        return any_of([_known(part, words) for part in expr.parts])
    if isinstance(expr, Constant) or any(words[register] is None for register in expr.term.regs):
        return expr
    return Constant(meaning.holds(expr, tuple([word or 0 for word in words])))


def _not(expr: Expr) -> Expr:
    if isinstance(expr, Constant):
        return Constant(not expr.holds)
    return expr.inner if isinstance(expr, Not) else Not(expr)


def all_of(parts: Sequence[Expr]) -> Expr:
    """Where all the parts hold."""
    left = _without_known(_flat(All, parts, _ALWAYS), Any)
    if _NEVER in left:
        return _NEVER
    return All(tuple(left)) if len(left) > 1 else left[0] if left else _ALWAYS


def any_of(parts: Sequence[Expr]) -> Expr:
    """Where some part holds."""
    left = _without_known(_flat(Any, parts, _NEVER), All)
    if _ALWAYS in left:
        return _ALWAYS
    return Any(tuple(left)) if len(left) > 1 else left[0] if left else _NEVER


def _flat(kind: type[All] | type[Any], parts: Sequence[Expr], nothing: Constant) -> list[Expr]:
    found: dict[Expr, None] = {}
    for part in parts:
        for one in part.parts if isinstance(part, kind) else (part,):
            if one != nothing:
                found[one] = None
    return list(found)


# What a part says beside the others: a && (!a || b) is a && b, a && (a || b) is a; and the same turned round.
def _without_known(parts: list[Expr], inner: type[All] | type[Any]) -> list[Expr]:
    known = set(parts)
    found = []
    for part in parts:
        if not isinstance(part, inner):
            found.append(part)
        elif known.isdisjoint(part.parts):
            left = [one for one in part.parts if _not(one) not in known]
            found.append(part if len(left) == len(part.parts) else (any_of if inner is Any else all_of)(left))
    return found


def said_of(expr: Expr, views: Views) -> Said:
    """The same as a condition that can be joined to others."""
    if isinstance(expr, Constant):
        return said.ALWAYS if expr.holds else said.NEVER
    if isinstance(expr, Not):
        return said.negation(said_of(expr.inner, views))
    if isinstance(expr, All):
        return said.all_of([said_of(part, views) for part in expr.parts])
    if isinstance(expr, Any):
        return said.any_of([said_of(part, views) for part in expr.parts])
    seen = _view(expr.term, views)
    if isinstance(expr, Shares):
        return said.test(f"{seen.name} & {_mask(seen, expr.mask)}", 0)
    value = seen.name if expr.term.mask is None else f"({seen.name} & {_mask(seen, expr.term.mask)})"
    if isinstance(expr, Among):
        return said.test(f"{value} in {{{', '.join(_item(seen, expr, *item) for item in expr.items)}}}", 0)
    equal = expr.op in ("==", "!=")
    constant = _equal(seen, expr, expr.value) if equal else view.number(seen, expr.value)[0]
    return said.test(f"{value} {expr.op} {spelled.grouped(constant)}", 0)


def _view(term: Term, views: Views) -> View:
    for seen in views[term.regs[0]] if len(term.regs) == 1 else ():
        if (seen.name, seen.bits, seen.signed) == (term.name, term.bits, term.signed):
            return seen
    return view.View(term.name, term.regs[0], term.bits, term.signed, "", "", "", "")


def _mask(seen: View, mask: int) -> str:
    return spelled.grouped(view.mask(seen, mask & seen.full)[0])


def _item(seen: View, expr: Among, low: int, high: int | None) -> str:
    if high is None:
        return _equal(seen, expr, low)
    return f"{view.number(seen, low)[0]}..{view.number(seen, high)[0]}"


def _equal(seen: View, expr: Compare | Among, value: int) -> str:
    if not -(1 << seen.bits - 1) <= value < 1 << seen.bits:  # equals nothing, and is to stay so
        return hex(value)
    return view.equal(seen, value & seen.full, expr.term.mask)[0]
