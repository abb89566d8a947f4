"""Gate → Program: the rules of a policy as the smallest and cheapest classic BPF found."""

from __future__ import annotations

from sysgate.action import ALLOW
from sysgate.bpf.program import Program
from sysgate.compiler import lower
from sysgate.compiler.code import TICKET, Coder
from sysgate.compiler.diagram import ARCH, FULL, LEAF, NR, Diagram, Order, Overflow
from sysgate.compiler.layout import lay_out
from sysgate.errors import CompileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sysgate.action import Action
    from sysgate.policy.ruleset import Bound, Gate, Segment

MAX_INSTRUCTIONS = 4096
_NODES = 20_000


def _same(action: Action) -> Action:
    return action


def compile(
    gate: Gate,
    *,
    optimize: str = "full",
    weights: Mapping[str, float] | None = None,
    leaf: Callable[[Action], Action] = _same,
    ticket: tuple[int, frozenset[int]] | None = None,
) -> Program:
    """The program that answers as the gate does.

    optimize: "full" searches for up to a second, "fast" takes milliseconds. weights: how often each call is made, by
    name; None for the built-in profile. leaf: what is really returned for an action, applied to the answer that won.
    ticket: (AUDIT_ARCH value, numbers): calls that pass with the launch ticket in their last three arguments
    (bpf.ticket). Raises CompileError where no program of at most 4,096 instructions is found.
    """
    try:
        return _compile(gate, leaf, ticket)
    except RecursionError:
        raise CompileError("the policy is nested too deeply to be compiled") from None


def _compile(gate: Gate, leaf: Callable[[Action], Action], ticket: tuple[int, frozenset[int]] | None) -> Program:
    from sysgate.compiler import fast

    diagram = Diagram()
    foreign = diagram.leaf(leaf(gate.foreign))
    roots: dict[tuple[int, ...], int] = {}
    per_arch: dict[int, int] = {}
    for audit, segments in gate.entries:
        cuts: list[int] = []
        kids: list[int] = []
        for segment in segments:
            cuts.append(segment.low)
            kids.append(_segment(diagram, segment, leaf, roots))
        node = diagram.make(NR, FULL, cuts[1:], kids)
        if ticket is not None and ticket[0] == audit:
            node = _with_ticket(diagram, node, ticket[1])
        per_arch[audit] = node
    edges = sorted({edge for audit in per_arch for edge in (audit, audit + 1) if edge <= FULL} | {0})
    root = diagram.make(ARCH, FULL, edges[1:], [per_arch.get(edge, foreign) for edge in edges])
    coder = Coder(diagram, fast.arrange, lambda index: [1.0] * len(diagram.nodes[index][3]), big_endian=gate.big_endian)
    first = coder.code(root)
    insns = lay_out(coder.steps.all, first)
    if len(insns) > MAX_INSTRUCTIONS:
        raise CompileError(f"the program would have {len(insns)} instructions; the kernel takes {MAX_INSTRUCTIONS}")
    return Program(insns, gate.big_endian)


def _segment(
    diagram: Diagram, segment: Segment, leaf: Callable[[Action], Action], roots: dict[tuple[int, ...], int]
) -> int:
    if not segment.rules:
        return diagram.leaf(leaf(segment.answer))
    key = tuple(map(id, segment.rules))  # groups share their Bounds; telling equal ones by value would cost more
    found = roots.get(key)
    if found is None:
        root = _rules(diagram, segment.rules)
        leaves = {
            index: diagram.leaf(leaf(diagram.value(index)))  # type: ignore[arg-type]
            for index in diagram.below(root)
            if diagram.nodes[index][0] == LEAF
        }
        found = roots[key] = diagram.replace(root, leaves.get, {})
    return found


def _rules(diagram: Diagram, rules: Sequence[Bound]) -> int:
    from sysgate.compiler.chain import chain

    lowering = lower.Lowering(diagram, Order())
    if len(lower.variables(rules)) <= lower.MAX_VARIABLES:
        diagram.budget = _NODES
        try:
            return lowering.rules(rules)
        except Overflow:
            pass
    diagram.budget = 1 << 60
    return chain(lowering, rules)


def _with_ticket(diagram: Diagram, node: int, numbers: frozenset[int]) -> int:
    word, _, cuts, kids = diagram.nodes[node]
    starts, targets = ((0, *cuts), kids) if word == NR else ((0,), (node,))
    allow = diagram.leaf(ALLOW)
    edges = sorted({*starts, *numbers, *(number + 1 for number in numbers if number < FULL)})
    made = []
    at = 0
    for edge in edges:
        while at + 1 < len(starts) and starts[at + 1] <= edge:
            at += 1
        target = targets[at]
        made.append(diagram.make(TICKET, FULL, (1,), (allow, target)) if edge in numbers else target)
    return diagram.make(NR, FULL, edges[1:], made)
