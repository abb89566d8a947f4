"""Waiting, as a tracer, for the call at which a process is put behind its policy.

Every thread stops at each of its calls until then, so the wait is for a start-up, not for good. Where the policy allows
the call itself, it goes in at the call's entry: the call is turned into seccomp(2) there, and then made anew under the
policy. Where the policy refuses it, the call is the last one made as before, and the policy goes in as it returns.
Processes started meanwhile are waited for in the same way, each for itself.
"""

from __future__ import annotations

import errno
import os
import signal
import struct
from contextlib import suppress

from sysgate.errors import KernelError
from sysgate.facts import calls
from sysgate.kernel import procfs, ptrace, seccomp, syscall_stop
from sysgate.life import attach_target, waits
from sysgate.life.abi import I386, abi_of
from sysgate.life.attach import load, programs_of
from sysgate.life.attach_program import of_gate
from sysgate.life.remote import Held
from sysgate.life.strict import BEFORE_MAIN, DEBUG_ADDRESS, DEBUG_CONTROL, EXECUTION_ENABLED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sysgate.bpf.program import Program
    from sysgate.kernel.syscall_stop import SyscallStop
    from sysgate.life.attach_program import Attachable
    from sysgate.life.moment import Moment
    from sysgate.life.waits import Wait
    from sysgate.policy.ruleset import Gate

OPTIONS = ptrace.O_TRACESYSGOOD | ptrace.O_TRACEFORK | ptrace.O_TRACEVFORK | ptrace.O_TRACECLONE | ptrace.O_TRACEEXEC
_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


class Thread:
    """A thread as the tracer sees it.

    tgid: its process. last: it is inside the call that is the last before the policy. leaving: it is let go at its
    next stop. entry: where a breakpoint stands, 0 without. begun: its program's start is being watched. seen: the wait
    that it was in when it was last interrupted.
    """

    def __init__(self, tid: int, tgid: int) -> None:
        self.tid, self.tgid = tid, tgid
        self.last = self.leaving = self.begun = False
        self.entry = 0
        self.seen: Wait | None = None

    def interrupt(self) -> None:
        """Ask it to stop; `undisturbed` is due when it has."""
        self.seen = waits.look(self.tid)
        ptrace.interrupt(self.tid)

    def undisturbed(self) -> None:
        """See to it that the stop it is at does not show in the call it interrupted.

        That may be the exit of that call, or a signal that an untraced thread would not have noticed.
        """
        waits.undisturbed(self.tid, self.seen)
        self.seen = None


