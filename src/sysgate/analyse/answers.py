"""What a call is answered, as the cases of a rule: the first whose condition holds, else the last."""

from __future__ import annotations

from sysgate.action import ALLOW, MAX_ERRNO, Action
from sysgate.analyse.conditions import Conditions
from sysgate.analyse.forest import FALSE, TRUE, Overgrown
from sysgate.analyse.said import Said
from sysgate.analyse.space import Space
from sysgate.errors import BpfError
from sysgate.facts import constants
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from sysgate.analyse.view import View

_USUAL = 20_000  # nodes that a call's part may need with one register after the other
_FEW = 3  # so many answers are put in every order; of more always the cheapest comes next


class Cases(Value):
    """first: (condition, leaf), the first that holds answers. last: the leaf where none does."""

    first: tuple[tuple[Said, Hashable], ...]
    last: Hashable

    @property
    def cost(self) -> float:
        return sum(condition.cost + 1 for condition, _ in self.first)


def cases(space: Space, node: int, seen: Mapping[int, tuple[View, ...]]) -> Cases:
    """The cases of the argument part of a diagram, as few and simple as were found.

    seen: by register, its views. Where two answers are left and one is allow, that one stands first: `condition else
    action`. Raises BpfError where no reasonable conditions were found.
    """
    if space.braided:
        # Most calls do not set registers against each other, even if some do: those are written as usual.
        usual = Space(budget=_USUAL)
        try:
            return _cases(Conditions(usual, seen), space.copied(node, usual))
        except (Overgrown, BpfError):
            pass
    try:
        return _cases(Conditions(space, seen), node)
    except Overgrown:
        raise BpfError("what is asked of the arguments is too intricate for a rule") from None


def _cases(conditions: Conditions, node: int) -> Cases:
    space = conditions.space
    leaves = space.leaves(node)
    where = {leaf: _where(conditions, node, leaf) for leaf in leaves}
    allows = [leaf for leaf in leaves if _allows(leaf)]
    if len(leaves) == 2 and len(allows) == 1:
        return _in_order(conditions, where, [*allows, *(leaf for leaf in leaves if leaf not in allows)])
    if len(leaves) <= _FEW:
        return _best_order(conditions, where, frozenset(leaves), {})
    return _cheapest_next(conditions, where)


def _allows(leaf: Hashable) -> bool:
    """Whether a leaf, an action or one with the line it comes from, lets the call pass."""
    return leaf == ALLOW or (isinstance(leaf, tuple) and leaf[0] == ALLOW)


def _where(conditions: Conditions, node: int, leaf: Hashable) -> int:
    return conditions.space.mapped(node, lambda value: TRUE if value == leaf else FALSE)


def _in_order(conditions: Conditions, where: dict[Hashable, int], order: Sequence[Hashable]) -> Cases:
    space, before, first = conditions.space, FALSE, []
    for leaf in order[:-1]:
        own = where[leaf]
        first.append((conditions.between(own, space.either(own, before)), leaf))
        before = space.either(before, own)
    return Cases(tuple(first), order[-1])


def _cheapest_next(conditions: Conditions, where: dict[Hashable, int]) -> Cases:
    space, before, first = conditions.space, FALSE, []
    left = dict(where)
    while len(left) > 1:
        ways = [(conditions.between(own, space.either(own, before)), leaf) for leaf, own in left.items()]
        condition, leaf = min(ways, key=lambda way: (way[0].cost, _allows(way[1])))
        first.append((condition, leaf))
        before = space.either(before, left.pop(leaf))
    return Cases(tuple(first), next(iter(left)))


def _best_order(
    conditions: Conditions,
    where: dict[Hashable, int],
    left: frozenset[Hashable],
    known: dict[frozenset[Hashable], Cases],
) -> Cases:
    """The cheapest order of the leaves that are left, the others having been asked before."""
    if left not in known:
        ordered = [leaf for leaf in where if leaf in left]
        if len(ordered) == 1:
            known[left] = Cases((), ordered[0])
        else:
            before = FALSE
            for leaf, own in where.items():
                if leaf not in left:
                    before = conditions.space.either(before, own)
            found = []
            reason = BpfError("")
            for leaf in ordered:
                try:
                    condition = conditions.between(where[leaf], conditions.space.either(where[leaf], before))
                    rest = _best_order(conditions, where, left - {leaf}, known)
                except BpfError as error:
                    reason = error  # another order may do
                    continue
                found.append(Cases(((condition, leaf), *rest.first), rest.last))
            if not found:
                raise reason
            known[left] = min(found, key=lambda one: (one.cost, _allows(one.last)))
    return known[left]


def action_text(action: Action, arch: str) -> str:
    """An action as a policy writes it, with the errno's name on an architecture."""
    kind = "kill" if action.kind == "kill_process" else action.kind
    if kind == "errno":
        assert 0 <= action.data <= MAX_ERRNO
        names = [name for name, value in constants.members("errno", arch).items() if value == action.data]
        return f"errno({names[0] if names else action.data})"
    return f"{kind}({action.data})" if action.data else kind
