"""A process that goes on answering when the one that started the program ends before the last of its descendants.

Were the listener closed instead, what a daemon is refused would turn from the policy's errno or kill into ENOSYS.
"""

from __future__ import annotations

import os
from contextlib import suppress

from sysgate.kernel import task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_DESCRIPTORS_END = 1 << 30  # NR_OPEN's own limit, fs/file.c


def leave(keep: int, serve: Callable[[], None]) -> None:
    """Leave a process behind that holds no descriptor but `keep`, in a session of its own, until serve returns.

    It is nobody's child here, and as little dumpable as this process. Raises OSError where none can be made.
    """
    import signal  # before descriptors are closed and the folder changed: no import shall fail later
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of threads; the child runs nothing of theirs
        child = os.fork()
    if child == 0:
        try:
            if os.fork() == 0:
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
                    signal.signal(number, signal.SIG_DFL)
                _settle(keep)
                serve()
        finally:
            os._exit(0)
    with suppress(ChildProcessError):  # somebody here waits for any child, and got ours
        os.waitpid(child, 0)


def _settle(keep: int) -> None:
    os.setsid()
    os.closerange(0, keep)
    os.closerange(keep + 1, _DESCRIPTORS_END)
    os.chdir("/")
    task.rename(b"sysgate-keeper")
