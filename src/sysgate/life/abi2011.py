"""`sysgate run --abi 2011`: programs written for the interface of 2011, as they were.

Three processes: this one stands between a shell and the program, the tracer, and the program, which is the tracer's
child. The tracer goes on by itself where the program leaves descendants behind, for they need it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys

from sysgate.errors import KernelError
from sysgate.launch.foreground import NOT_EXECUTABLE, NOT_FOUND
from sysgate.launch.job import Job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.launch.child import Child
    from sysgate.launch.plan import Plan

_STARTED, _STOPPED, _ENDED, _FAILED, _NOT_EXECUTED = "started", "stopped", "ended", "failed", "not executed"
_KILLED = 128 + signal.SIGKILL


def run(argv: Sequence[str | bytes], form: str | None = None) -> int:
    """Run a program that speaks one of the forms of 2011; its exit code, as a shell has it.

    form: "a", "b" or "c" to speak only that one; None tells them apart call by call. no_new_privs is set from the
    start, so that set-user-ID programs run without their privilege. Refusals are logged on standard error in the
    words of 2011. Raises KernelError where tracing is refused or this machine is not x86_64; nothing was run then.
    """
    from sysgate.launch import prepared

    prepared.native_audit()
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    job = _TracedJob()
    reads, writes = os.pipe()
    here = os.getpid()
    if os.fork() == 0:
        os.close(reads)
        _be_tracer([os.fsencode(word) for word in argv], form, job.blocked, _Teller(writes, here))
    os.close(writes)
    os.set_blocking(reads, False)
    job.listen(reads)
    job.wait()
    if job.failure is not None:
        raise job.failure
    return job.code


class _TracedJob(Job):
    """A Job whose program is another process's child: what waitpid would say, the tracer tells."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: KernelError | None = None
        self._reads = -1
        self._unread = b""

    def listen(self, reads: int) -> None:
        self._reads = reads

    def _waited(self) -> bool:
        # Until there is no more: several messages, and the tracer's end, may have come with one SIGCHLD.
        while True:
            try:
                raw = os.read(self._reads, 4096)
            except BlockingIOError:
                return False
            if not raw:  # the tracer is gone, and with it all that it traced
                self.code = _KILLED
                print("sysgate: the tracer was killed, and with it the program", file=sys.stderr)
                return True
            *lines, self._unread = (self._unread + raw).split(b"\n")
            for line in lines:
                kind, number, text = line.decode("utf-8", "surrogateescape").split("\t")
                if self._told(kind, int(number), text):
                    return True

    def _told(self, kind: str, number: int, text: str) -> bool:
        if kind == _STARTED:
            self.started(number)
        elif kind == _STOPPED:
            self._stop(number)
        elif kind == _ENDED:
            code = os.waitstatus_to_exitcode(number)
            self.code = code if code >= 0 else 128 - code
        elif kind == _NOT_EXECUTED:
            self.code = NOT_FOUND if number == errno.ENOENT else NOT_EXECUTABLE
            print(f"sysgate: {text}", file=sys.stderr)
        else:
            self.failure = KernelError(number, text)
        return kind not in (_STARTED, _STOPPED)


class _Teller:
    """The tracer's side of that: tells the job, and wakes it."""

    def __init__(self, writes: int, job: int) -> None:
        self._writes, self._job = writes, job

    def __call__(self, kind: str, number: int, text: str = "") -> None:
        line = f"{kind}\t{number}\t{text}".replace("\n", " ")
        with contextlib.suppress(OSError):  # nobody waits any more
            os.write(self._writes, (line + "\n").encode("utf-8", "surrogateescape"))
            os.kill(self._job, signal.SIGCHLD)


# ---- the tracer's process


def _be_tracer(argv: Sequence[bytes], form: str | None, blocked: int, tell: _Teller) -> None:
    # Does not return. Its signals are blocked, all that can be: a Ctrl-C is the program's to answer.
    from sysgate.launch import search
    from sysgate.launch.plan import Plan

    code = 1
    try:
        code = _trace(Plan(tuple(argv), search.candidates(argv[0]), blocked=blocked), form, tell)
    except KernelError as error:
        tell(_FAILED, error.errno or 0, str(error))
    except BaseException as error:
        tell(_FAILED, errno.EIO, f"the tracer failed: {error!r}")
    finally:
        os._exit(code)


def _trace(plan: Plan, form: str | None, tell: _Teller) -> int:
    from sysgate.kernel import ptrace, task
    from sysgate.launch import failure
    from sysgate.launch.child import NotStartedError
    from sysgate.life import abi2011_tracer
    from sysgate.supervise import shield

    task.renounce_new_privileges()
    try:
        child = _held(plan)
        try:
            ptrace.seize(child.pid, abi2011_tracer.OPTIONS)
        except BaseException:
            child.kill()
            raise
        shield.up()
        child.go()
    except NotStartedError as error:
        made = failure.exception(error, plan.argv[0])
        if isinstance(made, KernelError):
            raise made from None
        tell(_NOT_EXECUTED, made.errno or 0, f"{os.fsdecode(plan.argv[0])}: {made.strerror}")
        return 1
    tell(_STARTED, child.pid)
    _let_go_of_streams(0, 1)

    def ended(status: int) -> None:
        tell(_ENDED, status)
        # Whoever reads the output waits for its last holder; from here on only descendants are left.
        os.setsid()
        _let_go_of_streams(2)

    abi2011_tracer.Tracer(child.pid, form, log=_log, ended=ended, stopped=lambda number: tell(_STOPPED, number)).serve()
    return 0


def _held(plan: Plan) -> Child:
    from sysgate.bpf import program as bpf_program
    from sysgate.compiler import compile
    from sysgate.launch.child import start
    from sysgate.launch.prepared import Loadable
    from sysgate.life import abi2011_gate
    from sysgate.proof import prove

    gate = abi2011_gate.gate()
    made = compile(gate, optimize="fast")
    prove(gate, made)
    return start(plan, Loadable(bpf_program.to_bytes(made), ()), hold=True)


def _let_go_of_streams(*numbers: int) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in numbers:
        os.dup2(null, number, inheritable=False)
    os.close(null)


def _log(line: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it
        os.write(2, (line + "\n").encode("utf-8", "backslashreplace"))
