"""Every filtered process of the machine, as far as this user may know."""

from __future__ import annotations

from sysgate.errors import KernelError, SysgateError
from sysgate.facts import arches, calls
from sysgate.kernel import procfs
from sysgate.life.status import Reporter
from sysgate.policy.ruleset import Constant
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.kernel.procfs import Status
    from sysgate.life.status import ProcessState
    from sysgate.policy.ast import Policy
    from sysgate.policy.ruleset import Bound, Segment

_PASSES = ("allow", "log")


class Listed(Value):
    """A filtered process. allowed: how many of this machine's calls may pass, None where its policy is not known.

    starter: what put it behind its filters, as far as that shows: sysgate's own note, or the nearest ancestor that
    stands behind fewer, `systemd[1]`.
    """

    state: ProcessState
    allowed: int | None
    starter: str


def listed() -> tuple[Listed, ...]:
    """The filtered processes, by pid. An ordinary user sees its own; what ends meanwhile is left out."""
    import os

    uid, reporter = os.geteuid(), Reporter()
    found = []
    counts: dict[Policy, int | None] = {}
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
        if state.policy is not None and state.policy not in counts:
            counts[state.policy] = allowed(state.policy)
        found.append(Listed(state, counts.get(state.policy) if state.policy else None, _starter(seen, state)))
    return tuple(found)


def allowed(policy: Policy) -> int | None:
    """How many of this machine's calls a policy may let pass; None where it says nothing of this machine."""
    from sysgate.policy import resolve

    native = arches.native()
    if native is None:
        return None
    try:
        segments = resolve.resolve(policy, native.name).segments
    except SysgateError:
        return None
    numbers = sorted(set(calls.table(native.name).values()))
    return sum(_may_pass(segment) for segment in segments for nr in numbers if segment.low <= nr <= segment.high)


def _may_pass(segment: Segment) -> bool:
    if not segment.rules:
        return segment.answer.kind in _PASSES
    return all(_lets(rule) for rule in segment.rules)


def _lets(rule: Bound) -> bool:
    for expr, action in rule.cases:
        if expr == Constant(True):
            return action.kind in _PASSES
        if action.kind in _PASSES and expr != Constant(False):
            return True
    return rule.otherwise.kind in _PASSES


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
