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
    if env is None:  # not by get_exec_path: it loads a module to keep warnings quiet
        folders = os.environb.get(b"PATH", os.defpath.encode()).split(b":")
    else:
        folders = [os.fsencode(folder) for folder in os.get_exec_path(env)]
    return tuple([os.path.join(folder, program) for folder in folders])
