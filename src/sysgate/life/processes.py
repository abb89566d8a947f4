"""Every filtered process of the machine, as far as this user may know."""

from __future__ import annotations

from sysgate.errors import KernelError
from sysgate.kernel import procfs
from sysgate.life import passing
from sysgate.life.status import Reporter
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.bpf.program import Program
    from sysgate.kernel.procfs import Status
    from sysgate.life.status import ProcessState


class Listed(Value):
    """A filtered process. allowed: how many of this machine's calls may pass, None where its policy is not known.

    starter: what put it behind its filters, as far as that shows: sysgate's own note, or the nearest ancestor that
    stands behind fewer, `systemd[1]`.
    """

    state: ProcessState
    allowed: int | None
    starter: str


def listed(*, policies: bool = True) -> tuple[Listed, ...]:
    """The filtered processes, by pid. An ordinary user sees its own; what ends meanwhile is left out.

    policies: whether those that only the kernel knows are recovered too, which can take a second each.
    """
    import os

    uid, reporter = os.geteuid(), Reporter(recover=policies)
    found = []
    counts: dict[object, int | None] = {}
    for pid in procfs.processes():
        seen = procfs.status(pid)
        if seen is None or (uid and seen.uid != uid) or not (seen.seccomp or _hidden(pid, seen)):
            continue
        try:
            state = reporter.of(pid)
        except KernelError:
            continue  # ended
        if state.mode == "off":
            continue
        found.append(Listed(state, _allowed(state, reporter.programs, counts), _starter(seen, state)))
    return tuple(found)


def _allowed(state: ProcessState, programs: Sequence[Program], counts: dict[object, int | None]) -> int | None:
    if state.policy is not None:
        if state.policy not in counts:
            counts[state.policy] = passing.of_policy(state.policy)
        return counts[state.policy]
    if not programs:
        return None
    key = tuple(programs)
    if key not in counts:
        counts[key] = passing.of_programs(key)
    return counts[key]


def _hidden(pid: int, seen: Status) -> bool:
    # A leader that has ended no longer shows the filters that its other threads stand behind.
    if not seen.dead:
        return False
    threads = (procfs.status(pid, tid) for tid in procfs.tasks(pid))
    return any(thread is not None and thread.seccomp for thread in threads)


def _starter(seen: Status, state: ProcessState) -> str:
    from sysgate.decode import escaped

    if state.how:
        return state.how
    looked: Status | None = seen
    while looked is not None and looked.parent > 0:
        looked = procfs.status(looked.parent)
        if looked is not None and looked.filters < state.filters:
            return f"{escaped(looked.name.decode('utf-8', 'surrogateescape'))}[{looked.pid}]"
    return ""
