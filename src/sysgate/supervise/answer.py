"""The policy's answer to a notified call: its reference meaning, asked once for calls that it cannot tell apart."""

from __future__ import annotations

from sysgate.call import Call
from sysgate.facts import arches
from sysgate.policy import meaning
from sysgate.policy.ruleset import All, Any, Constant, Not
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sysgate.action import Action
    from sysgate.decision import Origin
    from sysgate.policy.ruleset import Expr, Gate, Segment

_KEPT = 4096  # answers remembered; a program that varies its calls endlessly makes us forget, not grow
_X32 = 0x4000_0000


class Verdict(Value):
    """What a policy answers to a call. registers: those its rules for this number
    look at, each with the bits that they see."""

    call: Call
    action: Action
    origin: Origin | None
    registers: Mapping[int, int]


class Judge:
    """Answers by one gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._looked: dict[tuple[str | int, int], dict[int, int]] = {}
        self._answers: dict[tuple[int, ...], tuple[Action, Origin | None]] = {}

    def verdict(self, audit: int, nr: int, ip: int, args: tuple[int, ...]) -> Verdict:
        """The answer to a call as struct seccomp_data shows it. audit: the AUDIT_ARCH value."""
        call = Call(arch_of(audit, nr), nr, args, ip)  # type: ignore[arg-type]
        registers = self._registers(call)
        key = (audit, nr, *(args[index] & bits for index, bits in registers.items()))
        known = self._answers.get(key)
        if known is None:
            if len(self._answers) >= _KEPT:
                self._answers.clear()
            known = self._answers[key] = meaning.decide(self._gate, call)
        return Verdict(call, *known, registers)

    def segment(self, call: Call) -> Segment | None:
        """The rules for a call's number; None for an architecture that the policy does not cover."""
        return meaning.segment(self._gate, call)

    def _registers(self, call: Call) -> dict[int, int]:
        key = call.arch, call.nr
        if key not in self._looked:
            if len(self._looked) >= _KEPT:
                self._looked.clear()
            segment = self.segment(call)
            cases = [case for rule in segment.rules for case in rule.cases] if segment else []
            seen: dict[int, int] = {}
            for expr, _ in cases:
                for index, bits in looked_at(expr):
                    seen[index] = seen.get(index, 0) | bits
            self._looked[key] = seen
        return self._looked[key]


def arch_of(audit: int, nr: int) -> str | int:
    """The architecture of a call: a name, or the AUDIT_ARCH value where no table has one."""
    found = arches.by_audit(audit)
    if not found:
        return audit
    # x86_64 and x32 share their value; bit 30 tells them apart, but in negative numbers it tells nothing.
    x32 = nr & _X32 and not nr >> 31
    names = [each.name for each in found if (each.name == "x32") == bool(x32)]
    return names[0] if names else found[0].name


def looked_at(expr: Expr) -> tuple[tuple[int, int], ...]:
    """The registers that a test reads, and the bits it sees of each."""
    if isinstance(expr, Constant):
        return ()
    if isinstance(expr, Not):
        return looked_at(expr.inner)
    if isinstance(expr, (All, Any)):
        return tuple(each for part in expr.parts for each in looked_at(part))
    bits = expr.term.bits if len(expr.term.regs) == 1 else 32
    return tuple((index, (1 << bits) - 1) for index in expr.term.regs)
