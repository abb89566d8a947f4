"""Policy text that comes through a pipe or a terminal: read once, to its end, within bounds.

`-p <(generate)` names /dev/fd/63, which is a pipe; `-` is standard input, whatever that is.
"""

from __future__ import annotations

import os
import sys
from select import POLLIN, poll
from time import sleep

from sysgate.errors import PolicyError
from sysgate.policy.files import MOST, PIECE, bounded

_PATIENCE, _PAUSE = 50, 0.01  # so many pauses of so many seconds for somebody to open the other end


def read_open(descriptor: int, name: str) -> bytes:
    """All that comes from a FIFO or terminal opened without blocking. name: what errors call it.

    Raises PolicyError where nobody writes, or too much.
    """
    pieces: list[bytes] = []
    total = pauses = 0
    ready = poll()
    ready.register(descriptor, POLLIN)
    while True:
        try:
            piece = os.read(descriptor, PIECE)
        except BlockingIOError:  # there is a writer: it may take its time
            ready.poll()
            continue
        if not piece and not pieces and pauses < _PATIENCE:
            # A FIFO that nobody has opened for writing is at its end as well.
            pauses += 1
            sleep(_PAUSE)
            continue
        if not piece:
            break
        pieces.append(piece)
        total += len(piece)
        bounded(total, name)
    if not pieces:
        raise PolicyError("nothing comes from it", file=name, hint="a FIFO needs somebody who writes to it")
    return b"".join(pieces)


def standard_input(name: str = "<stdin>") -> bytes:
    """All of standard input. Raises PolicyError where it is closed, or gives too much."""
    if sys.stdin is None:
        raise PolicyError("standard input is closed", file=name)
    try:
        raw = sys.stdin.buffer.read(MOST + 1)
    except OSError as error:
        raise PolicyError(f"cannot be read: {error.strerror}", file=name) from None
    bounded(len(raw), name)
    return raw
