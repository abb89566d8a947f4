"""Frozen values: the base of everything that flows from floor to floor.

A subclass names its fields with annotations, in order; a field with a class-level default may be
left out. To type checkers it is a frozen dataclass; at run time it costs a tenth of one to define,
because nothing is generated or compiled (forty dataclasses cost more at start than Python itself).
"""

from __future__ import annotations

import gc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar, ParamSpec, TypeVar, dataclass_transform

    _V = TypeVar("_V", bound="Value")
    _P = ParamSpec("_P")
    _R = TypeVar("_R")
else:

    def dataclass_transform(**_: object):
        return lambda cls: cls


class _ValueType(type):
    """Turns a class's annotations into slots and remembers defaults."""

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> _ValueType:
        own = tuple(field for field in body.get("__annotations__", ()) if not field.startswith("_"))
        defaults = {field: body.pop(field) for field in own if field in body}
        body.setdefault("__slots__", own)
        cls = super().__new__(mcs, name, bases, body)
        inherited: tuple[str, ...] = ()
        merged: dict[str, Any] = {}
        for base in reversed(bases):
            inherited += getattr(base, "_fields", ())
            merged.update(getattr(base, "_defaults", {}))
        cls._fields = inherited + own  # type: ignore[attr-defined]
        cls._defaults = {**merged, **defaults}  # type: ignore[attr-defined]
        # The slots' own setters, half as slow as object.__setattr__, which has to look each up by name.
        cls._setters = tuple([getattr(cls, field).__set__ for field in cls._fields])  # type: ignore[attr-defined]
        return cls


@dataclass_transform(frozen_default=True, eq_default=True)
class Value(metaclass=_ValueType):
    """A frozen record: fields by position or name, equal when type and fields are."""

    _fields: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, Any]] = {}
    _setters: ClassVar[tuple[Callable[[Any, Any], None], ...]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        setters = self._setters
        if len(args) == len(setters) and not kwargs:
            for put, value in zip(setters, args):
                put(self, value)
            return
        fields = self._fields
        if len(args) > len(fields):
            raise TypeError(f"{type(self).__name__} takes {len(fields)} fields, not {len(args)}")
        given = {**self._defaults, **dict(zip(fields, args)), **kwargs}
        for field in fields:
            if field not in given:
                raise TypeError(f"{type(self).__name__} lacks {field}")
            object.__setattr__(self, field, given.pop(field))
        if given:
            raise TypeError(f"{type(self).__name__} has no field {', '.join(given)}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be deleted")

    def _astuple(self) -> tuple[Any, ...]:
        return tuple([getattr(self, field) for field in self._fields])

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(other) is not type(self):
            return NotImplemented
        return self._astuple() == other._astuple()

    def __hash__(self) -> int:
        return hash((type(self), self._astuple()))

    def __repr__(self) -> str:
        inside = ", ".join(f"{field}={getattr(self, field)!r}" for field in self._fields)
        return f"{type(self).__name__}({inside})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._astuple()


def replace(value: _V, **changes: Any) -> _V:
    """A copy of value with some fields changed. Raises TypeError for a field it lacks."""
    return type(value)(**{**{field: getattr(value, field) for field in value._fields}, **changes})


def building(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A function that makes many values and no circles of them: collection rests meanwhile.

    A policy of a megabyte is half a million values; walking over them takes twice as long as making them.
    """

    def built(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if not gc.isenabled():
            return function(*args, **kwargs)
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            gc.enable()

    built.__name__, built.__doc__ = function.__name__, function.__doc__
    return built
