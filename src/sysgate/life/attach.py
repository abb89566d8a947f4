"""Putting a running process behind a policy: all its threads, from now on, with as little of it noticed as can be.

One thread is stopped and made to call seccomp(2); the kernel brings the others along while they run (TSYNC).
"""

from __future__ import annotations

import errno
import os
import time

from sysgate.errors import KernelError
from sysgate.kernel import procfs, ptrace, seccomp
from sysgate.life import attach_target, registry, waits
from sysgate.life.abi import X86_64
from sysgate.life.apart import OtherThreadError, apart
from sysgate.life.attach_program import attachable
from sysgate.life.remote import Held, to_event_stop
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.bpf.program import Program
    from sysgate.life.abi import Abi
    from sysgate.life.attach_program import Attachable
    from sysgate.life.attach_target import Target, Threads
    from sysgate.life.remote import Place
    from sysgate.policy.ast import Policy

FORM = "attached"  # in the registry
_PATIENCE = 0.5  # seconds for a thread to stop
_TURNS = 20  # before a pause, which takes longer than most stops
_SET_MODE_FILTER, _PR_SET_NO_NEW_PRIVS = 1, 38


class Attached(Value):
    """What was done. threads: how many were brought along. filters: behind how many they stand now (-1: the kernel
    does not say). stopped: nanoseconds that one of them stood still. warning: what may surprise later, "" if nothing.
    """

    threads: int
    filters: int
    stopped: int
    warning: str


def attach(pid: int, policy: Policy, *, when: str | None = None) -> Attached:
    """Put a running process and all its threads behind a policy, from now on and for all that it starts.

    when: not now, but when it first makes this call (`listen`, or one of several: `accept,accept4`); waits for that,
    tracing it in this very process. KeyboardInterrupt gives up, and leaves it as it was.

    Processes it has started already are not touched. Refusals are the kernel's own, and not explained. Raises
    PolicyError or CompileError for the policy, and KernelError where it cannot be done; the process is then as it was
    (if no_new_privs had to be set before the kernel refused, the error says so).
    """
    made = attachable(policy)
    if when is not None:
        return _at_its_moment(pid, policy, made, when)
    threads = attach_target.Threads(pid)
    try:
        target = attach_target.examine(pid, made.audits, threads)
        stopped = _by_one_thread(target, threads, made, _noted_programs(target))
        done = verified(target, threads, made, stopped)
    finally:
        threads.close()
    registry.record(pid, policy, form=FORM, how="attach", started=target.started, ordinal=done.filters)
    return done


def _at_its_moment(pid: int, policy: Policy, made: Attachable, when: str) -> Attached:
    from sysgate.life import armed
    from sysgate.life.moment import moment

    met = moment(when, made.audits)
    threads = attach_target.Threads(pid)
    done: list[Attached] = []

    def told() -> None:
        done.append(verified(target, threads, made, 0))
        registry.record(pid, policy, form=FORM, how=f"attach --when {when}")

    try:
        target = attach_target.examine(pid, made.audits, threads)
        armed.when(target, made, met, told)
    finally:
        threads.close()
    return done[0]


def verified(target: Target, watched: Threads, made: Attachable, stopped: int) -> Attached:
    """What the kernel says of a process that was put behind one filter more. Raises KernelError if it does not."""
    threads = watched.living()
    lacking = [
        thread for thread in threads if thread.seccomp != attach_target.FILTER or 0 <= thread.filters <= target.filters
    ]
    if not threads or (lacking and procfs.start_time(target.pid) != target.started):
        raise KernelError(
            errno.ESRCH,
            f"process {target.pid} was put behind the policy, and has ended since; "
            "did it make, or make anew, a call that the policy refuses?",
        )
    if lacking:
        raise KernelError(errno.EPERM, f"/proc does not show the filter on thread {lacking[0].pid}")
    restarts = made.lets(target.abi.audit, target.abi.numbers["restart_syscall"])
    return Attached(len(threads), threads[0].filters, stopped, "" if restarts else _NO_RESTART)


_NO_RESTART = (
    "the policy refuses restart_syscall: a sleep that is stopped and continued (SIGSTOP and SIGCONT, a debugger) "
    "meets that refusal"
)


def _by_one_thread(target: Target, threads: Threads, made: Attachable, filters: tuple[Program, ...] | None) -> int:
    flags = seccomp.FLAGS["tsync"]
    if seccomp.knows_flag("tsync_esrch"):
        flags |= seccomp.FLAGS["tsync_esrch"]
    refusal: KernelError | None = None
    for tid in target.candidates:
        try:
            return apart(
                lambda tid=tid: _confine(target, threads, tid, made, flags, filters),  # type: ignore[misc]
                target.processor,
            )
        except OtherThreadError as error:
            refusal = error
    assert refusal is not None
    raise KernelError(refusal.errno or 0, refusal.message)


# ---- the tracer


def _confine(
    target: Target, threads: Threads, tid: int, made: Attachable, flags: int, filters: tuple[Program, ...] | None
) -> int:
    """Stop a thread, put its process behind the filter, let it go; the nanoseconds that it stood still."""
    _seize(target, threads, tid)
    seen = waits.look(tid)
    began = time.perf_counter_ns()
    _stop(tid)
    try:
        held = Held(tid, near=target.near, top=target.top, filters=filters, seen=seen)
    except BaseException:
        ptrace.detach(tid)
        raise
    try:
        if filters is None and target.filtered:
            held.filters = programs_of(target.pid, tid)
        _refuse_restart(held, made)
        _refuse_abi(target, held.abi, made)
        load(held, made, flags)
    finally:
        held.release()
    return time.perf_counter_ns() - began


