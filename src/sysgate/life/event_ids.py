"""The running kernel's ids of its system call events: `events/syscalls/sys_enter_X/id` in tracefs."""

from __future__ import annotations

import errno
import os
from functools import cache

from sysgate.errors import KernelError
from sysgate.facts import calls, ftrace_events

_FOLDERS = ("/sys/kernel/tracing/events/syscalls", "/sys/kernel/debug/tracing/events/syscalls")


def number(event_id: int, arch: str) -> int:
    """The number of the call whose enter event has this id.

    Raises KernelError: ENOSYS where the events cannot be read (tracefs is not mounted, or not ours to read),
    EINVAL for an id that no call's event has.
    """
    known = events()
    if known is None:
        raise KernelError(
            errno.ENOSYS, "the events of this kernel cannot be read: is tracefs mounted, and ours to read?"
        )
    call = calls.resolve(arch, known[event_id]) if event_id in known else None
    found = None if call is None else calls.number(arch, call)
    if found is None:
        raise KernelError(errno.EINVAL, f"no system call's event has the id {event_id}")
    return found


@cache
def events() -> dict[int, str] | None:
    """Every enter event by id, without `sys_enter_`; None where they cannot be read. Read once."""
    for folder in _FOLDERS:
        try:
            names = [name for name in os.listdir(folder) if name.startswith(ftrace_events.PREFIX)]
        except OSError:
            continue
        ids = {_id(f"{folder}/{name}/id"): name.removeprefix(ftrace_events.PREFIX) for name in sorted(names)}
        return {number: name for number, name in ids.items() if number is not None}
    return None


def _id(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
