"""Explaining without a listener: another process traces the program, and sees whom the kernel kills and why.

Where an ancestor's filter has a listener there can be no second one (EBUSY: kernel/seccomp.c, init_listener). The
program is then loaded with the policy's own actions, and the tracer watches: a thread killed by a filter reaches the
exit stop with its registers as the call left them, a trap is a SIGSYS that says so. What is refused by errno it does
not see.

A process of its own traces, for where a process traces a child any waitpid in it steals the stops. When it ends,
whatever the reason, the traced programs go on, confined as before.
"""

from __future__ import annotations

import os
import select
import struct

from sysgate.errors import KernelError
from sysgate.kernel import memory, ptrace, signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sysgate.policy.ruleset import Gate
    from sysgate.supervise.answer import Judge
    from sysgate.supervise.denial import Denial
    from sysgate.supervise.ledger import Entry
    from sysgate.supervise.record import Recorder

_OPTIONS = (
    ptrace.O_TRACEFORK | ptrace.O_TRACEVFORK | ptrace.O_TRACECLONE | ptrace.O_TRACEEXEC | ptrace.O_TRACEEXIT
)  # not EXITKILL: what ends the watching must not end the program
_GROUP_STOPS = (19, 20, 21, 22)  # SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU
_SYS_SECCOMP = 1  # si_code of a filter's trap, include/uapi/asm-generic/siginfo.h
_AUDIT_X86_64, _AUDIT_I386 = 0xC000003E, 0x40000003
_LENGTH = struct.Struct("=I")


class Witness:
    """Watches a program and what it starts; a Keeper's double where there is no listener.

    pid: a process that has not yet become the program. gate, told, denials, trouble, serve: as of Keeper.
    Raises KernelError where tracing is refused.
    """

    def __init__(
        self, pid: int, gate: Gate | Callable[[], Gate], *, told: Callable[[Denial], None] | None = None
    ) -> None:
        self._told = told
        self._entries: list[Entry] = []
        self._unread = b""
        self.trouble = ""
        self._reports, writes = os.pipe()
        self._tracer = _fork_tracer(pid, gate, writes)
        os.close(writes)
        said = os.read(self._reports, 1)
        if said != b"\0":
            self._stop()
            number = said[0] if said else 1
            raise KernelError(number, f"tracing the program is refused: {os.strerror(number)}")

    @property
    def denials(self) -> tuple[Denial, ...]:
        """What was seen to be refused so far, equal ones counted, in order of first sight."""
        from sysgate.value import replace

        return tuple(replace(entry.denial, count=entry.count) for entry in tuple(self._entries))

    def serve(self, until: int, ended: Callable[[], bool]) -> None:
        """Collect what is seen until the program has ended. Nobody is left to watch descendants that live on.

        until, ended: as of Keeper.
        """
        poller = select.poll()
        poller.register(self._reports, select.POLLIN)
        poller.register(until, select.POLLIN)
        over = False
        while not over:
            for descriptor, _ in poller.poll():
                if descriptor == until:
                    over = ended()
                elif not self._collect():
                    poller.unregister(descriptor)
        # The tracer wrote before it let the program's last thread exit.
        while select.select([self._reports], [], [], 0)[0] and self._collect():
            pass
        self._stop()

    def _collect(self) -> bool:
        from pickle import loads

        from sysgate.supervise.ledger import Entry

        chunk = os.read(self._reports, 1 << 16)
        self._unread += chunk
        while len(self._unread) >= _LENGTH.size:
            size = _LENGTH.size + _LENGTH.unpack_from(self._unread)[0]
            if len(self._unread) < size:
                break
            place, denial, new = loads(self._unread[_LENGTH.size : size])  # written by our own child
            self._unread = self._unread[size:]
            if denial is not None:
                self._entries.append(Entry(denial))
                if new and self._told:
                    self._told(denial)
            self._entries[place].count += 1
        return bool(chunk)

    def _stop(self) -> None:
        os.close(self._reports)
        try:
            os.kill(self._tracer, signals.SIGKILL)
            os.waitpid(self._tracer, 0)
        except (ProcessLookupError, ChildProcessError):
            pass  # somebody here waits for any child, and got ours


