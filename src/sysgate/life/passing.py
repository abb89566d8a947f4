"""How many of this machine's calls may pass a filter: a policy's, or that of programs nobody has a policy of."""

from __future__ import annotations

from sysgate.errors import SysgateError
from sysgate.facts import arches, calls
from sysgate.policy.ruleset import Constant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.action import Action
    from sysgate.analyse.space import Space
    from sysgate.bpf.program import Program
    from sysgate.policy.ast import Policy
    from sysgate.policy.ruleset import Bound, Segment

_PASSES = ("allow", "log")


def of_policy(policy: Policy) -> int | None:
    """How many calls a policy may let pass; None where it says nothing of this machine."""
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


def of_programs(programs: Sequence[Program]) -> int | None:
    """How many calls a stack of programs may let pass; None where they are too intricate to say.

    Found without writing them down as a policy, which takes ten times as long.
    """
    from sysgate.analyse import reading

    native = arches.native()
    if native is None:
        return None
    try:
        read = reading.read(programs, [native.audit])
        named = reading.of_arch(read.space, read.diagrams[native.audit], native.name, beside_x32=False).named
    except SysgateError:
        return None
    seen: dict[int, bool] = {}
    return sum(_reaches(read.space, node, seen) for node in named.values())


def _reaches(space: Space, node: int, seen: dict[int, bool]) -> bool:
    # Whether an answer that lets pass is below a node.
    if node not in seen:
        if space.is_leaf(node):
            answer: Action = space.value(node)  # type: ignore[assignment] # leaves of a reading are Actions
            seen[node] = answer.kind in _PASSES
        else:
            seen[node] = _reaches(space, space.low[node], seen) or _reaches(space, space.high[node], seen)
    return seen[node]


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
