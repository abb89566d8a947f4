"""Running one program in this process's place: what `sysgate run` and `sysgate exec` do."""

from __future__ import annotations

import errno
import gc
import os

from sysgate.errors import KernelError
from sysgate.launch import plan as planning
from sysgate.launch import search
from sysgate.launch.child import NotStartedError
from sysgate.launch.plan import Plan
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.kernel.abilities import Abilities
    from sysgate.launch.prepared import Prepared
    from sysgate.launch.watched import Held, Told
    from sysgate.supervise.denial import Denial

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as the shell, env(1) and timeout(1) have it


class NoProgramError(KernelError):
    """The program could not be executed. code: what a shell would exit with."""

    def __init__(self, error: OSError, code: int, program: bytes) -> None:
        from sysgate.decode import escaped  # seldom needed

        name = escaped(os.fsdecode(program)) or "''"
        super().__init__(error.errno or 0, f"{name}: {error.strerror}")
        self.code = code


class Ended(Value):
    """How the program ended. code: the exit code a shell would show. note, trouble: a line to say each, "" if none."""

    code: int
    denials: tuple[Denial, ...]
    note: str
    trouble: str


def run(
    argv: Sequence[bytes],
    ready: Prepared,
    form: str,
    *,
    told: Told | None = None,
    abilities: Abilities | None = None,
    held: Held | None = None,
) -> Ended:
    """Run a program behind a policy as if it were this process, and wait for it.

    Environment, descriptors, working directory, signals and terminal are its own. form, held: as launch.watched.begin.
    Raises NoProgramError, KernelError, CompileError.
    """
    import _signal as signal  # type: ignore[import-not-found] # as in launch.job

    from sysgate.launch.job import Job
    from sysgate.launch.watched import begin

    _occupy_streams()
    environment = _environment()
    ignored: tuple[int, ...] = ()
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:  # the program keeps it so; here it hides how it ended
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        ignored = (int(signal.SIGCHLD),)
    ready.loadable(form)  # whatever is wrong with it is said before a signal can be lost
    job = Job()
    plan = Plan(tuple(argv), search.candidates(argv[0]), environment, blocked=job.blocked, ignored=ignored)
    try:
        watched = begin(plan, ready, form, abilities=abilities, told=told, held=held)
    except NotStartedError as error:
        raise _told(error, plan) from None
    job.started(watched.child.pid)
    from sysgate.launch.note import Note  # while the program runs, as launch.watched loads the keeper

    gc.freeze()
    gc.enable()
    note = Note(watched.child.pid, ready.policy, watched.form, "sysgate run")
    try:
        if watched.watcher is None:
            job.wait()
            return Ended(job.code, (), watched.note, "")
        watched.serve(job.fd, job.ended)
    finally:
        note.take_back()
    return Ended(job.code, watched.denials, watched.note, watched.watcher.trouble)


def become(argv: Sequence[bytes], ready: Prepared) -> None:
    """Turn this process into a program behind a policy. Does not return. Raises as `run`; then nothing was changed.

    If execve fails though the program was there, it says so on standard error and ends with 126.
    """
    from sysgate.kernel import native
    from sysgate.launch import prepared
    from sysgate.launch.orders import Orders

    loadable = ready.loadable(prepared.IN_PLACE)
    plan = Plan(tuple(argv), search.candidates(argv[0]), _environment())
    if not any(os.access(path, os.X_OK) and not os.path.isdir(path) for path in plan.paths):
        raise _told(NotStartedError(planning.EXECVE, _expected(plan)), plan)
    orders = Orders(plan.room() + len(loadable.filter))
    planning.enter(orders, plan, caught=0)
    program = orders.place_filter(loadable.filter)
    planning.confine(orders, program, (0,), refused="return")
    planning.execute(orders, plan, native.environment())
    message = b"sysgate: " + argv[0] + b": cannot be executed\n"
    planning.give_up(orders, NOT_EXECUTABLE, message)
    orders.lay_out()
    orders.draw_ticket(loadable.slots)
    orders.carry_out()
    from sysgate.launch import failure

    name, result = orders.last()
    raise failure.exception(NotStartedError(name.partition(" ")[0], -(result or 0)), argv[0])


def _told(error: NotStartedError, plan: Plan) -> KernelError:
    from sysgate.launch import failure

    made = failure.exception(error, plan.argv[0])
    if isinstance(made, KernelError):
        return made
    if error.step != planning.EXECVE:
        return KernelError(error.errno, f"the program could not be started ({error.step}): {made.strerror}")
    if error.errno == errno.ENOENT or (b"/" not in plan.argv[0] and not any(map(os.path.exists, plan.paths))):
        return NoProgramError(made, NOT_FOUND, plan.argv[0])
    return NoProgramError(made, NOT_EXECUTABLE, plan.argv[0])


def _expected(plan: Plan) -> int:
    found = any(map(os.path.exists, plan.paths))
    return errno.EACCES if found else errno.ENOENT


def _occupy_streams() -> None:
    # Where 0, 1 or 2 is closed, nothing of ours may take its place: the program would find it, and messages go astray.
    while (fd := os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)) <= 2:
        pass
    os.close(fd)


def _environment() -> tuple[bytes, ...] | None:
    # What this process was started with. Python may have put LC_CTYPE into its own (PEP 538).
    try:
        with open("/proc/self/environ", "rb", 0) as file:
            raw = file.read()
    except OSError:
        return None
    return tuple(raw.split(b"\0")[:-1])
