"""A tracer of its own: when it ends, the kernel releases what it still traces, a thread that never stopped too.

A thread, which is the quicker; a process where this one has other threads, for each could wait for any child and so
steal the stops. No signal disturbs it.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found] # what signal wraps, without its enums, slow to make
import errno
import os
import time
from _thread import allocate_lock, get_native_id, start_new_thread

from sysgate.errors import KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_EVERYTHING = frozenset(range(1, 65)) - {32, 33}  # those two are the C library's


class OtherThreadError(KernelError):
    """The thread that was to be traced will not do; another may."""


def apart(work: Callable[[], int], processor: int) -> int:
    """What work returns, done by a tracer on a processor: that of the thread it traces.

    They take turns: on one processor that is a switch, on two each turn wakes the other one up.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _EVERYTHING)
    everywhere = os.sched_getaffinity(0)
    try:
        # Ourselves first: the tracer begins where its maker is.
        _join(processor)
        return _in_thread(work) if _alone() else _in_process(work)
    finally:
        os.sched_setaffinity(0, everywhere)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _join(processor: int) -> None:
    try:  # noqa: SIM105 - contextlib is slow to load
        os.sched_setaffinity(0, (processor,))
    except OSError:
        pass  # not one of those this process may use


_MYSELF = 3  # links of a task folder with one thread in it: itself, its parent, one
_last_tracer = 0


def _alone() -> bool:
    # The tracer of a moment ago may still be on its way out.
    for _ in range(100):
        if os.stat("/proc/self/task").st_nlink == _MYSELF:
            return True
        if {int(tid) for tid in os.listdir("/proc/self/task")} - {os.getpid()} != {_last_tracer}:
            return False
        time.sleep(20e-6)
    return False


def _in_thread(work: Callable[[], int]) -> int:
    results: list[int | BaseException] = []
    done = allocate_lock()
    done.acquire()

    def body() -> None:
        global _last_tracer
        _last_tracer = get_native_id()
        try:
            results.append(work())
        except BaseException as error:
            results.append(error)
        finally:
            done.release()

    start_new_thread(body, ())
    done.acquire()
    if isinstance(results[0], BaseException):
        raise results[0]
    return results[0]


_DONE, _OTHER, _FAILED = "done", "other", "failed"


def _in_process(work: Callable[[], int]) -> int:
    import warnings

    reads, writes = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of threads; the child runs nothing of theirs
        child = os.fork()
    if child == 0:
        _tell(work, writes)
    os.close(writes)
    try:
        with open(reads, "rb") as file:
            kind, _, rest = file.read().decode("utf-8", "surrogateescape").partition("\n")
    finally:
        try:  # noqa: SIM105 - contextlib is slow to load
            os.waitpid(child, 0)
        except ChildProcessError:
            pass  # somebody here waits for any child, and got ours
    if kind == _DONE:
        return int(rest)
    if not kind:
        raise KernelError(errno.EIO, "the tracer was killed; the process may be behind the policy, or not")
    number, _, text = rest.partition("\n")
    raise (OtherThreadError if kind == _OTHER else KernelError)(int(number), text)


def _tell(work: Callable[[], int], writes: int) -> None:
    # Does not return.
    try:
        try:
            said = f"{_DONE}\n{work()}"
        except KernelError as error:
            kind = _OTHER if isinstance(error, OtherThreadError) else _FAILED
            said = f"{kind}\n{error.errno}\n{error.message}"
        except Exception as error:
            said = f"{_FAILED}\n{errno.EIO}\nthe tracer failed: {error!r}"
        os.write(writes, said.encode("utf-8", "surrogateescape"))
    finally:
        os._exit(0)
