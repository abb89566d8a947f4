"""In what order to look at the words of a call: the choices that `optimize="full"` tries."""

from __future__ import annotations

from itertools import permutations

from sysgate.compiler.diagram import Order
from sysgate.compiler.lower import variables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sysgate.policy.ruleset import Bound

PERMUTED = 3  # arguments all of whose orders are tried


def orders(rules: Sequence[Bound], plain: Order) -> Iterable[Order]:
    """The orders worth trying for the rules of one call, the plain one (every word by its index) first."""
    words = sorted({word for word, _ in variables(rules)})
    arguments = sorted({word // 2 for word in words})
    yield plain
    if len(arguments) <= PERMUTED:
        ways: Iterable[tuple[int, ...]] = permutations(arguments)
    else:
        ways = (tuple(arguments), tuple(reversed(arguments)))
    halves = len({word for word in words if word % 2}) > 0
    for way in ways:
        if way != tuple(arguments):
            yield Order([word for argument in way for word in (2 * argument, 2 * argument + 1)])
        if halves:
            yield Order([word for argument in way for word in (2 * argument + 1, 2 * argument)])
            if len(way) > 1:  # all low halves first
                yield Order([*(2 * argument for argument in way), *(2 * argument + 1 for argument in way)])
