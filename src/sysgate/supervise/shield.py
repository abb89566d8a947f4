"""While this process answers for confined programs, they must not reach into it.

A program of the same user could otherwise trace it, take the listener (pidfd_getfd) or write its memory, and have its
own refusals answered "continue". A process that is not dumpable allows all that only to CAP_SYS_PTRACE
(ptrace(2), "Ptrace access mode checking"). The price, while it lasts: no core dump, and files under /proc/PID owned by
root.
"""

from __future__ import annotations

import os
from _thread import allocate_lock

from sysgate.kernel import task

_lock = allocate_lock()
_raised = 0
_before = 1


def up() -> None:
    """Not dumpable from now on. Call before the confined program starts; each call needs its `down`."""
    global _raised, _before
    with _lock:
        if _raised == 0:
            _before = task.dumpable()
            task.set_dumpable(0)
        _raised += 1


def down() -> None:
    """What was before, once the last that called `up` is done."""
    global _raised
    with _lock:
        _raised -= 1
        if _raised == 0 and _before == 1:
            task.set_dumpable(1)


def _renew_lock() -> None:
    # Another thread of the parent may have held it. _raised stays: where a listener was open, the fork has it too.
    global _lock
    _lock = allocate_lock()


os.register_at_fork(after_in_child=_renew_lock)
