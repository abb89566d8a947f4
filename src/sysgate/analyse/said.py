"""Conditions as text of the policy language, each with what it costs a reader, and how they join."""

from __future__ import annotations

from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_OR, _AND, _TEST = 1, 2, 3


class Said(Value):
    """A condition. binds: how strongly its outermost operator does. cost: how much there is to read."""

    text: str
    binds: int
    cost: float


ALWAYS = Said("1", _TEST, 0)
NEVER = Said("0", _TEST, 0)


def test(text: str, cost: float) -> Said:
    """One test, which needs no parentheses."""
    return Said(text, _TEST, cost)


def negation(inner: Said) -> Said:
    if inner == ALWAYS:
        return NEVER
    if inner == NEVER:
        return ALWAYS
    return Said(f"!({inner.text})", _TEST, inner.cost + 0.5)


def all_of(parts: Iterable[Said]) -> Said:
    """The condition that holds where every part does."""
    left = list(dict.fromkeys(part for part in parts if part != ALWAYS))
    if NEVER in left:
        return NEVER
    return _joined(left, " && ", _AND) if left else ALWAYS


def any_of(parts: Iterable[Said]) -> Said:
    """The condition that holds where some part does."""
    left = list(dict.fromkeys(part for part in parts if part != NEVER))
    if ALWAYS in left:
        return ALWAYS
    return _joined(left, " || ", _OR) if left else NEVER


def _joined(parts: list[Said], operator: str, binds: int) -> Said:
    if len(parts) == 1:
        return parts[0]
    texts = [f"({part.text})" if part.binds < binds else part.text for part in parts]
    return Said(operator.join(texts), binds, sum(part.cost for part in parts) + len(parts) - 1)
