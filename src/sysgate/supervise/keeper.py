"""The loop beside a confined program: receive a refused call, explain it, answer it as the policy says.

It is no part of the enforcement: while it is stuck or stopped a refused call waits, and when it is killed the call
returns ENOSYS. So whatever goes wrong here must end in an answer, and the answer is never "continue" (but in complain
mode, which confines nothing and says so). What a denial needs is imported when there is one.
"""

from __future__ import annotations

import _struct as struct  # what struct wraps
import errno
import os
import select
import sys

from sysgate.kernel import notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sysgate.action import Action
    from sysgate.policy.ruleset import Gate
    from sysgate.supervise.answer import Judge, Verdict
    from sysgate.supervise.denial import Denial
    from sysgate.supervise.kill import Doomed
    from sysgate.supervise.ledger import Entry
    from sysgate.supervise.record import Places, Recorder, Strings

    Again = tuple[Entry, int, Places, Strings]  # where to count it, its answer, its strings

_REMEMBERED = 2048  # repeated calls known
_LOOK_AGAIN = 50  # milliseconds between looks at those who ought to be dead


class Keeper:
    """Answers what one listener brings.

    listener: a descriptor; `serve` closes it. gate: the policy's meaning, or what makes it when first needed. complain:
    let refused calls through and only record them. told: is called with each denial unlike those before, in the
    thread that serves, before the call is answered. trouble: what kept a denial from being explained, "" if nothing
    did.
    """

    def __init__(
        self,
        listener: int,
        gate: Gate | Callable[[], Gate],
        *,
        complain: bool = False,
        told: Callable[[Denial], None] | None = None,
    ) -> None:
        os.set_inheritable(listener, False)
        notify.wake_in_step(listener)
        self._listener, self._gate = listener, gate
        self._complain, self._told = complain, told
        self._request = bytearray(notify.REQUEST.size)
        self._judge: Judge | None = None
        self._recorder: Recorder | None = None
        self._doomed: list[Doomed] = []
        # Calls that need only be counted and answered, and for each number (with its architecture) the bits of its
        # arguments that tell such calls apart. coarse: as the ledger does when it is full.
        self._again: dict[tuple[bytes, int], Again] = {}
        self._masks: dict[bytes, int] = {}
        self._coarse = False
        self._taken_away = b""
        self._open = True
        self.trouble = ""

    @property
    def denials(self) -> tuple[Denial, ...]:
        """What was refused so far, equal ones counted, in order of first sight."""
        return self._recorder.ledger.denials() if self._recorder else ()

    def serve(self, until: int, ended: Callable[[], bool]) -> None:
        """Answer calls until the program has ended; if descendants of it live on, a process is left to answer them.

        until: a descriptor; whenever it is readable, ended() is called. True from it: the main program is dead.
        """
        poller = select.poll()
        poller.register(self._listener, select.POLLIN)
        poller.register(until, select.POLLIN)
        try:
            over = False
            while not over:
                for descriptor, event in poller.poll(_LOOK_AGAIN if self._doomed else None):
                    if descriptor == until:
                        over = ended()
                    elif event & select.POLLIN:
                        self._next()
                    else:  # POLLHUP: the last of them is gone
                        poller.unregister(descriptor)
                self._look_after()
            self._finish()
        finally:
            self._close()

    def _finish(self) -> None:
        """Answer what is waiting, and leave an heir if there is anybody left who could be refused something."""
        poller = select.poll()
        poller.register(self._listener, select.POLLIN)
        while ready := poller.poll(0):
            if not ready[0][1] & select.POLLIN:
                return
            self._next()
        from sysgate.supervise import heir

        self._desk()
        self._told = None
        heir.leave(self._listener, self._serve_alone)

    def _serve_alone(self) -> None:
        poller = select.poll()
        poller.register(self._listener, select.POLLIN)
        while True:
            for _, event in poller.poll(_LOOK_AGAIN if self._doomed else None):
                if not event & select.POLLIN:
                    return
                self._next()
            self._look_after()

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._listener)

    # ---- one call

    def _next(self) -> None:
        """Receive one call and see to it that it is answered, whatever happens."""
        request = self._request
        if not notify.receive(self._listener, request):
            return
        try:
            again = self._again.get(self._key(request)) if self._again else None
            if again is None or not self._repeated(request, *again):
                self._first(request)
        except BaseException as error:
            # ENOSYS is what a call gets when nobody answers: refused, as it has to be.
            self._answer(request, errno.ENOSYS)
            if not isinstance(error, Exception):
                raise
            self._troubled(error)

    def _key(self, request: bytearray) -> tuple[bytes, int]:
        """What makes a call the same again: its thread, its number, and the bits of its arguments that count."""
        caller = bytes(request[notify.CALLER])
        return caller, int.from_bytes(request[notify.ARGUMENTS], sys.byteorder) & self._masks.get(caller[8:], 0)

    def _repeated(self, request: bytearray, entry: Entry, error: int, places: Places, strings: Strings) -> bool:
        """Answer a call that its thread made before; False where its strings have changed."""
        _, recorder = self._desk()
        if places and recorder.strings(places, entry.denial.tid, notify.arguments(request)) != strings:
            return False
        self._count(request, entry)
        self._answer(request, error)
        return True

    def _first(self, request: bytearray) -> None:
        judge, recorder = self._desk()
        cookie, tid, _, nr, audit, ip, *words = notify.REQUEST.unpack(request)
        args = tuple(words)
        verdict = judge.verdict(audit, nr, ip, args)
        try:
            full = recorder.ledger.full
            if full and self._complain:
                self.trouble = self.trouble or "too many different calls were made: some rules will be too narrow"
            places = () if full else recorder.places(verdict.call)
            strings = recorder.strings(places, tid, args)
            found = recorder.entry(verdict, tid, strings, lambda: notify.waits(self._listener, cookie))
            if found is None:
                return  # killed, or interrupted by a signal: then it comes again
            entry, new = found
            self._count(request, entry)
            if new and self._told:
                self._told(entry.denial)
            if (full or entry.denial.tid == tid) and (self._complain or verdict.action.kind == "errno"):
                self._remember(request, verdict, (entry, verdict.action.data, places, strings))
        except Exception as error:  # the answer matters more than its explanation
            self._troubled(error)
        self._act(request, verdict.action)

    def _act(self, request: bytearray, action: Action) -> None:
        if self._complain or action.kind == "errno":
            self._answer(request, action.data)
            return
        if action.kind not in ("kill_process", "kill_thread"):
            # The program asked about a call that the policy lets through: they disagree, so the stricter holds.
            self._answer(request, errno.EPERM)
            return
        from sysgate.kernel import procfs
        from sysgate.supervise import kill

        cookie, tid, _, nr, *_ = notify.REQUEST.unpack(request)
        status = procfs.status(tid)
        if action.kind == "kill_thread":
            kill.natively(self._listener, cookie, nr, tid, status)
            return
        doomed = kill.process(self._listener, cookie, nr, tid, status)
        if doomed:
            self._doomed.append(doomed)

    def _answer(self, request: bytearray, error: int) -> None:
        cookie = notify.cookie(request)
        if not notify.answer(self._listener, cookie, error=0 if self._complain else error, go_on=self._complain):
            self._taken_away = bytes(request[notify.CALL])

    def _count(self, request: bytearray, entry: Entry) -> None:
        # Before Linux 5.19 a signal takes a call away before it is answered, and the same call comes again.
        if self._taken_away and bytes(request[notify.CALL]) == self._taken_away:
            self._taken_away = b""
            return
        entry.count += 1

    def _remember(self, request: bytearray, verdict: Verdict, again: Again) -> None:
        _, recorder = self._desk()
        if recorder.ledger.full != self._coarse or len(self._again) + len(self._masks) >= _REMEMBERED:
            self._coarse = recorder.ledger.full
            self._again.clear()
            self._masks.clear()
        registers = verdict.registers if self._coarse else recorder.telling(verdict)
        masks = [registers.get(index, 0) for index in range(6)]
        self._masks[bytes(request[notify.NUMBER])] = int.from_bytes(struct.pack("=6Q", *masks), sys.byteorder)
        self._again[self._key(request)] = again

    def _desk(self) -> tuple[Judge, Recorder]:
        if self._recorder is None or self._judge is None:
            from sysgate.supervise.answer import Judge
            from sysgate.supervise.record import Recorder

            self._judge = Judge(self._gate() if callable(self._gate) else self._gate)
            self._recorder = Recorder(self._judge, observing=self._complain)
        return self._judge, self._recorder

    def _look_after(self) -> None:
        self._doomed = [each for each in self._doomed if not each.over()]

    def _troubled(self, error: Exception) -> None:
        self.trouble = self.trouble or f"{type(error).__name__}: {error}"
