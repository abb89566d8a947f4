"""Starting one child behind a filter, and making sure that it stands there."""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found] # what signal wraps, without its enums, slow to make
import errno
import os

from sysgate.errors import KernelError
from sysgate.kernel import native, process
from sysgate.launch import plan as planning
from sysgate.launch.channel import Channel
from sysgate.launch.orders import Orders
from sysgate.launch.plan import UNCHANGED
from sysgate.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.launch.plan import Plan, Streams
    from sysgate.launch.prepared import Loadable

CLONE = "clone"
NEW_LISTENER, WAIT_KILLABLE_RECV = 1 << 3, 1 << 5  # SECCOMP_FILTER_FLAG_*, include/uapi/linux/seccomp.h
_CLONE_VM, _CLONE_VFORK, _SIGCHLD, _SIGKILL = 0x100, 0x4000, 17, 9

_kernel_drops_handlers = True
_KEPT = 8
_kept: list[tuple[object, Orders]] = []
"""Orders of the last launches, wiped, and what they were for: who starts workers starts the same ones again."""
os.register_at_fork(after_in_child=_kept.clear)  # as launch.orders does with memory


class NotStartedError(Exception):
    """A step of the launch failed. step: its name in launch.plan, "clone", or "". errno: with what."""

    def __init__(self, step: str, errno: int) -> None:
        super().__init__(f"{step}: {os.strerror(errno)}")
        self.step, self.errno = step, errno


class Child:
    """A program behind a filter, confirmed by the kernel. Nobody has waited for it yet.

    pid: its process. listener: the filter's, the caller's to close; None without one. held: it waits for `go` and has
    not executed its program yet.
    """

    def __init__(self, pid: int, listener: int | None, channel: Channel | None, orders: Orders) -> None:
        self.pid, self.listener, self.held = pid, listener, channel is not None
        self._channel, self._orders = channel, orders

    @property
    def ticket(self) -> tuple[int, int, int]:
        """The words with which a held child's ticketed calls pass, in args[3], args[4] and args[5]: a secret."""
        return self._orders.ticket()

    def go(self) -> None:
        """Let a held child execute its program. Raises NotStartedError; then nothing is left of it."""
        assert self._channel is not None
        self.held = False
        self._channel.tell_to_go()
        self._channel.close()
        failed = _failure(self._orders)
        self._orders.wipe()
        self._orders.release()
        if failed is not None:
            self._drop_listener()
            _reap(self.pid)
            raise failed

    def kill(self) -> None:
        """End it, whatever it is doing; nothing is left of it."""
        self._drop_listener()
        if self._channel is not None and self.held:
            self._channel.close()
        os.kill(self.pid, _SIGKILL)
        _reap(self.pid)

    def _drop_listener(self) -> None:
        if self.listener is not None:
            os.close(self.listener)
            self.listener = None


def start(plan: Plan, loadable: Loadable, *, flags: Sequence[int] = (0,), hold: bool = False) -> Child:
    """Start plan's program behind a filter.

    flags: for seccomp(2), the first that the kernel takes; NEW_LISTENER in them asks for a listener. hold: the child
    is to wait behind the filter until `go`.
    Raises NotStartedError where a step failed, OSError for a descriptor that is not open, and KernelError where the
    kernel does not confirm the filter. Then nothing is left of the child.
    """
    for fd in plan.keep or ():
        os.get_inheritable(fd)  # must be known before a new descriptor takes the number of one that is closed
    # Where SIGCHLD is ignored a child leaves no trace once it ends (wait(2)): confirm while it cannot.
    held = hold or signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    copies = plan.streams if plan.streams == UNCHANGED else _above_streams(plan)
    try:
        child = _start(plan if copies == plan.streams else replace(plan, streams=copies), loadable, flags, held)
    finally:
        for copy, old in zip(copies, plan.streams):
            if copy is not None and copy != old:
                os.close(copy)
    if held and not hold:
        child.go()
    return child


def _above_streams(plan: Plan) -> Streams:
    # Where the program's 1 is to be this process's 0, making its 0 first would overwrite it.
    from fcntl import F_DUPFD_CLOEXEC, fcntl  # seldom needed

    def above(number: int) -> int | None:
        fd = plan.streams[number]
        return fd if fd is None or fd > 2 or fd == number else fcntl(fd, F_DUPFD_CLOEXEC, 3)

    return above(0), above(1), above(2)


def _start(plan: Plan, loadable: Loadable, flags: Sequence[int], hold: bool) -> Child:
    global _kernel_drops_handlers
    if _kernel_drops_handlers:
        try:
            return _attempt(plan, loadable, flags, hold, None)
        except NotStartedError as error:
            # clone3 is not there, does not know CLONE_CLEAR_SIGHAND, or is refused by a filter.
            if error.step != CLONE or error.errno not in (errno.ENOSYS, errno.EINVAL, errno.EPERM):
                raise
            _kernel_drops_handlers = False
    return _attempt(plan, loadable, flags, hold, process.handled_signals())


