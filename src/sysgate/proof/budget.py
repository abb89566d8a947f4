"""Every way to prove has a budget of steps, so that none runs away; a proof that is not finished is never one."""

from __future__ import annotations

from sysgate.errors import CompileError
from sysgate.value import Value


class Budget(Value):
    """How many steps a proof may take. diagrams: in each view (proof/views); search: in a search."""

    diagrams: int
    search: int


# What is hard for diagrams is often easy for the search, and the reverse: both have a short try first. The long one
# is some three seconds each.
BUDGETS = (Budget(100_000, 2_500_000), Budget(1_000_000, 4_000_000))


class Spent(CompileError):
    """A budget is used up. Where another way is left it is tried; else this is what the caller is told."""

    def __init__(self, why: str) -> None:
        super().__init__(f"could not be proved within budget, nor refuted: {why}")
