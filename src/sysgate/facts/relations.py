"""Calls that belong together: newer forms of older ones, families a C library chooses from, multiplexers."""

from __future__ import annotations

from sysgate.facts import table
from sysgate.facts.arches import ARCHES, letter


def twins(call: str, arch: str) -> tuple[str, ...]:
    """The older or newer forms of the same operation that an architecture may have beside a call, sorted.

    A policy that names one nearly always means both (fstat64 and fstat; futex_time64 and futex).
    """
    if arch not in ARCHES:
        return ()
    here = letter(arch)
    pairs = [(newer, older) for _, newer, older, letters in table.rows_of("relations", "twin") if here in letters]
    return tuple(sorted({b if call == a else a for a, b in pairs if call in (a, b)}))


def families(call: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The operations a C library may do by this call: (operation, all its calls), sorted by operation."""
    found = ((operation, tuple(calls.split())) for _, operation, calls, _ in table.rows_of("relations", "family"))
    return tuple(sorted((operation, calls) for operation, calls in found if call in calls))


def multiplexed(multiplexer: str, arch: str) -> tuple[tuple[int, str], ...]:
    """The calls behind `socketcall` or `ipc` on an architecture: (first argument, call), by number.

    Empty where the architecture has no such multiplexer.
    """
    if arch not in ARCHES or multiplexer not in {"socketcall", "ipc"}:
        return ()
    here = letter(arch)
    found = table.rows_of("relations", multiplexer)
    return tuple(sorted((int(number), call) for _, number, call, letters in found if here in letters))
