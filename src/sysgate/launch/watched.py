"""A launch with somebody who explains its refusals, as good as this kernel and its circumstances allow."""

from __future__ import annotations

import errno

from sysgate.errors import KernelError
from sysgate.launch import plan as planning
from sysgate.launch import prepared as forms
from sysgate.launch.child import NEW_LISTENER, WAIT_KILLABLE_RECV, NotStartedError, start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sysgate.kernel.abilities import Abilities
    from sysgate.launch.child import Child
    from sysgate.launch.plan import Plan
    from sysgate.launch.prepared import Prepared
    from sysgate.policy.ruleset import Gate
    from sysgate.supervise.denial import Denial
    from sysgate.supervise.keeper import Keeper
    from sysgate.supervise.witness import Witness

    Told = Callable[[Denial], None]
    Held = Callable[[Child], None]


class Watched:
    """A started program and who watches it.

    child: nobody has waited for it. watcher: Keeper, Witness, or None where nobody explains. note: in one line what
    the circumstances did not allow, "" if nothing. form: what was loaded, as launch.prepared names it.
    """

    def __init__(
        self, child: Child, watcher: Keeper | Witness | None, note: str = "", form: str = forms.NATIVE
    ) -> None:
        self.child, self.watcher, self.note, self.form = child, watcher, note, form

    @property
    def denials(self) -> tuple[Denial, ...]:
        """What was refused so far, equal ones counted, in order of first sight."""
        return self.watcher.denials if self.watcher else ()

    def serve(self, until: int, ended: Callable[[], bool]) -> None:
        """Watch until ended() is True; it is asked whenever until, a descriptor, is readable."""
        from sysgate.supervise import shield

        assert self.watcher is not None
        try:
            self.watcher.serve(until, ended)
        finally:
            shield.down()

    def end(self) -> None:
        """To be called where there is no watcher to serve, when the program has been waited for."""
        from sysgate.supervise import shield

        shield.down()


def begin(
    plan: Plan,
    prepared: Prepared,
    form: str,
    *,
    abilities: Abilities | None = None,
    told: Told | None = None,
    held: Held | None = None,
) -> Watched:
    """Start plan's program behind a policy.

    form: NATIVE (nobody watches), EXPLAINED or OBSERVED, of launch.prepared. told: is called with each new denial.
    abilities: None tries, and falls back on what the kernel refuses. held: is called with the child before it executes
    the program, which it does not if that raises; only with NATIVE. Raises as `child.start`, and as held.
    """
    from sysgate.supervise import shield

    if held is not None:
        assert form == forms.NATIVE
        child = start(plan, prepared.loadable(form), hold=True)
        _go_after(child, held)
        return Watched(child, None)
    # Also where nobody watches: whoever waits for the program is a way around its policy while it can be traced.
    shield.up()
    try:
        if form == forms.NATIVE:
            return Watched(start(plan, prepared.loadable(form)), None)
        return _listening(plan, prepared, form, abilities, told) or _witnessed(plan, prepared, abilities, told)
    except BaseException:
        shield.down()
        raise


def _go_after(child: Child, held: Held) -> None:
    from sysgate.supervise import shield

    try:
        held(child)
    except BaseException:
        child.kill()
        raise
    shield.up()  # not before: a child forked from what cannot be traced could not be traced by held
    child.go()


def _listening(
    plan: Plan, prepared: Prepared, form: str, abilities: Abilities | None, told: Told | None
) -> Watched | None:
    # None where there is no listener to be had.
    observed = form == forms.OBSERVED
    if abilities is None or abilities.notify:
        flags = [NEW_LISTENER]
        if abilities is None or abilities.wait_killable:
            flags.insert(0, NEW_LISTENER | WAIT_KILLABLE_RECV)
        try:
            child = start(plan, prepared.loadable(form), flags=flags)
        except NotStartedError as error:
            if error.step != planning.SECCOMP or error.errno not in (errno.EBUSY, errno.EINVAL):
                raise
        else:
            return Watched(child, _keeper(child, prepared.gate, observed, told), form=form)
    if observed:
        raise KernelError(
            errno.EBUSY,
            "nothing can be observed here: the filter cannot have a listener, for this kernel is "
            "older than Linux 5.0 or this process stands behind a filter that has one",
        )
    return None


def _keeper(child: Child, gate: Gate, observed: bool, told: Told | None) -> Keeper:
    assert child.listener is not None
    try:
        from sysgate.supervise.keeper import Keeper  # loaded while the program starts: a refused call waits

        return Keeper(child.listener, gate, complain=observed, told=told)
    except BaseException:  # an interrupt, say: nobody would answer
        child.kill()
        raise


def _witnessed(plan: Plan, prepared: Prepared, abilities: Abilities | None, told: Told | None) -> Watched:
    # The filter's own answers, and a tracer that sees them.
    from sysgate.supervise.witness import Witness

    native = prepared.loadable(forms.NATIVE)
    if abilities is not None and not abilities.ptrace:
        return Watched(start(plan, native), None, _UNSEEN)
    child = start(plan, native, hold=True)
    try:
        watcher = Witness(child.pid, prepared.gate, told=told)
        note = _HALF_SEEN if prepared.can_answer("errno") else ""
    except KernelError:
        watcher, note = None, _UNSEEN
    except BaseException:
        child.kill()
        raise
    child.go()
    return Watched(child, watcher, note)


_HALF_SEEN = "kills are explained, refusals by errno are enforced only: there is no listener to be had here"
_UNSEEN = "refusals are enforced but not explained: there is no listener to be had here, and no tracing"