def _seize(target: Target, threads: Threads, tid: int) -> None:
    try:
        ptrace.seize(tid, ptrace.O_TRACESYSGOOD)
    except KernelError as error:
        if error.errno == errno.ESRCH:
            raise OtherThreadError(errno.ESRCH, f"thread {tid} has ended") from None
        raise attach_target.not_ours(target.pid) from None
    # From here on the number cannot become another's.
    if not threads.same(tid):
        raise OtherThreadError(errno.ESRCH, f"thread {tid} has ended")


def _stop(tid: int) -> None:
    ptrace.interrupt(tid)
    status = _first_stop(tid)
    if not os.WIFSTOPPED(status):
        raise OtherThreadError(errno.ESRCH, f"thread {tid} has ended")
    if ptrace.event(status) != ptrace.EVENT_STOP:
        # A signal came first. It is delivered, and the stop follows before its handler's first instruction.
        to_event_stop(tid, os.WSTOPSIG(status))


def _first_stop(tid: int) -> int:
    # Not by a blocking wait, for which there is no time limit but a signal.
    pause, due = 10e-6, time.monotonic() + _PATIENCE
    for _ in range(_TURNS):
        if (status := ptrace.poll(tid)) is not None:
            return status
        os.sched_yield()  # it may be the next one on this processor
    while (status := ptrace.poll(tid)) is None:
        if time.monotonic() > due:  # as this thread or process ends, it is let go
            raise OtherThreadError(errno.EBUSY, f"thread {tid} did not stop within {_PATIENCE} s; it goes on unchanged")
        time.sleep(pause)
        pause = min(2 * pause, 1e-3)
    return status


def _noted_programs(target: Target) -> tuple[Program, ...] | None:
    """What a filtered process stands behind, as far as only the registry can tell; None where it cannot, or need not.

    An ordinary user may not read filters. Should a note be wrong, the process is killed by a filter of its own.
    """
    if not target.filtered or os.geteuid() == 0:
        return None
    from sysgate.policy import include

    notes = {entry.ordinal: entry for entry in registry.entries(os.geteuid()) if entry.pid == target.pid}
    if sorted(notes) != list(range(1, target.filters + 1)):
        return None
    return tuple(
        attachable(include.parse(note.text, note.name, note.dialect)).program for _, note in sorted(notes.items())
    )


def programs_of(pid: int, tid: int) -> tuple[Program, ...]:
    """The programs that a stopped thread stands behind, equal ones once: one may kill for a call of seccomp(2).

    Raises KernelError where they may not be seen.
    """
    from sysgate.bpf import program as bpf_program

    found: dict[bytes, None] = {}
    index = 0
    try:
        while (raw := ptrace.seccomp_filter(tid, index)) is not None:
            found[raw] = None
            index += 1
    except KernelError as error:
        raise KernelError(
            error.errno or 0,
            f"process {pid} stands behind filters already, and whether they let it call seccomp(2), or kill it "
            "for that, only root may see: attach as root, from a process without filters",
        ) from None
    return tuple(bpf_program.from_bytes(raw, big_endian=False) for raw in found)


def _refuse_restart(held: Held, made: Attachable) -> None:
    if held.needs_restart and not made.lets(held.abi.audit, held.abi.numbers["restart_syscall"], held.arguments()):
        raise OtherThreadError(
            errno.EINVAL,
            f"thread {held.tid} is in a timed wait, which goes on by restart_syscall once it has been stopped, and the "
            'policy refuses that: add `restart_syscall: 1`, or include "@startup"',
        )


def _refuse_abi(target: Target, abi: Abi, made: Attachable) -> None:
    if abi.audit not in made.audits:
        raise KernelError(errno.EINVAL, f"process {target.pid} runs {abi.name} code, of which the policy says nothing")


def load(held: Held, made: Attachable, flags: int, ticket: tuple[int, ...] = ()) -> None:
    """Make a held thread put its process behind a program. ticket: words that let it call seccomp(2).

    Raises KernelError; then nothing was installed, and a mapping that had to be made is gone again.
    """
    place = held.place(16 + len(made.raw))
    done = False
    try:
        held.write(place.address, _sock_fprog(held.abi, place, made.raw))
        arguments = (_SET_MODE_FILTER, flags, place.address, *ticket)
        result, privileges = held.call("seccomp", *arguments), False
        if result == -errno.EACCES:
            # Neither CAP_SYS_ADMIN nor no_new_privs: kernel/seccomp.c, seccomp_prepare_filter.
            held.call("prctl", _PR_SET_NO_NEW_PRIVS, 1)
            result, privileges = held.call("seccomp", *arguments), True
        if result != 0:
            raise _refused(held.tid, result, privileges)
        done = True
    finally:
        munmap = held.abi.audit, held.abi.numbers["munmap"], (place.address, place.size)
        held.give_back(place, unmap=not done or made.lets(*munmap))


def _sock_fprog(abi: Abi, place: Place, filter: bytes) -> bytes:
    wide = 8 if abi is X86_64 else 4
    length = (len(filter) // 8).to_bytes(wide, "little")
    return (length + (place.address + 16).to_bytes(wide, "little")).ljust(16, b"\0") + filter


def _refused(tid: int, result: int, privileges: bool) -> KernelError:
    if result > 0 or result == -errno.ESRCH:
        number, why = errno.ESRCH, "a thread put itself behind a filter of its own at the same moment"
    else:
        number, why = -result, seccomp.refusal(-result)
    rest = "; no_new_privs had to be set before, and stays" if privileges else ""
    return KernelError(number, f"the process of thread {tid} was not put behind the policy: {why}{rest}")
