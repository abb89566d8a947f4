"""`sysgate run --then`: a program in two phases, a wide policy until its moment and a narrow one from there on."""

from __future__ import annotations

from sysgate.action import ALLOW
from sysgate.facts import arches, calls
from sysgate.life.abi import I386, X86_64
from sysgate.life.armed import Armed
from sysgate.life.strict import IN_LOADER
from sysgate.policy.ruleset import Gate, Segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.launch.foreground import Ended
    from sysgate.policy.ast import Policy

_FREE = "default: allow\n"
_FREE_OF_BOTH = f"{_FREE}[i386]\n{_FREE}"
_SECCOMP = frozenset({X86_64.numbers["seccomp"]})


def run(argv: Sequence[bytes], wide: Policy | None, then: Policy, when: str) -> tuple[Ended, bool]:
    """Run a program as launch.foreground.run does; how it ended, and whether it met its moment.

    wide: the policy from its first instruction on; None: whatever then allows and a program's start takes where when
    is "main", everything otherwise. then: the policy in force, beside it, from `when` on. no_new_privs is set from the
    start. Refusals are the kernel's own. Raises KernelError where tracing is refused (nothing was run), or where the
    program could not be put behind `then` (it was ended).
    """
    from sysgate.kernel import task
    from sysgate.launch import foreground, prepared
    from sysgate.policy import include

    narrow = prepared.prepare(then).gate
    if wide is not None:
        gate = prepared.prepare(wide).gate
    elif when == "main":
        gate = with_start(narrow)
    else:
        free = _FREE_OF_BOTH if any(audit == I386.audit for audit, _ in narrow.entries) else _FREE
        gate = prepared.prepare(include.parse(free, "<start>")).gate
    armed = Armed(then, when, gate)
    # Later it may have no privilege to do without it, and prctl(2) may be refused.
    task.renounce_new_privileges()
    ready = prepared.Prepared(gate, _SECCOMP, wide)
    ended = foreground.run(argv, ready, prepared.NATIVE, held=armed)
    return ended, armed.outcome()


def with_start(gate: Gate) -> Gate:
    """A gate that also allows what a program's loader and C library call before main.

    i386 programs may call seccomp(2) as well, which only narrows: tickets are for calls of 64 bits.
    """
    entries = []
    for audit, segments in gate.entries:
        names = [arch.name for arch in arches.by_audit(audit)]
        start = (*IN_LOADER, "seccomp") if audit == I386.audit else IN_LOADER
        numbers = sorted({nr for name in names for call in start if (nr := calls.number(name, call)) is not None})
        entries.append((audit, _allowing(segments, numbers)))
    return Gate(tuple(entries), gate.foreign, gate.big_endian)


def _allowing(segments: Sequence[Segment], numbers: Sequence[int]) -> tuple[Segment, ...]:
    found = []
    for segment in segments:
        low = segment.low
        for nr in numbers:
            if low <= nr <= segment.high:
                if low < nr:
                    found.append(Segment(low, nr - 1, segment.rules, segment.answer, segment.origin))
                found.append(Segment(nr, nr, (), ALLOW, None))
                low = nr + 1
        if low <= segment.high:
            found.append(Segment(low, segment.high, segment.rules, segment.answer, segment.origin))
    return tuple(found)
