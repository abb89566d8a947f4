"""A policy made ready to be loaded: compiled as it is enforced, proved, and kept for the next launch."""

from __future__ import annotations

from sysgate.bpf import program as bpf_program
from sysgate.bpf import ticket
from sysgate.bpf.insn import BPF_MAXINSNS
from sysgate.errors import CompileError, KernelError, PolicyError
from sysgate.launch import plan
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sysgate.action import Action
    from sysgate.decision import Origin
    from sysgate.policy.ast import Policy
    from sysgate.policy.ruleset import Gate

_ENOSYS = 38
NATIVE, EXPLAINED, OBSERVED, IN_PLACE = "native", "explained", "observed", "in place"
"""How a policy is loaded: with its own answers; with refusals that ask the supervisor; with everything it refuses let
through and recorded; with its own answers into the process that becomes the program."""


class Loadable(Value):
    """A filter as struct sock_filter[], its ticket words zero, and the indexes of the instructions that take them."""

    filter: bytes
    slots: tuple[int, ...]


class Prepared:
    """A policy's gate and what is loaded of it, each form compiled and proved when first asked for.

    also: numbers of further calls that pass by ticket. policy: where the gate comes from, if that is to be told.
    Raises PolicyError at once where an action has nobody to answer it.
    """

    def __init__(self, gate: Gate, also: frozenset[int] = frozenset(), policy: Policy | None = None) -> None:
        _refuse_unanswered(gate)
        self.gate, self.policy, self._also = gate, policy, also
        self._made: dict[str, Loadable] = {}

    def loadable(self, form: str) -> Loadable:
        """The filter in one of the forms above. Raises CompileError, and ProofError should the compiler be wrong."""
        made = self._made.get(form)
        if made is None:
            made = self._made[form] = _compile(self.gate, form, self._also)
        return made

    def can_answer(self, kind: str) -> bool:
        """Whether some call may get an answer of this kind."""
        return any(action.kind == kind for action, _ in _answers(self.gate))


_KEPT = 8
_recent: list[tuple[Policy, Prepared]] = []


def prepare(policy: Policy) -> Prepared:
    """The policy for this machine. Policies (the very objects) that were asked for lately are still ready."""
    for known, made in _recent:
        if known is policy:
            return made
    from sysgate.policy import resolve

    made = Prepared(resolve.gate_of(policy, resolve.arches(policy)), policy=policy)
    _recent.insert(0, (policy, made))
    del _recent[_KEPT:]
    return made


def _compile(gate: Gate, form: str, also: frozenset[int]) -> Loadable:
    from sysgate.compiler import compile
    from sysgate.proof import prove

    passes = native_audit(), also | (plan.TICKETED_IN_PLACE if form == IN_PLACE else plan.TICKETED)
    if form == EXPLAINED:
        from sysgate.supervise import leaf

        made = leaf.guard(compile(gate, optimize="fast", leaf=leaf.explained, ticket=passes))
        prove(gate, made, leaf=leaf.accepted, ticket=passes)
    elif form == OBSERVED:
        from sysgate.supervise import leaf

        made = compile(gate, optimize="fast", leaf=leaf.observed, ticket=passes)
        prove(gate, made, leaf=leaf.observed, ticket=passes)
    else:
        made = compile(gate, optimize="fast", ticket=passes)
        prove(gate, made, ticket=passes)
    if len(made.insns) > BPF_MAXINSNS:
        raise CompileError(
            f"with what a launch needs the program has {len(made.insns)} instructions; the kernel takes 4096"
        )
    return Loadable(bpf_program.to_bytes(made), ticket.slots(made))


def native_audit() -> int:
    """This machine's AUDIT_ARCH value. Raises KernelError where sysgate does not launch yet."""
    import sys

    from sysgate.facts import arches

    native = arches.native()
    if native is None or native.name != "x86_64" or sys.maxsize < 1 << 32:
        name = native.name if native else "this architecture"
        raise KernelError(
            _ENOSYS,
            f"sysgate does not launch programs on {name} yet; policies compile and are judged for it all the same",
        )
    return native.audit


def _refuse_unanswered(gate: Gate) -> None:
    for action, origin in _answers(gate):
        if action.kind in ("notify", "trace"):
            raise PolicyError(
                f"`{action.kind}` needs somebody who answers it, and here is nobody",
                file=origin.file if origin else None,
                line=origin.line if origin else None,
                hint="refuse with errno(…) or kill, or allow",
                source=origin.text if origin else "",
            )


def _answers(gate: Gate) -> Iterator[tuple[Action, Origin | None]]:
    yield gate.foreign, None
    seen: set[int] = set()
    for _, segments in gate.entries:
        for segment in segments:
            if not segment.rules:
                yield segment.answer, segment.origin
            for rule in segment.rules:
                if id(rule) not in seen:
                    seen.add(id(rule))
                    yield from ((action, rule.origin) for _, action in rule.cases)
                    yield rule.otherwise, rule.origin
