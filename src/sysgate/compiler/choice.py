"""Of several ways to code a call's rules the one that fits best beside those of all others: what is shared is free."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    # A way to code something: its first step, what it weighs in steps, and all steps it needs.
    Way = tuple[int, float, frozenset[int]]

ROUNDS = 3


def choose(ways: Sequence[Sequence[Way]], price: float) -> list[int]:
    """Which way to take for each: the first step of it. price: of a step, in steps per call.

    Each in turn takes what is cheapest beside the present choice of the others, until nobody changes.
    """
    chosen = [0] * len(ways)
    users: dict[int, int] = {}
    for options in ways:
        for step in options[0][2]:
            users[step] = users.get(step, 0) + 1
    for _ in range(ROUNDS):
        changed = False
        for at, options in enumerate(ways):
            if len(options) == 1:
                continue
            for step in options[chosen[at]][2]:
                users[step] -= 1
            costs = [weight + price * sum([not users.get(step) for step in needed]) for _, weight, needed in options]
            best = costs.index(min(costs))
            if costs[best] < costs[chosen[at]]:
                chosen[at] = best
                changed = True
            for step in options[chosen[at]][2]:
                users[step] = users.get(step, 0) + 1
        if not changed:
            break
    return [options[at][0] for options, at in zip(ways, chosen)]
