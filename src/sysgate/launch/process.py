"""subprocess.run behind a policy."""

from __future__ import annotations

import os
import subprocess
import sys
from _thread import allocate_lock, start_new_thread
from contextlib import suppress

from sysgate.errors import SysgateError
from sysgate.launch import failure, prepared, search
from sysgate.launch.child import NotStartedError
from sysgate.launch.note import Note
from sysgate.launch.plan import Plan
from sysgate.launch.watched import begin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from sysgate.kernel.abilities import Abilities
    from sysgate.launch.prepared import Prepared
    from sysgate.launch.watched import Watched
    from sysgate.policy.ast import Policy
    from sysgate.supervise.denial import Denial

    Word = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_SIGINT_SECONDS = 0.25
_INVALID_ID = 0xFFFF_FFFF  # (uid_t)-1: to setreuid(2) it says "leave as it is"


class UsageError(SysgateError, ValueError):
    """A call to `run` that cannot be meant."""


class Completed(subprocess.CompletedProcess):  # type: ignore[type-arg]
    """How a confined program ended.

    args, returncode, stdout, stderr, check_returncode: as subprocess.CompletedProcess has them.
    denials: what it was refused, equal ones counted, in order of first sight. confined: True, for `run` raises else:
    the kernel took the filter, and /proc showed it on the process.
    """

    def __init__(
        self, args: Any, returncode: int, stdout: Any, stderr: Any, denials: tuple[Denial, ...], confined: bool
    ) -> None:
        super().__init__(args, returncode, stdout, stderr)
        self.denials, self.confined = denials, confined

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, denials={self.denials!r}, confined={self.confined!r})"


def run(
    argv: Sequence[Word] | Word,
    policy: Policy | Prepared,
    *,
    input: Any = None,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    explain: bool = True,
    abilities: Abilities | None = None,
    **kwargs: Any,
) -> Completed:
    """subprocess.run(argv, …) behind a policy, with its keywords and their meaning.

    explain: False leaves every answer to the kernel, and .denials empty. abilities: what to assume of the kernel; None
    tries. preexec_fn is refused: it would run Python between fork and filter.
    Raises as subprocess.run does; PolicyError where an action has nobody to answer it; CompileError; KernelError rather
    than run anything unconfined; UsageError.
    """
    if kwargs.pop("preexec_fn", None) is not None:
        raise UsageError("preexec_fn is refused: a launch runs no Python in the child")
    if input is not None:
        if kwargs.get("stdin") is not None:
            raise UsageError("stdin and input arguments may not both be used.")
        kwargs["stdin"] = subprocess.PIPE
    if capture_output:
        if kwargs.get("stdout") is not None or kwargs.get("stderr") is not None:
            raise UsageError("stdout and stderr arguments may not be used with capture_output.")
        kwargs["stdout"] = kwargs["stderr"] = subprocess.PIPE
    ready = policy if isinstance(policy, prepared.Prepared) else prepared.prepare(policy)
    launch = _Launch(ready, prepared.EXPLAINED if explain else prepared.NATIVE, abilities)
    process = _Process(argv, launch, **kwargs)
    try:
        with process:
            try:
                launch.attend(process, busy=timeout is not None)
                stdout, stderr = process.communicate(input, timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
            except BaseException:
                process.kill()
                raise
    finally:
        launch.finish()
    done = Completed(process.args, process.returncode, stdout, stderr, launch.denials, True)
    if check:
        done.check_returncode()
    return done


class _Launch:
    """What starts a _Process and answers for its policy."""

    def __init__(self, ready: Prepared, form: str, abilities: Abilities | None) -> None:
        self._ready, self._form, self._abilities = ready, form, abilities
        self._watched: Watched | None = None
        self._note: Note | None = None
        self._event = -1
        self._served = allocate_lock()

    @property
    def denials(self) -> tuple[Denial, ...]:
        return self._watched.denials if self._watched else ()

    def start(self, plan: Plan) -> int:
        watched = self._watched = begin(plan, self._ready, self._form, abilities=self._abilities)
        self._note = Note(watched.child.pid, self._ready.policy, watched.form, "sysgate.run")
        return watched.child.pid

    def attend(self, process: _Process, *, busy: bool) -> None:
        """Answer until the process has ended; in a thread where this one is busy: pipes to serve, a time to keep."""
        watched = self._watched
        if watched is None or watched.watcher is None:
            return
        pidfd = -1 if busy or process.stdin or process.stdout or process.stderr else _pidfd(process.pid)
        if pidfd < 0:
            self._event = os.eventfd(0, os.EFD_CLOEXEC)
            self._served.acquire()
            start_new_thread(self._serve, (watched,))
        else:
            self._serve_here(watched, process, pidfd)

    def finish(self) -> None:
        """Let the thread end its work, if there is one; the process has been waited for."""
        if self._event >= 0:
            os.eventfd_write(self._event, 1)
            self._served.acquire()
            os.close(self._event)
            self._event = -1
        if self._watched is not None and self._watched.watcher is None:
            self._watched.end()
        if self._note is not None:
            self._note.take_back()

    def _serve(self, watched: Watched) -> None:
        try:
            watched.serve(self._event, lambda: True)
        finally:
            self._served.release()

    @staticmethod
    def _serve_here(watched: Watched, process: _Process, pidfd: int) -> None:
        try:
            watched.serve(pidfd, lambda: process.poll() is not None)
        except KeyboardInterrupt:
            # Its own SIGINT may end the program: as Popen.communicate, give it a moment.
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_SIGINT_SECONDS)
            raise
        finally:
            os.close(pidfd)


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except OSError:  # before Linux 5.3, or refused by a filter
        return -1


