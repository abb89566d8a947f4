"""What was refused, in order of first sight, equal ones counted: memory stays bounded however long a program tries."""

from __future__ import annotations

from sysgate.supervise.denial import Denial
from sysgate.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

KEPT = 512  # denials told apart
KINDS = 512  # ... and beyond that, told apart by call number and rule only
THREADS = 8  # threads told apart for one and the same refusal


class Entry:
    """A denial as first seen, and its count, which grows."""

    __slots__ = ("count", "denial")

    def __init__(self, denial: Denial) -> None:
        self.denial = denial
        self.count = 0


class Ledger:
    """Denials by what makes them equal: `same` and the thread; once very many differ, `kind` alone."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._threads: dict[Hashable, dict[int, Entry]] = {}
        self._kinds: dict[Hashable, Entry] = {}
        self._pids: set[int] = set()

    @property
    def full(self) -> bool:
        """Whether new denials are from now on told apart by their kind only."""
        return len(self._entries) >= KEPT

    def known(self, same: Hashable, kind: Hashable, tid: int) -> Entry | None:
        """The entry in which a refusal is to be counted; None for one that needs an entry of its own (`add`)."""
        threads = self._threads.get(same)
        if threads and (tid in threads or len(threads) >= THREADS or self.full):
            return threads.get(tid) or next(iter(threads.values()))
        if not self.full:
            return None
        if kind not in self._kinds and len(self._kinds) >= KINDS:
            return self._entries[-1]
        return self._kinds.get(kind)

    def add(self, same: Hashable, kind: Hashable, denial: Denial) -> tuple[Entry, bool]:
        """A new entry, and whether no other thread was refused the same before."""
        entry, new = Entry(denial), same not in self._threads
        if self.full:
            self._kinds[kind] = entry
        else:
            self._threads.setdefault(same, {})[denial.tid] = entry
        self._entries.append(entry)
        self._pids.add(denial.pid)
        return entry, new

    def has_process(self, pid: int) -> bool:
        """Whether a process was refused anything before."""
        return pid in self._pids

    def denials(self) -> tuple[Denial, ...]:
        """All of them, counted so far."""
        return tuple(replace(entry.denial, count=entry.count) for entry in tuple(self._entries))
