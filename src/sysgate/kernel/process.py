"""How a process stands: its filters and its signals, as the launch needs them, read in one go."""

from __future__ import annotations

import os

from sysgate.kernel import libc
from sysgate.value import Value

_NR_PRCTL = 157  # x86-64, where a launch is possible
_PR_GET_SECCOMP = 21
# SECCOMP_MODE_FILTER, and _DEAD: the same once a filter has killed it (kernel/seccomp.c, __seccomp_filter, Linux 5.17).
_WITH_FILTERS = (b"2", b"3")


class Standing(Value):
    """What /proc/PID/status says of a task's filters.

    filtered: it stands behind filters. filters: how many, None before Linux 5.9.
    """

    filtered: bool
    filters: int | None

    def narrowed(self, before: Standing) -> bool:
        """Whether it stands behind at least one filter more than before."""
        if self.filters is None or before.filters is None:
            return self.filtered
        return self.filtered and self.filters > before.filters


def standing(task: int | str) -> Standing | None:
    """Of a process by its number, or of this thread ("thread-self"); None where it is gone or not to be seen."""
    text = _status(task)
    mode = _field(text, b"\nSeccomp:\t")
    if mode is None:
        return None
    filters = _field(text, b"\nSeccomp_filters:\t")
    return Standing(mode in _WITH_FILTERS, None if filters is None else int(filters))


def own_standing() -> Standing | None:
    """Of the calling thread. Without any filter, the usual case, one prctl(2) tells that and /proc is not read."""
    if libc.call(_NR_PRCTL, _PR_GET_SECCOMP) == 0:
        return Standing(False, 0)
    return standing("thread-self")


def handled_signals() -> int:
    """This process's signals that have handlers, Python's or not, as bits 1 << (n - 1)."""
    return int(_field(_status("self"), b"\nSigCgt:\t") or b"0", 16)


def _status(task: int | str) -> bytes:
    try:
        file = os.open(f"/proc/{task}/status", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(file, 8192)
        finally:
            os.close(file)
    except OSError:
        return b""


def _field(text: bytes, key: bytes) -> bytes | None:
    start = text.find(key)
    if start < 0:
        return None
    start += len(key)
    return text[start : text.index(b"\n", start)]
