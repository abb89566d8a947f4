"""The note that a running program leaves in the registry, for `status` and `ps`.

Programs that end within a moment, which nobody can ask about, leave none and pay for none: a thread waits, writes the
note if the program is still there, and whoever waits for the program takes it back.
"""

from __future__ import annotations

from _thread import allocate_lock, start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.policy.ast import Policy

_MOMENT = 0.05  # seconds


class Note:
    """A note about a child of this process, to be taken back once it has been waited for.

    form: of what was loaded, as launch.prepared names it. how: what put it in force.
    """

    def __init__(self, pid: int, policy: Policy | None, form: str, how: str) -> None:
        self._path: str | None = None
        self._over, self._written = allocate_lock(), allocate_lock()
        self._over.acquire()
        if policy is None:
            return
        self._written.acquire()
        try:
            start_new_thread(self._write, (pid, policy, form, how))
        except RuntimeError:  # no thread to be had: then without
            self._written.release()

    def take_back(self) -> None:
        """The program has ended. May be called again."""
        if not self._over.locked():
            return
        self._over.release()
        with self._written:
            if self._path is not None:
                from sysgate.life import registry

                registry.forget(self._path)

    def _write(self, pid: int, policy: Policy, form: str, how: str) -> None:
        try:
            if self._over.acquire(timeout=_MOMENT):
                self._over.release()
                return
            from sysgate.life import registry

            self._path = registry.record(pid, policy, form=form, how=how)
        finally:
            self._written.release()
