"""The filter that every program of 2011 starts behind: it decides nothing, and shows the tracer what it answers for."""

from __future__ import annotations

from sysgate.action import ALLOW, KILL_PROCESS, Action
from sysgate.facts import arches, calls
from sysgate.life import abi2011_prctl
from sysgate.policy.ruleset import Among, Bound, Gate, Segment, Shares, Term

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.policy.ruleset import Expr

SPEAKS, OPENS, NEWER, UNTRACED = 1, 2, 3, 4
"""What the tracer reads with the stop: a prctl of 2011; an open, perhaps of seccomp_filter; seccomp(2), which 2011 did
not have; a clone whose child would not be traced."""

CLONE_UNTRACED = 0x0080_0000  # include/uapi/linux/sched.h
_ENOSYS = Action("errno", 38)
_LAST = (1 << 32) - 1
_OPTION = Term("option", 32, True, (0,))
_FLAGS = Term("clone_flags", 32, False, (0,))


def gate() -> Gate:
    """For x86_64 and for 32-bit tasks on it. No 2011 kernel ran another; such calls end the process."""
    entries = []
    for name in ("x86_64", "i386"):
        arch = arches.arch(name)
        assert arch is not None
        entries.append((arch.audit, _segments(name)))
    return Gate(tuple(entries), KILL_PROCESS, False)


def _segments(arch: str) -> tuple[Segment, ...]:
    spoken = Among(_OPTION, tuple((option, None) for option in abi2011_prctl.OPTIONS))
    special: dict[str, Bound | Action] = {
        "prctl": _where(spoken, SPEAKS),
        "clone": _where(Shares(_FLAGS, CLONE_UNTRACED), UNTRACED),
        "open": _shown(OPENS),
        "openat": _shown(OPENS),
        "seccomp": _shown(NEWER),
        # Its flags lie in memory; C libraries fall back on clone, as on a kernel of 2011.
        "clone3": _ENOSYS,
    }
    numbered = {calls.number(arch, name): what for name, what in special.items()}
    found: list[Segment] = []
    at = 0
    for nr, what in sorted((nr, what) for nr, what in numbered.items() if nr is not None):
        if at < nr:
            found.append(Segment(at, nr - 1, (), ALLOW, None))
        if isinstance(what, Bound):
            found.append(Segment(nr, nr, (what,), ALLOW, None))
        else:
            found.append(Segment(nr, nr, (), what, None))
        at = nr + 1
    return (*found, Segment(at, _LAST, (), ALLOW, None))


def _shown(data: int) -> Action:
    return Action("trace", data)


def _where(test: Expr, data: int) -> Bound:
    return Bound(((test, _shown(data)),), ALLOW, None)
