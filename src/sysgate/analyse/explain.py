"""Why a call is answered as it is: the cases where that depends on its arguments, and the way through the program."""

from __future__ import annotations

from sysgate.analyse import answers, cost, ruled, verbatim
from sysgate.analyse.forest import Overgrown
from sysgate.analyse.space import Space
from sysgate.analyse.view import views
from sysgate.bpf import bitmap, listing, machine
from sysgate.call import Call
from sysgate.errors import BpfError, CompileError
from sysgate.facts import arches, calls
from sysgate.policy import meaning
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from sysgate.action import Action
    from sysgate.bpf.listing import Line
    from sysgate.bpf.program import Program
    from sysgate.decision import Origin
    from sysgate.policy.ruleset import Gate, Segment

_BUDGET, _BRAIDED_BUDGET = 300_000, 1_000_000


class Case(Value):
    """One answer among several. condition: in the policy language, "1" for the last; the first that holds answers.

    rule: the line it comes from, None where none is written.
    """

    condition: str
    action: Action
    rule: Origin | None


class Cost(Value):
    """Instructions that a program executes for the calls of a case: at least and at most. Both are met by some call."""

    least: int
    most: int


class Way(Value):
    """What a program executes for one call.

    lines: the instructions, in order. steps: how many. served: whether the kernel's bitmap answers without them.
    """

    lines: tuple[Line, ...]
    steps: int
    served: bool


def cases(gate: Gate, arch: str, nr: int, args: Sequence[int | None] = ()) -> tuple[Case, ...]:
    """What a policy answers to a call of which some arguments are any: one case where that is the same for all.

    arch: its name; its numbers are the gate's for its AUDIT_ARCH value. args: six words or fewer, None for "any
    value" and for those left out. Raises CompileError where the rules are too intricate to be told apart.
    """
    segment = meaning.segment(gate, Call(arch, nr))
    if segment is None:
        return (Case("1", gate.foreign, None),)
    try:
        return _cases(Space(budget=_BUDGET), segment, arch, nr, args)
    except (CompileError, Overgrown):
        seen = views(arch, calls.name(arch, nr))
        found = verbatim.cases(segment, args)
        return tuple([Case(verbatim.text(when, seen), action, origin) for when, action, origin in found])


def costs(
    gate: Gate, program: Program, arch: str, nr: int, args: Sequence[int | None] = ()
) -> dict[tuple[Action, Origin | None], Cost]:
    """What those cases cost the gate's program, by answer and rule. Raises CompileError as `cases`."""
    segment = meaning.segment(gate, Call(arch, nr))
    for space in (Space(budget=_BUDGET), Space(braided=True, budget=_BRAIDED_BUDGET)):
        try:
            counted = cost.steps(space, program, arches.named(arch).audit, nr, args)
            if segment is None:
                answers = space.leaf((gate.foreign, None))
            else:
                answers = _known(space, ruled.call(space, segment, _with_origin), args)
            return {_leaf(leaf): Cost(*found) for leaf, found in cost.extremes(space, answers, counted).items()}
        except (CompileError, Overgrown):
            pass
    raise CompileError("what the program executes is too intricate to be counted")


def path(program: Program, call: Call, names: Sequence[str] = ()) -> Way:
    """The way of one call through a program. names: architectures whose names to use; none: those it tests for."""
    audit = call.arch if isinstance(call.arch, int) else arches.named(call.arch).audit
    visited = machine.path(program, audit, call.nr, call.args, call.ip)
    every = listing.lines(program, names)
    return Way(tuple(every[at] for at in visited), len(visited), bitmap.served(program, audit, call.nr))


def _cases(space: Space, segment: Segment, arch: str, nr: int, args: Sequence[int | None]) -> tuple[Case, ...]:
    node = _known(space, ruled.call(space, segment, _with_origin), args)
    try:
        found = answers.cases(space, node, views(arch, calls.name(arch, nr)))
    except BpfError as error:
        raise CompileError(str(error)) from None
    last = _case("1", found.last)
    return (*(_case(condition.text, leaf) for condition, leaf in found.first), last)


def _known(space: Space, node: int, args: Sequence[int | None]) -> int:
    """What is left of a diagram where some arguments are given."""
    for register, word in enumerate(args):
        if word is not None:
            for bit in range(64):
                node = space.chosen(node, space.variable_of(register, bit), word >> bit & 1)
    return node


def _with_origin(action: Action, origin: Origin | None) -> Hashable:
    return action, origin


def _case(condition: str, leaf: Hashable) -> Case:
    return Case(condition, *_leaf(leaf))


def _leaf(leaf: Hashable) -> tuple[Action, Origin | None]:
    assert isinstance(leaf, tuple)
    action, origin = leaf
    return action, origin
