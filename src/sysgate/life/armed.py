"""A policy that waits for its moment: in a process that runs already, or in one about to start."""

from __future__ import annotations

import errno
import os
import signal
from contextlib import suppress
from threading import current_thread, main_thread

from sysgate.errors import KernelError, PolicyError
from sysgate.kernel import procfs, ptrace
from sysgate.life import attach_target, registry
from sysgate.life.arming import OPTIONS, Thread, Tracer
from sysgate.life.attach import FORM
from sysgate.life.attach_program import attachable
from sysgate.life.moment import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sysgate.launch.child import Child
    from sysgate.life.attach_program import Attachable
    from sysgate.life.attach_target import Target
    from sysgate.life.moment import Moment
    from sysgate.policy.ast import Policy
    from sysgate.policy.ruleset import Gate

_READY, _CONFINED, _FAILED = b"ready", b"confined", b"failed"


def when(target: Target, made: Attachable, met: Moment, told: Callable[[], None]) -> None:
    """Wait until a running process makes a call, and put it behind the policy there. In this very process.

    told: is called when that is done, before the process goes on. SIGINT makes it let the process go as it was, and
    raise KeyboardInterrupt. Raises KernelError.
    """
    if met.main:
        raise PolicyError("--when main is for a program that is being started: sysgate run --then POLICY --when main")
    confined: list[int] = []

    def done(pid: int) -> None:
        confined.append(pid)
        if pid == target.pid:
            told()
            tracer.let_go()

    tracer = Tracer({}, made, met, ticket=None, told=done, fatal=False)
    # No exception may come between a stop and what is done about it: the handler only asks the threads to leave.
    interrupted: list[int] = []

    def give_up(number: int, _: object) -> None:
        interrupted.append(number)
        tracer.let_go()

    before = signal.signal(signal.SIGINT, give_up) if current_thread() is main_thread() else None
    try:
        _seize_all(target, tracer)
        tracer.serve()
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
    if target.pid in confined:
        return
    if interrupted:
        raise KeyboardInterrupt
    raise KernelError(errno.ESRCH, f"process {target.pid} ended before it made a call of {met.name}")


def _seize_all(target: Target, tracer: Tracer) -> None:
    # A thread that a traced one starts is traced from its birth; one that was being started meanwhile is not.
    asked: set[int] = set()
    while missing := [thread for thread in attach_target.living(target.pid) if thread.pid not in asked]:
        for thread in missing:
            tid = thread.pid
            asked.add(tid)
            try:
                ptrace.seize(tid, OPTIONS)
            except KernelError as error:
                found = procfs.status(target.pid, tid)
                if error.errno == errno.ESRCH or found is None or found.dead or found.tracer == os.getpid():
                    continue
                tracer.let_go()
                tracer.serve()
                raise attach_target.not_ours(target.pid) from None
            tracer.threads[tid] = Thread(tid, target.pid)
            tracer.threads[tid].interrupt()


# ---- a program about to start


class Armed:
    """A tracer, in a process of its own, that waits for the moment of a program that is started now.

    Use as launch's `held`: called with the held child it begins to trace, then the program may start. If the tracer is
    killed the program is too. Afterwards `outcome` says what became of it. name: as life.moment.moment. start: what
    the program starts behind. Raises PolicyError, CompileError.
    """

    def __init__(self, policy: Policy, name: str, start: Gate) -> None:
        self._policy, self._made, self._start = policy, attachable(policy), start
        self._moment = moment(name, self._made.audits)
        self._reports = -1

    def __call__(self, child: Child) -> None:
        """Raises KernelError where tracing is refused; the program must not start then."""
        self._reports, writes = os.pipe()
        tracer = os.fork()
        if tracer == 0:
            self._trace(child, writes)
        os.close(writes)
        said = os.read(self._reports, 4096)
        if said != _READY:
            raise _failure(said or b"%d\nthe tracer ended" % errno.EIO)

    def outcome(self) -> bool:
        """Once the program has ended: whether a process of it met its moment.

        Raises KernelError where one could not be put behind the policy, and was ended.
        """
        said = b""
        # Descendants may be waited for still.
        os.set_blocking(self._reports, False)
        with suppress(BlockingIOError):
            while chunk := os.read(self._reports, 4096):
                said += chunk
        head, found, failed = said.partition(_FAILED)
        if found:
            raise _failure(failed)
        return _CONFINED in head

    def _trace(self, child: Child, writes: int) -> None:
        # Does not return.
        from sysgate.supervise import shield

        try:
            os.setsid()  # what a terminal sends to the program is not for its tracer
            signal.pthread_sigmask(signal.SIG_SETMASK, set(range(1, 65)) - {32, 33})
            os.dup2(writes, 0)
            os.closerange(1, 1 << 16)
            try:
                ptrace.seize(child.pid, OPTIONS | ptrace.O_EXITKILL)
            except KernelError:
                error = attach_target.not_ours(child.pid)
                os.write(0, b"%d\n" % (error.errno or 0) + error.message.encode("utf-8", "surrogateescape"))
                return
            shield.up()  # until its moment the program may be allowed to trace, and to write others' memory
            threads = {child.pid: Thread(child.pid, child.pid)}
            ticket = child.ticket

            def told(pid: int) -> None:
                registry.record(pid, self._policy, form=FORM, how=f"run --when {self._moment.name}")
                os.write(0, _CONFINED)

            tracer = Tracer(threads, self._made, self._moment, ticket=ticket, start=self._start, told=told, fatal=True)
            os.write(0, _READY)
            tracer.serve()
        except KernelError as error:
            _tell_failure(error.errno or 0, error.message)
        except Exception as error:
            _tell_failure(errno.EIO, f"the tracer failed, and the program was ended: {error!r}")
        finally:
            os._exit(0)


def _tell_failure(number: int, text: str) -> None:
    os.write(0, _FAILED + b"%d\n" % number + text.encode("utf-8", "surrogateescape"))


def _failure(said: bytes) -> KernelError:
    number, _, text = said.partition(b"\n")
    return KernelError(int(number), text.decode("utf-8", "surrogateescape"))
