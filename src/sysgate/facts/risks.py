"""What widens a confined process's reach, or undoes its confinement: calls, requests, options, flags."""

from __future__ import annotations

from sysgate.facts import table
from sysgate.value import Value


class Risk(Value):
    """Why something is dangerous.

    kind: call, ioctl, prctl, socket, setsockopt or flag. name: the call or constant. category: kernel-code,
    kernel-surface, filter-bypass, other-process, … reason: in a few words. cves: examples, up to five.
    """

    name: str
    kind: str
    category: str
    reason: str
    cves: tuple[str, ...]


def risks(name: str, kind: str = "call") -> tuple[Risk, ...]:
    """What is known against a call, or with another kind against a constant; empty where nothing is."""
    return tuple(risk for risk in map(_risk, table.rows_of("risks", name)) if risk.kind == kind)


def all_risks() -> tuple[Risk, ...]:
    """Everything the table holds, sorted by name."""
    return tuple(map(_risk, table.rows("risks")))


def _risk(fields: list[str]) -> Risk:
    name, kind, category, reason, cves = fields
    return Risk(name, kind, category, reason, tuple(cves.split(",")) if cves else ())