_CODE = subprocess.Popen._execute_child.__code__  # type: ignore[attr-defined]
_PARAMETERS = _CODE.co_varnames[1 : _CODE.co_argcount]
_PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")


class _Process(subprocess.Popen):  # type: ignore[type-arg]
    """Popen whose child is started by a _Launch: all else of it, streams and waiting, is CPython's.

    `_execute_child` is private to CPython, but stable since 3.2 in all but its parameters: they are taken by name.
    """

    def __init__(self, args: Any, launch: _Launch, **kwargs: Any) -> None:
        self.launch = launch
        super().__init__(args, **kwargs)

    def _execute_child(self, *values: Any) -> None:
        given = dict(zip(_PARAMETERS, values))
        argv, program = _command(given["args"], given["executable"], given["shell"])
        sys.audit("subprocess.Popen", program, argv, given["cwd"], given["env"])
        plan = _plan(argv, program, given)
        try:
            self.pid = self.launch.start(plan)
        except NotStartedError as error:
            raise failure.exception(error, program, given["cwd"]) from None
        self._child_created = True
        self._close_pipe_fds(*[given[name] for name in _PIPES])  # type: ignore[attr-defined]


def _command(args: Any, executable: Word | None, shell: bool) -> tuple[list[Word], Word]:
    # As subprocess.Popen._execute_child begins.
    if isinstance(args, (str, bytes)):
        args = [args]
    elif isinstance(args, os.PathLike):
        if shell:
            raise TypeError("path-like args is not allowed when shell is true")
        args = [args]
    else:
        args = list(args)
    if shell:
        args = [executable or "/bin/sh", "-c", *args]
    if not args:
        raise UsageError("there is no program to run")
    return args, args[0] if executable is None else executable


def _plan(argv: list[Word], program: Word, given: Mapping[str, Any]) -> Plan:
    env, cwd, umask, process_group = given["env"], given["cwd"], given["umask"], given["process_group"]
    groups, gid, uid = given["gids"], given["gid"], given["uid"]
    return Plan(
        tuple([_text(word) for word in argv]),
        search.candidates(_text(program), env),
        None if env is None else _environment(env),
        (_stream(given["p2cread"]), _stream(given["c2pwrite"]), _stream(given["errwrite"])),
        tuple(sorted({int(fd) for fd in given["pass_fds"]})) if given["close_fds"] else None,
        None if cwd is None else _text(cwd),
        None if umask < 0 else umask,
        bool(given["restore_signals"]),
        bool(given["start_new_session"]),
        None if process_group < 0 else process_group,
        None if groups is None else tuple([_id(group) for group in groups]),
        None if gid is None else _id(gid),
        None if uid is None else _id(uid),
    )


def _stream(fd: int) -> int | None:
    return None if fd == -1 else fd


def _environment(env: Mapping[Any, Any]) -> tuple[bytes, ...]:
    entries = []
    for key, value in env.items():
        name = _text(key)
        if b"=" in name:
            raise UsageError("illegal environment variable name")
        entries.append(name + b"=" + _text(value))
    return tuple(entries)


def _text(word: Word) -> bytes:
    text = os.fsencode(word)
    if b"\0" in text:
        raise UsageError("embedded null byte")
    return text


def _id(number: int) -> int:
    if number >= _INVALID_ID:
        raise OverflowError(f"{number} is greater than the largest user or group number")
    return number
