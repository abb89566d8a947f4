"""Every way to prove has a budget of steps, so that none runs away; a proof that is not finished is never one."""

from __future__ import annotations

from sysgate.errors import CompileError


class Spent(CompileError):
    """A budget is used up. Where another way is left it is tried; else this is what the caller is told."""

    def __init__(self, why: str) -> None:
        super().__init__(f"could not be proved within budget, nor refuted: {why}")