def _fork_tracer(pid: int, gate: Gate | Callable[[], Gate], reports: int) -> int:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of threads; the child runs nothing of theirs
        tracer = os.fork()
    if tracer:
        return tracer
    try:
        os.setsid()  # what a terminal sends to the program is not for its tracer
        os.dup2(reports, 0)
        os.closerange(1, 1 << 30)
        try:
            ptrace.seize(pid, _OPTIONS)
        except KernelError as error:
            os.write(0, bytes([(error.errno or 1) & 0xFF]))
        else:
            os.write(0, b"\0")
            _Watch(gate, 0).run()
    finally:
        os._exit(0)


class _Watch:
    """The tracer's side."""

    def __init__(self, gate: Gate | Callable[[], Gate], reports: int) -> None:
        self._gate, self._reports = gate, reports
        self._judge: Judge | None = None
        self._recorder: Recorder | None = None
        self._places: dict[int, int] = {}

    def run(self) -> None:
        """Watch until nobody is left."""
        while True:
            try:
                tid, status = ptrace.wait_any()
            except ChildProcessError:
                return
            if not os.WIFSTOPPED(status):
                continue
            try:
                self._stopped(tid, status)
            except KernelError:
                continue  # killed while it was stopped

    def _stopped(self, tid: int, status: int) -> None:
        signal, event = os.WSTOPSIG(status), ptrace.event(status)
        if event == ptrace.EVENT_STOP and signal in _GROUP_STOPS:
            ptrace.listen(tid)
            return
        if event == ptrace.EVENT_EXIT and ptrace.event_message(tid) & 0x7F == signals.SIGSYS:
            self._killed(tid)
        elif not event and signal == signals.SIGSYS:
            self._trapped(tid)
        ptrace.resume(tid, 0 if event else signal)

    def _killed(self, tid: int) -> None:
        words = ptrace.registers(tid)
        # The other threads of a killed process come here too. The guilty one's result is its call's number again
        # (syscall_rollback), or ENOSYS as at the entry where the filter kills the thread only.
        if words[ptrace.ORIG_RAX] >> 63 or words[ptrace.RAX] not in (words[ptrace.ORIG_RAX], (1 << 64) - 38):
            return
        narrow = words[ptrace.CS] == ptrace.CS_32 or memory.Reader().read(tid, words[ptrace.RIP] - 2, 2) == b"\xcd\x80"
        audit = _AUDIT_I386 if narrow else _AUDIT_X86_64
        self._refused(tid, audit, words[ptrace.ORIG_RAX] & 0xFFFF_FFFF, words, ("kill_process", "kill_thread"))

    def _trapped(self, tid: int) -> None:
        info = ptrace.signal_info(tid)
        _, _, code = struct.unpack_from("=iii", info)
        if code == _SYS_SECCOMP:
            nr, audit = struct.unpack_from("=iI", info, 24)
            self._refused(tid, audit, nr & 0xFFFF_FFFF, ptrace.registers(tid), ("trap",))

    def _refused(self, tid: int, audit: int, nr: int, words: list[int], by: tuple[str, ...]) -> None:
        from sysgate.supervise.answer import Judge
        from sysgate.supervise.record import Recorder

        if self._recorder is None or self._judge is None:
            self._judge = Judge(self._gate() if callable(self._gate) else self._gate)
            self._recorder = Recorder(self._judge)
        verdict = self._judge.verdict(audit, nr, words[ptrace.RIP], _arguments(audit, words))
        if verdict.action.kind not in by:
            return  # another filter's doing
        strings = self._recorder.strings(self._recorder.places(verdict.call), tid, verdict.call.args)
        found = self._recorder.entry(verdict, tid, strings, lambda: True)
        assert found is not None
        entry, new = found
        first = id(entry) not in self._places
        place = self._places.setdefault(id(entry), len(self._places))
        self._report((place, entry.denial if first else None, new))

    def _report(self, what: tuple[int, Denial | None, bool]) -> None:
        from pickle import dumps

        body = dumps(what)
        os.write(self._reports, _LENGTH.pack(len(body)) + body)


def _arguments(audit: int, words: list[int]) -> tuple[int, ...]:
    order = (
        (ptrace.RBX, ptrace.RCX, ptrace.RDX, ptrace.RSI, ptrace.RDI, ptrace.RBP)
        if audit == _AUDIT_I386
        else (ptrace.RDI, ptrace.RSI, ptrace.RDX, ptrace.R10, ptrace.R8, ptrace.R9)
    )
    return tuple(words[index] for index in order)
