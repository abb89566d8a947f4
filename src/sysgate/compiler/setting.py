"""How hard to try: what `optimize="full"` and `"fast"` differ in."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sysgate.compiler.diagram import Order
    from sysgate.compiler.runs import Points, Runs, Tree
    from sysgate.policy.ruleset import Bound

    # Runs of a word of an argument → the tree that tells them apart; its targets are those of the runs.
    Planner = Callable[[Runs], Tree]
    # The same for call numbers: runs, the numbers that have a weight, the height below each target.
    Numbers = Callable[[Runs, Points, Mapping[int, int]], Tree]
    # The rules of a call → the orders of words to try.
    Orders = Callable[[Sequence[Bound]], Iterable[Order]]


class Setting:
    """planner, numbers: the trees for arguments and for numbers. orders: of the words of a call. seldom: the layouts to
    try (layout.lay_out). thorough: code every form of a test to see which is the cheapest.
    """

    def __init__(
        self, planner: Planner, numbers: Numbers, orders: Orders, seldom: tuple[float, ...], *, thorough: bool
    ) -> None:
        self.planner, self.numbers, self.orders = planner, numbers, orders
        self.seldom, self.thorough = seldom, thorough
