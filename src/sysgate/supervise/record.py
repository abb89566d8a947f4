"""From a refused call, while its thread waits, to a denial in the ledger: who it was, what the pointers point at."""

from __future__ import annotations

from sysgate.decode import escaped, shown
from sysgate.facts.prototypes import prototype
from sysgate.kernel import memory, procfs
from sysgate.supervise import narrow
from sysgate.supervise.denial import Denial
from sysgate.supervise.ledger import Ledger
from sysgate.supervise.startup import in_startup
from sysgate.supervise.suggest import suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from sysgate.call import Call
    from sysgate.facts.prototypes import Argument
    from sysgate.supervise.answer import Judge, Verdict
    from sysgate.supervise.ledger import Entry

_KEPT = 1024
_TEXT = ("path", "string")
# What differs from call to call without meaning anything: two calls that differ in these only are counted as equal.
_FLEETING = ("pointer", "address", "size", "offset", "time", *_TEXT)

Strings = tuple[tuple[int, bytes], ...]
Places = tuple[tuple[int, int], ...]


class Recorder:
    """Keeps the ledger of one run.

    observing: for rules to be written of it, so calls for which the same rule would be written are one.
    """

    def __init__(self, judge: Judge, *, observing: bool = False) -> None:
        self.ledger = Ledger()
        self._observing = observing
        self._judge = judge
        self._reader = memory.Reader()
        self._places: dict[tuple[str | int, int], Places] = {}

    def strings(self, places: Places, tid: int, args: Sequence[int]) -> Strings:
        """What a thread's string arguments point at now: (place in the argument list, bytes)."""
        found = []
        for place, register in places:
            text = self._reader.string(tid, args[register])
            if text is not None:
                found.append((place, text))
        return tuple(found)

    def places(self, call: Call) -> Places:
        """Where a call has strings that count: (place in the argument list, register)."""
        if self._observing:
            return ()
        key = call.arch, call.nr
        if key not in self._places:
            if len(self._places) >= _KEPT:  # a program can make calls of four milliard numbers
                self._places.clear()
            arguments = enumerate(_arguments(call))
            self._places[key] = tuple((at, each.regs[0]) for at, each in arguments if each.kind in _TEXT and each.regs)
        return self._places[key]

    def entry(
        self, verdict: Verdict, tid: int, strings: Strings, valid: Callable[[], bool]
    ) -> tuple[Entry, bool] | None:
        """The ledger's entry for a refused call, not yet counted, and whether nothing like it was seen before.

        None where valid(), asked after the thread was looked at, says that it is no longer the one that made the call.
        """
        same = self._same(verdict, strings)
        kind = verdict.call.arch, verdict.call.nr, verdict.action, verdict.origin
        found = self.ledger.known(same, kind, tid)
        if found:
            return found, False
        denial = self._denial(verdict, tid, strings)
        return self.ledger.add(same, kind, denial) if valid() else None

    def telling(self, verdict: Verdict) -> dict[int, int]:
        """The registers that tell refused calls of one number apart, and the bits of each that count."""
        found = dict(verdict.registers)
        for each in _arguments(verdict.call):
            if each.kind not in _FLEETING and len(each.regs) == 1:
                found[each.regs[0]] = found.get(each.regs[0], 0) | ((1 << each.bits) - 1)
        return found

    def _same(self, verdict: Verdict, strings: Strings) -> Hashable:
        # Pointers to strings differ without meaning anything where what they point at is the same.
        call = verdict.call
        made = narrow.box(call) if self._observing and isinstance(call.arch, str) else None
        if made:
            return call.arch, made, verdict.action, verdict.origin
        words = tuple(call.args[index] & bits for index, bits in self.telling(verdict).items())
        return call.arch, call.nr, words, strings, verdict.action, verdict.origin

    def _denial(self, verdict: Verdict, tid: int, strings: Strings) -> Denial:
        status = procfs.status(tid)
        pid, name = (status.tgid, status.name) if status else (tid, b"")
        return Denial(
            pid=pid,
            tid=tid,
            comm=escaped(name.decode("utf-8", "surrogateescape")),
            call=verdict.call,
            text=shown(verdict.call, dict(strings)),
            action=verdict.action.kind,
            data=verdict.action.data,
            rule=verdict.origin,
            suggestion=suggestion(verdict, self._judge),
            startup=in_startup(verdict.call, pid, tid, first=not self.ledger.has_process(pid)),
        )


def _arguments(call: Call) -> tuple[Argument, ...]:
    name = call.name
    found = prototype(name, call.arch) if name and isinstance(call.arch, str) else None
    return found.args or () if found else ()
