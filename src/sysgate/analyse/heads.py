"""Many calls as the heads of one rule: groups where they fit, else names, numbers only where there is no name."""

from __future__ import annotations

from sysgate.facts import calls, groups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence, Set

_LEAST_GAIN = 2


def grouped(names: Set[str], arches: Sequence[str], also: Set[str], silent: Set[str]) -> tuple[list[str], list[str]]:
    """The heads that stand for calls on all of some architectures, and the calls those name too much.

    names: the calls, by names that every one of the architectures reads the same way or lacks. also: calls that a
    group may contain besides, since they have rules of their own that are at least as strict. silent: calls of which a
    group may contain a few, which must then get a rule of their own: the second list.
    """
    left, extra = set(names), set[str]()
    heads: list[str] = []
    members = {group: _calls(group, arches) for group in groups.NAMES}
    while True:
        best: tuple[int, str] = (_LEAST_GAIN - 1, "")
        for group, inside in members.items():
            foreign = inside - names - also - extra
            new = len(inside & left)
            if len(foreign) * 5 > new or not foreign <= silent:
                continue
            gain = new - 1 - 2 * len(foreign)
            if gain > best[0]:
                best = gain, group
        if not best[1]:
            return sorted(heads) + sorted(left), sorted(extra)
        heads.append(best[1])
        extra |= members[best[1]] - names - also
        left -= members[best[1]]


def _calls(group: str, arches: Sequence[str]) -> set[str]:
    """What a group names on some of the architectures, each call under its name there."""
    named = groups.members(group) or ()
    return {found for arch in arches for name in named if (found := calls.resolve(arch, name))}


def numbers(ranges: Sequence[tuple[int, int]]) -> list[str]:
    """Numbers as heads: `451`, `471..0xffffffff`."""
    return [_number(low) if low == high else f"{_number(low)}..{_number(high)}" for low, high in ranges]


def _number(value: int) -> str:
    return str(value) if value < 0x1_0000 else hex(value)
