"""Standing between a shell and a program without being noticed: signals, stops and the exit status pass through.

Both are in one process group, so what the terminal sends (Ctrl-C, Ctrl-\\, Ctrl-Z, a new size) reaches the program
anyway; the kernel marks such signals as its own, and they are dropped here. What somebody sends to this process alone
is handed on. When the program stops this process stops too, so that the shell sees it, and wakes it when woken.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found] # what signal wraps, without its enums, slow to make
import os

from sysgate.kernel import signalfd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sysgate.kernel.signalfd import Arrived

_UNBLOCKABLE = (signal.SIGKILL, signal.SIGSTOP)
_OWN_FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS)
_OF_THE_C_LIBRARY = (32, 33)  # nptl/internaltypes.h
_WATCHED = [number for number in range(1, 65) if number not in (*_UNBLOCKABLE, *_OWN_FAULTS, *_OF_THE_C_LIBRARY)]
_KEYS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP)
_FROM_TERMINAL = (*_KEYS, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH, signal.SIGHUP)
_TERMINAL_STOPS = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


class Job:
    """From construction on this process's signals wait for `ended`.

    blocked: the signals that were blocked before, as bits: what the program shall have. fd: readable when something
    happened. code: the exit code a shell would show, once the program has ended.
    """

    def __init__(self) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        self.blocked = _bits(before)
        self.fd = signalfd.create(_bits(_WATCHED))
        self.code = 0
        self._pid = 0

    def started(self, pid: int) -> None:
        """Say which program it is about; this process's child."""
        self._pid = pid

    def ended(self) -> bool:
        """Pass on what arrived; True once the program has ended, and then it has been waited for."""
        for each in signalfd.read(self.fd):
            if each.number == signal.SIGCONT:
                self._wake()
            elif each.number != signal.SIGCHLD and self._is_for_us_alone(each):
                os.kill(self._pid, each.number)
        return self._waited()

    def wait(self) -> None:
        """Pass on what arrives until the program has ended."""
        import select

        poller = select.poll()
        poller.register(self.fd, select.POLLIN)
        while not self.ended():
            poller.poll()

    def _is_for_us_alone(self, each: Arrived) -> bool:
        if each.sender == self._pid:
            return False
        if each.code != signalfd.FROM_KERNEL or each.number not in _FROM_TERMINAL:
            return True
        # A hangup is told to the session's leader only: drivers/tty/tty_io.c, __tty_hangup.
        return each.number == signal.SIGHUP and os.getsid(0) == os.getpid()

    def _waited(self) -> bool:
        pid, status = os.waitpid(self._pid, os.WNOHANG | os.WUNTRACED)
        if pid == 0:
            return False
        if os.WIFSTOPPED(status):
            self._stop(os.WSTOPSIG(status))
            return False
        code = os.waitstatus_to_exitcode(status)
        self.code = code if code >= 0 else 128 - code
        return True

    def _stop(self, by: int) -> None:
        if by not in _TERMINAL_STOPS:
            # Somebody stopped the program. Only where a shell waits for us must it be told.
            if not _in_foreground():
                return
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [by])
            signal.raise_signal(by)
            signal.pthread_sigmask(signal.SIG_BLOCK, [by])
        self._wake()

    def _wake(self) -> None:
        from sysgate.kernel import procfs

        # Whoever woke us has probably woken the program too, by its group.
        status = procfs.read(self._pid, "stat")
        if status is not None and status.rpartition(b") ")[2][:1] == b"T":
            os.kill(self._pid, signal.SIGCONT)


def _in_foreground() -> bool:
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _bits(signals: Iterable[int]) -> int:
    return sum(1 << number - 1 for number in signals)
