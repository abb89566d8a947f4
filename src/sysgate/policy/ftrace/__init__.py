"""The kernel's own filter language for trace events, one filter string for one event.

A library of its own (`sysgate.ftrace.Filter`), usable for trace filters too; `to_expr` lends it to policies.
"""

from __future__ import annotations

from sysgate.policy.ftrace.expr import to_expr
from sysgate.policy.ftrace.filter import Filter

__all__ = ["Filter", "to_expr"]
