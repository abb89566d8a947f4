"""Gate → Program: the rules of a policy as the smallest and cheapest classic BPF found."""

from __future__ import annotations

from sysgate.bpf.program import Program
from sysgate.errors import CompileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sysgate.action import Action
    from sysgate.bpf.program import Insn
    from sysgate.compiler.profile import Weights
    from sysgate.policy.ruleset import Gate

HOPELESS = 8192  # instructions: no setting makes half of them


def compile(
    gate: Gate,
    *,
    optimize: str = "full",
    weights: Weights | None = None,
    leaf: Callable[[Action], Action] | None = None,
    ticket: tuple[int, frozenset[int]] | None = None,
) -> Program:
    """The program that answers as the gate does.

    optimize: "full" searches for up to a second, "fast" takes milliseconds. weights: how often each call is made
    (profile.of_counts); None for the built-in profile. leaf: what is really returned for an action, applied to the
    answer that won; None for the action itself. ticket: (AUDIT_ARCH value, numbers): calls that pass with the launch
    ticket in their last three arguments (bpf.ticket). Raises CompileError where no program of at most 4,096
    instructions is found.
    """
    try:
        try:
            insns = _insns(gate, optimize, weights, leaf, ticket)
        except CompileError as error:
            from sysgate.compiler.limit import TooLong

            if not isinstance(error, TooLong) or error.count >= HOPELESS:
                raise
            # What one setting makes too long by less than half, the other may make fit.
            insns = _insns(gate, "full" if optimize == "fast" else "fast", weights, leaf, ticket)
    except RecursionError:
        raise CompileError("the policy is nested too deeply to be compiled") from None
    return Program(insns, gate.big_endian)


def _insns(
    gate: Gate,
    optimize: str,
    weights: Weights | None,
    leaf: Callable[[Action], Action] | None,
    ticket: tuple[int, frozenset[int]] | None,
) -> tuple[Insn, ...]:
    from sysgate.compiler import profile
    from sysgate.compiler.assemble import Assembly
    from sysgate.compiler.fast import Fast
    from sysgate.compiler.meanings import same

    if optimize == "fast":
        known = profile.in_short() if weights is None else weights
        setting = Fast(known.price)
    else:
        from sysgate.compiler.full import Full

        known = profile.built_in() if weights is None else weights
        setting = Full(known.price, len(gate.entries), known=weights is not None)
    return Assembly(gate, known, setting, leaf or same, ticket).program()