class Tracer:
    """Traces threads until each process among them has met its moment or ended.

    threads: traced already, with OPTIONS. ticket: the words that let seccomp(2) pass behind start, which the processes
    were started behind; None where the filters a process stands behind are to be asked. told: is called with each
    process put behind the policy, while a thread of it is still stopped. fatal: a process that cannot be is ended (it
    was started on the promise that it would be); else it is let go as it was.
    """

    def __init__(
        self,
        threads: dict[int, Thread],
        made: Attachable,
        moment: Moment,
        *,
        ticket: tuple[int, ...] | None,
        start: Gate | None = None,
        told: Callable[[int], None],
        fatal: bool,
    ) -> None:
        self.threads = threads
        self._made, self._moment, self._ticket, self._start = made, moment, ticket, start
        self._told, self._fatal = told, fatal
        self._ending = False
        self._flags = seccomp.FLAGS["tsync"]
        if seccomp.knows_flag("tsync_esrch"):
            self._flags |= seccomp.FLAGS["tsync_esrch"]

    def serve(self) -> None:
        """Until nobody is left to wait for. Raises KernelError where a process could not be put behind the policy."""
        while self.threads:
            self.step()

    def step(self) -> None:
        """Wait for one stop or end, and deal with it. Raises as `serve`."""
        try:
            tid, status = ptrace.wait_any()
        except ChildProcessError:
            self.threads.clear()
            return
        if not os.WIFSTOPPED(status):
            self.threads.pop(tid, None)
            return
        try:
            self._stopped(tid, status)
        except KernelError as error:
            # Killed while it was stopped? Then its end is reported next.
            if error.errno != errno.ESRCH or tid not in self.threads:
                raise

    def let_go(self, tgid: int | None = None) -> None:
        """Let the threads of a process (None: all) go on untraced; each at its next stop, which comes soon."""
        self._ending = self._ending or tgid is None
        for thread in self.threads.values():
            if tgid in (None, thread.tgid) and not thread.leaving:
                thread.leaving = True
                with suppress(KernelError):
                    thread.interrupt()

    # ---- stops

    def _stopped(self, tid: int, status: int) -> None:
        thread = self.threads.get(tid)
        if thread is None:
            found = procfs.status(tid)
            thread = self.threads[tid] = Thread(tid, found.tgid if found else tid)
            thread.leaving = self._ending
        number, event = os.WSTOPSIG(status), ptrace.event(status)
        at_call = number == ptrace.SYSCALL_STOP
        delivered = 0 if event or at_call else number
        if thread.leaving:
            thread.undisturbed()
            ptrace.detach(tid, delivered)
            del self.threads[tid]
        elif at_call:
            self._at_call(thread, syscall_stop.at(tid))
        elif event == ptrace.EVENT_STOP and number in _STOPS:
            ptrace.listen(tid)
        elif event == ptrace.EVENT_EXEC:
            self._executed(thread)
        elif delivered == signal.SIGTRAP and thread.entry and ptrace.registers(tid)[ptrace.RIP] == thread.entry:
            self._at_breakpoint(thread)
        else:
            if not event or event == ptrace.EVENT_STOP:
                thread.undisturbed()
            self._go(thread, delivered)

    def _go(self, thread: Thread, delivered: int = 0) -> None:
        if self._moment.main and (thread.entry or not thread.begun):
            ptrace.resume(thread.tid, delivered)
        else:
            ptrace.resume_to_syscall(thread.tid, delivered)

    def _executed(self, thread: Thread) -> None:
        # The other threads are gone, and the one that executed has its process's number now.
        for tid in [tid for tid, other in self.threads.items() if other.tgid == thread.tgid and tid != thread.tid]:
            del self.threads[tid]
        thread.last = False
        if self._moment.main:
            thread.begun = True
            thread.entry = entry_of_dynamic(thread.tid)
            if thread.entry:
                ptrace.poke_user(thread.tid, DEBUG_ADDRESS, thread.entry)
                ptrace.poke_user(thread.tid, DEBUG_CONTROL, EXECUTION_ENABLED)
        self._go(thread)

    def _at_breakpoint(self, thread: Thread) -> None:
        ptrace.poke_user(thread.tid, DEBUG_CONTROL, 0)
        ptrace.poke_user(thread.tid, DEBUG_ADDRESS, 0)
        self._confine(thread, at_entry=False)

    def _at_call(self, thread: Thread, stop: SyscallStop) -> None:
        if stop.kind == syscall_stop.ENTRY:
            if self._moment.main:
                met = thread.begun and stop.nr not in _before_main(stop.arch)
            else:
                met = self._moment.is_call(stop.arch, stop.nr)
            if met and (self._moment.main or self._made.lets(stop.arch, stop.nr, stop.args, stop.ip)):
                self._confine(thread, at_entry=True)
                return
            thread.last = met
        elif thread.last:
            thread.last = False
            registers = ptrace.registers(thread.tid)
            if not 512 <= (-registers[ptrace.RAX] & 0xFFFF_FFFF) <= 516:  # else it is made anew, and met again
                self._confine(thread, at_entry=False)
                return
        self._go(thread)

    def _confine(self, thread: Thread, *, at_entry: bool) -> None:
        """Put the process of a stopped thread behind the policy, and let all its threads go."""
        tid, tgid = thread.tid, thread.tgid
        before = procfs.status(tid)
        try:
            if before is None:
                raise KernelError(errno.ESRCH, f"process {tgid} has ended")
            abi = abi_of(ptrace.registers(tid))
            if abi.audit not in self._made.audits:
                raise KernelError(errno.EINVAL, f"process {tgid} speaks {abi.name}, of which the policy says nothing")
            filters: tuple[Program, ...] | None = None
            ticket = self._ticket or ()
            if self._start is not None and abi is I386:
                # Tickets are for calls of 64 bits: what it was started behind must let it call seccomp(2) anyway.
                filters, ticket = (of_gate(self._start).program,), ()
            elif self._ticket is None and before.seccomp:
                filters = programs_of(tgid, tid)
            held = Held(tid, at_entry=at_entry, filters=filters)
            try:
                load(held, self._made, self._flags, ticket)
            finally:
                held.settle()
            for other in attach_target.living(tgid):
                if other.seccomp != 2 or (before.filters >= 0 and other.filters <= before.filters):
                    raise KernelError(errno.EPERM, f"/proc does not show the filter on thread {other.pid}")
        except KernelError as error:
            if self._fatal:
                with suppress(ProcessLookupError):
                    os.kill(tgid, signal.SIGKILL)
                raise KernelError(
                    error.errno or 0, f"{error.message}; process {tgid} was ended at {self._moment.name}"
                ) from None
            self.let_go()
            del self.threads[tid]
            ptrace.detach(tid)
            self._drain()
            raise
        self._told(tgid)
        self.let_go(tgid)
        del self.threads[tid]
        ptrace.detach(tid)

    def _drain(self) -> None:
        # All are leaving.
        with suppress(KernelError):
            self.serve()


def entry_of_dynamic(tid: int) -> int:
    """Where a program that a loader starts begins itself; 0 for a static one."""
    if abi_of(ptrace.registers(tid)) is not I386:
        auxv = procfs.auxv(tid)
    else:
        raw = procfs.read(tid, "auxv") or b""
        words = struct.unpack(f"={len(raw) // 8 * 2}I", raw[: len(raw) // 8 * 8])
        auxv = dict(zip(words[::2], words[1::2]))
    return auxv.get(procfs.AT_ENTRY, 0) if auxv.get(procfs.AT_BASE) else 0


_starts: dict[int, frozenset[int]] = {}


def _before_main(audit: int) -> frozenset[int]:
    if audit not in _starts:
        name = "i386" if audit == I386.audit else "x86_64"
        found = (calls.number(name, call) for call in BEFORE_MAIN)
        _starts[audit] = frozenset(nr for nr in found if nr is not None)
    return _starts[audit]