def _attempt(plan: Plan, loadable: Loadable, flags: Sequence[int], hold: bool, caught: int | None) -> Child:
    with_listener = bool(flags[0] & NEW_LISTENER)
    channel = Channel() if with_listener or hold else None
    theirs = None if channel is None else channel.theirs
    wanted = loadable, plan, tuple(flags), hold, caught, theirs, native.environment()
    orders = None
    held = False
    try:
        orders = _orders_of_last_time(wanted) or _written(*wanted)
        if loadable.slots:
            orders.draw_ticket(loadable.slots)
        pid = orders.carry_out()
        if pid < 0:
            raise NotStartedError(CLONE, -pid)
        child = _met(pid, orders, channel, hold)
        _confirm(child, with_listener)
        held = hold
        return child
    finally:
        if not held:
            if orders is not None:
                orders.wipe()
                _keep(wanted, orders)
            if channel is not None:
                channel.close()


def _orders_of_last_time(wanted: object) -> Orders | None:
    for entry in tuple(_kept):
        if entry[0] == wanted:
            try:
                _kept.remove(entry)
            except ValueError:  # another thread was faster
                continue
            entry[1].renew()
            return entry[1]
    return None


def _keep(wanted: object, orders: Orders) -> None:
    _kept.append((wanted, orders))
    if len(_kept) > _KEPT:
        try:  # noqa: SIM105 - contextlib is slow to load
            _kept.pop(0)[1].release()
        except IndexError:
            pass


def _written(
    loadable: Loadable,
    plan: Plan,
    flags: Sequence[int],
    hold: bool,
    caught: int | None,
    theirs: int | None,
    environment: int,
) -> Orders:
    # theirs: the child's end of the channel, if there is one. Orders depend on these alone: by them they are kept.
    with_listener = bool(flags[0] & NEW_LISTENER)
    orders = Orders(plan.room() + len(loadable.filter))
    planning.enter(orders, plan, caught=caught or 0, spare=() if theirs is None else (theirs,))
    program = orders.place_filter(loadable.filter)
    if hold and not with_listener:
        planning.traceable(orders)
    if theirs is None:
        planning.confine(orders, program, flags)
    else:
        message, listener = planning.handover(orders, with_listener=with_listener)
        planning.confine(orders, program, flags, listener=listener)
        planning.report(orders, theirs, message, hold=hold)
    planning.execute(orders, plan, environment)
    planning.give_up(orders)
    orders.lay_out(_clone_flags(plan, hold), drop_handlers=caught is None)
    return orders


def _clone_flags(plan: Plan, hold: bool) -> int:
    if hold:
        return _SIGCHLD
    return _CLONE_VFORK | _SIGCHLD | (0 if plan.changes_user else _CLONE_VM)


def _met(pid: int, orders: Orders, channel: Channel | None, hold: bool) -> Child:
    # The child has executed its program, or ended; one that is held may also wait.
    listener = None
    if channel is not None and hold:
        channel.child_has_it()
        reported, listener = channel.report()
        if reported:
            return Child(pid, listener, channel, orders)
    failed = _failure(orders)
    if failed is None and channel is not None:
        channel.child_has_it()
        _, listener = channel.report()
    child = Child(pid, listener, None, orders)
    if failed is not None:
        _reap(pid)
        raise failed
    return child


def _confirm(child: Child, with_listener: bool) -> None:
    after, before = process.standing(child.pid), process.own_standing()
    narrowed = after is not None and before is not None and after.narrowed(before)
    if narrowed and (child.listener is not None or not with_listener):
        return
    child.kill()
    if not narrowed:
        raise KernelError(errno.EPERM, "/proc does not show the filter on the new process, which was ended")
    raise KernelError(errno.EMFILE, "the filter's listener did not arrive: is a descriptor free in this process?")


def _failure(orders: Orders) -> NotStartedError | None:
    # None where the last step made is an execve that did not return.
    last, result = orders.last()
    if result is None and last.startswith(planning.EXECVE):
        return None
    if last != planning.FAILED:  # ended in the middle: by a signal, or by a filter that was there before
        return NotStartedError(planning.CUT_SHORT, errno.EINTR)
    made = list(orders.made())
    tried = [-result for name, result in made if name.startswith(planning.EXECVE) and result is not None]
    if tried:
        return NotStartedError(planning.EXECVE, planning.why_not_executed(tried))
    name, result = made[-2]
    return NotStartedError(name.partition(" ")[0], -(result or 0))


def _reap(pid: int) -> None:
    try:  # noqa: SIM105 - contextlib is slow to load
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass  # SIGCHLD may be ignored
