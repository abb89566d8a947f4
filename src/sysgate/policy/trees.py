"""Building large trees without the garbage collector looking through them again and again."""

from __future__ import annotations

import gc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    _P = ParamSpec("_P")
    _R = TypeVar("_R")


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
