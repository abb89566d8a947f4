"""The kernel's own filter language for trace events, as a library: `from sysgate.ftrace import Filter`."""

from __future__ import annotations

from sysgate.policy.ftrace import Filter

__all__ = ["Filter"]
