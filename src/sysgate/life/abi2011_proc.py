"""`/proc/<pid>/seccomp_filter` of 2011: which paths mean it, and what it says of a task."""

from __future__ import annotations

import os

from sysgate.facts import calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.life.abi2011_prctl import Task

NAME = b"seccomp_filter"
_AT_FDCWD = -100


def whose(path: bytes, dirfd: int, tid: int, tgid: int) -> int | None:
    """The process or thread whose filters a path names, seen by thread tid of process tgid; None for other paths.

    dirfd: what a relative path starts at, AT_FDCWD for the working directory.
    """
    if not path.endswith(NAME):
        return None
    if not path.startswith(b"/"):
        start = f"/proc/{tid}/cwd" if dirfd == _AT_FDCWD else f"/proc/{tid}/fd/{dirfd}"
        try:
            path = os.readlink(os.fsencode(start)) + b"/" + path
        except OSError:
            return None
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if len(parts) == 3 and parts[0] == b"proc":
        return _named(parts[1], tid, tgid)
    if len(parts) == 5 and parts[0] == b"proc" and parts[2] == b"task":
        return _named(parts[3], tid, tgid)
    return None


def _named(word: bytes, tid: int, tgid: int) -> int | None:
    if word == b"self":
        return tgid
    if word == b"thread-self":
        return tid
    return int(word) if word.isdigit() and len(word) < 10 else None


def listing(task: Task) -> str:
    """What the file says of a task, in the form it speaks; A's form is unknown, and B's stands for it."""
    if task.form is None or not (task.texts.touched or task.mode):
        return ""
    if task.form.letter == "c":
        return "".join(f"{nr} ({entry_point(task.arch, nr)}): {entry.text}\n" for nr, entry in task.texts.entries())
    filtering = int(task.mode == task.form.mode and not task.delayed)
    lines = [f"Filtering: {filtering}\n", f"FilterCount: {len(task.texts)}\n"]
    for nr, entry in task.texts.entries():
        lines.append(f"SystemCall: {nr} ({entry_point(task.arch, nr)})\nFilter: {entry.text}\n")
    return "".join(lines)


def entry_point(arch: str, nr: int) -> str:
    """The kernel's name for a call, `sys_newuname`; "unknown" where it has none."""
    name = calls.name(arch, nr)
    found = None if name is None else calls.entry(arch, name)
    return "unknown" if found is None or found == "-" else found
