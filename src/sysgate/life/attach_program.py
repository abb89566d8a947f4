"""A policy made ready to be put in force in a process that runs already: compiled, proved, and asked questions."""

from __future__ import annotations

from sysgate.bpf import machine
from sysgate.bpf import program as bpf_program
from sysgate.bpf.insn import BPF_MAXINSNS
from sysgate.errors import CompileError
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.bpf.program import Program
    from sysgate.policy.ast import Policy
    from sysgate.policy.ruleset import Gate

_PASSES = (0x7FFF, 0x7FFC)  # the upper halves of SECCOMP_RET_ALLOW and SECCOMP_RET_LOG


class Attachable(Value):
    """A policy's program with its own answers and no ticket. raw: as struct sock_filter[]. audits: what it covers."""

    program: Program
    raw: bytes
    audits: tuple[int, ...]

    def lets(self, audit: int, nr: int, args: Sequence[int] = (), ip: int = 0) -> bool:
        """Whether a call passes."""
        return passes(self.program, audit, nr, args, ip)


def passes(program: Program, audit: int, nr: int, args: Sequence[int] = (), ip: int = 0) -> bool:
    """Whether a program lets a call through, with a note in the log or without."""
    return machine.run(program, audit, nr, args, ip)[0] >> 16 in _PASSES


_KEPT = 8
_recent: list[tuple[Gate, Attachable]] = []


def attachable(policy: Policy) -> Attachable:
    """The policy for this machine; the policies (the very objects) asked for lately are still ready.

    Raises PolicyError where an action has nobody to answer it, CompileError, and ProofError should the compiler be
    wrong.
    """
    from sysgate.launch import prepared

    gate = prepared.prepare(policy).gate
    for known, made in _recent:
        if known is gate:
            return made
    made = of_gate(gate)
    _recent.insert(0, (gate, made))
    del _recent[_KEPT:]
    return made


def of_gate(gate: Gate) -> Attachable:
    """A gate compiled and proved. Raises CompileError."""
    from sysgate.compiler import compile
    from sysgate.proof import prove

    made = compile(gate, optimize="fast")
    prove(gate, made)
    if len(made.insns) > BPF_MAXINSNS:
        raise CompileError(f"the program has {len(made.insns)} instructions; the kernel takes {BPF_MAXINSNS}")
    return Attachable(made, bpf_program.to_bytes(made), tuple(audit for audit, _ in gate.entries))
