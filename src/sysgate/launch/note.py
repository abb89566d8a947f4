"""The note that a running program leaves in the registry, for `status` and `ps`.

Programs that end within a moment, which nobody can ask about, leave none and pay for none: notes wait in a list until
they are due, and whoever waits for the program takes its note back. One thread writes what is due. It stays for a
second after the last program, since to start a thread costs a tenth of what a small program takes to run.
"""

from __future__ import annotations

import os
from _thread import allocate_lock, start_new_thread
from time import monotonic, sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.policy.ast import Policy

_MOMENT = 0.05  # seconds
_PATIENCE = 20  # moments without a note

_lock = allocate_lock()
_waiting: list[Note] = []
_writing = False


class Note:
    """A note about a child of this process, to be taken back once it has been waited for.

    form: of what was loaded, as launch.prepared names it. how: what put it in force.
    """

    def __init__(self, pid: int, policy: Policy | None, form: str, how: str) -> None:
        self._said = pid, policy, form, how
        self._path: str | None = None
        self._written = allocate_lock()
        self.due = monotonic() + _MOMENT
        if policy is not None:
            with _lock:
                _waiting.append(self)
                _ensure_thread()

    def take_back(self) -> None:
        """The program has ended. May be called again."""
        with _lock:
            if self in _waiting:
                _waiting.remove(self)
                return
        with self._written:
            if self._path is not None:
                from sysgate.life import registry

                registry.forget(self._path)
                self._path = None

    def hold(self) -> None:
        """Let `take_back` wait until it is written."""
        self._written.acquire()

    def write(self) -> None:
        """Write it down; what goes wrong leaves the program without a note."""
        from sysgate.life import registry

        pid, policy, form, how = self._said
        try:
            if policy is not None:
                self._path = registry.record(pid, policy, form=form, how=how)
        except Exception:  # a thread's exception would be printed, and nobody asked for the note
            self._path = None
        finally:
            self._written.release()


def _ensure_thread() -> None:
    global _writing
    if not _writing:
        try:
            start_new_thread(_write_what_is_due, ())
            _writing = True
        except RuntimeError:
            pass  # no thread to be had: then without


def _write_what_is_due() -> None:
    global _writing
    idle = 0
    while True:
        sleep(_MOMENT)
        now = monotonic()
        with _lock:
            due = [note for note in _waiting if note.due <= now]
            for note in due:
                _waiting.remove(note)
                note.hold()
            idle = 0 if _waiting or due else idle + 1
            if idle > _PATIENCE:
                _writing = False
                return
        for note in due:
            note.write()


def _forget_the_parents() -> None:
    # In a forked child the thread is gone, the notes are the parent's, and the lock may have been held.
    global _lock, _writing
    _lock, _writing = allocate_lock(), False
    _waiting.clear()


os.register_at_fork(after_in_child=_forget_the_parents)
