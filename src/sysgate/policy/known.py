"""What Linux knows, asked for all architectures or a section's: calls, constants, and calls' arguments.

Answers are kept: a long policy asks the same of few names.
"""

from __future__ import annotations

from sysgate.facts import calls, constants
from sysgate.facts.arches import ARCHES, native
from sysgate.facts.prototypes import prototype
from sysgate.policy import ast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_constants: dict[str, bool] = {}
_calls: dict[str, bool] = {}
_arguments: dict[tuple[str, str, tuple[str, ...] | None], bool] = {}


def known_constant(name: str) -> bool:
    """Whether some architecture has a constant of this name."""
    if name not in _constants:
        # Its value on the first is wanted later anyway.
        _constants[name] = constants.value(name, order()[0]) is not None or constants.exists(name)
    return _constants[name]


def known_call(name: str) -> bool:
    """Whether some architecture has a call that goes by this name."""
    if name not in _calls:
        # The first table is read anyway; that of all names only where it does not help.
        _calls[name] = name in calls.table(order()[0]) or calls.known(name)
    return _calls[name]


def has_argument(name: str, argument: str, arches: tuple[str, ...] | None) -> bool:
    """Whether a call has an argument on one of these architectures (None: of all); True where none has the call."""
    key = name, argument, arches
    if key not in _arguments:
        _arguments[key] = _has_argument(name, argument, order() if arches in (None, ast.NOWHERE) else arches)
    return _arguments[key]


def _has_argument(name: str, argument: str, arches: Iterable[str]) -> bool:
    missing = True
    for arch in arches:
        call = calls.resolve(arch, name)
        declared = prototype(call, arch) if call else None
        if declared:
            if declared.argument(argument):
                return True
            missing = False
    return missing


def arguments(name: str, arches: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The argument names of a call, on the first of the architectures that has it; None where they are not known."""
    for arch in order() if arches in (None, ast.NOWHERE) else arches:
        call = calls.resolve(arch, name)
        declared = prototype(call, arch) if call else None
        if declared:
            return None if declared.args is None else tuple(argument.name for argument in declared.args)
    return None


def plain_value(const: ast.Const, arch: str) -> int | None:
    """A constant's value where no argument says how wide it is; None where that, or the architecture's value, lacks."""
    if isinstance(const, int):
        return const
    if isinstance(const, str):
        return constants.value(const, arch)
    if isinstance(const, ast.Minus):
        inner = plain_value(const.inner, arch)
        return None if inner is None else -inner
    if isinstance(const, ast.Union):
        total = 0
        for part in const.parts:
            value = plain_value(part, arch)
            if value is None:
                return None
            total |= value
        return total
    return None


_ordered: list[str] = []


def order() -> list[str]:
    """All architectures, the one whose tables are read anyway first."""
    if not _ordered:
        here = native()
        _ordered.extend(dict.fromkeys((here.name, *ARCHES) if here else ARCHES))
    return _ordered


def elsewhere(name: str) -> str:
    """A hint that names the architectures which have a call."""
    having = [arch for arch in ARCHES if calls.resolve(arch, name)]
    return f"it is a call of {', '.join(having)}" if having else ""
