"""Where a program may lie: PATH, as execvp(3) and subprocess search it."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def candidates(program: bytes, env: Mapping[Any, Any] | None = None) -> tuple[bytes, ...]:
    """The files to try in order: the name itself if it has a slash, else in each folder of env's PATH.

    env None is this process's environment. No name is no file, and not the folders themselves (execvp(3)).
    """
    if not program or os.path.dirname(program):
        return (program,)
    return tuple([os.path.join(os.fsencode(folder), program) for folder in os.get_exec_path(env)])
