"""Two policies or programs side by side: exactly which calls, under which conditions, they answer differently."""

from __future__ import annotations

from sysgate.action import Action
from sysgate.analyse import heads, reading, ruled
from sysgate.analyse import program as as_diagram
from sysgate.analyse.conditions import Conditions
from sysgate.analyse.forest import FALSE, TRUE, Overgrown
from sysgate.analyse.space import Space
from sysgate.analyse.view import signature, views
from sysgate.errors import BpfError, CompileError
from sysgate.facts import arches
from sysgate.policy.ruleset import Gate
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from sysgate.bpf.program import Program

    Side = Gate | Program

_BUDGET, _BRAIDED_BUDGET = 300_000, 1_500_000
_TOO_MUCH = "what they decide is too intricate to be followed"


class Difference(Value):
    """Calls that two sides answer differently, all in the same way.

    arches: where; empty for the architectures that neither covers. heads: the calls, as a rule names them (groups,
    names, numbers); empty for all. condition: on their arguments, in the policy language, "1" for all calls.
    one, other: the two answers.
    """

    arches: tuple[str, ...]
    heads: tuple[str, ...]
    condition: str
    one: Action
    other: Action


class _Same(Value):
    """The leaf of calls that both sides answer alike."""


_SAME = _Same()


def differences(one: Side, other: Side, names: Sequence[str]) -> tuple[Difference, ...]:
    """Everything that the sides answer differently on some architectures; empty where they mean the same there.

    names: canonical; what a Gate does not cover gets its answer to foreign architectures. Raises CompileError where
    the sides are too intricate to be compared.
    """
    try:
        found = _Comparing(Space(budget=_BUDGET), one, other, names).found()
    except (BpfError, CompileError, Overgrown):
        try:
            found = _Comparing(Space(braided=True, budget=_BRAIDED_BUDGET), one, other, names).found()
        except (BpfError, CompileError, Overgrown) as error:
            raise CompileError(f"the two cannot be compared: {str(error) or _TOO_MUCH}") from None
    if isinstance(one, Gate) and isinstance(other, Gate) and one.foreign != other.foreign:
        found += (Difference((), (), "1", one.foreign, other.foreign),)
    return found


class _Comparing:
    def __init__(self, space: Space, one: Side, other: Side, names: Sequence[str]) -> None:
        self.space, self.names = space, tuple(names)
        self.diagrams: dict[int, int] = {}
        for name in names:
            audit = arches.named(name).audit
            if audit not in self.diagrams:
                space.budget = len(space.variable) + _BUDGET * (5 if space.braided else 1)
                self.diagrams[audit] = space.combined(_diagram(space, one, audit), _diagram(space, other, audit), _pair)
        self.known: dict[tuple[object, ...], list[tuple[str, Action, Action]]] = {}

    def found(self) -> tuple[Difference, ...]:
        by_arch = {name: self.of_arch(name) for name in self.names}
        # One entry for all architectures that differ in the same way.
        shared: dict[Difference, list[str]] = {}
        for name, entries in by_arch.items():
            for entry in entries:
                shared.setdefault(entry, []).append(name)
        return tuple(
            Difference(tuple(where), entry.heads, entry.condition, entry.one, entry.other)
            for entry, where in shared.items()
        )

    def of_arch(self, name: str) -> list[Difference]:
        one = reading.of_arch(self.space, self.diagrams[arches.named(name).audit], name, beside_x32="x32" in self.names)
        same = self.space.leaf(_SAME)
        found: dict[tuple[str, Action, Action], tuple[set[str], list[tuple[int, int]]]] = {}
        for call, node in one.named.items():
            if node != same:
                for entry in self.conditions(name, call, node):
                    found.setdefault(entry, (set(), []))[0].add(call)
        for low, high, node in one.unnamed:
            if node != same:
                for entry in self.conditions(name, None, node):
                    found.setdefault(entry, (set(), []))[1].append((low, high))
        made = []
        for (condition, before, after), (names, ranges) in found.items():
            said, _ = heads.grouped(names, [name], set(), set())
            made.append(Difference((), (*said, *heads.numbers(ranges)), condition, before, after))
        return made

    def conditions(self, arch: str, call: str | None, node: int) -> list[tuple[str, Action, Action]]:
        """For each pair of answers that differ, when a call gets it."""
        space = self.space
        registers = tuple(sorted({space.place(variable)[0] for variable in space.support(node)} - {6}))
        key = node, arch, signature(arch, call, registers)
        if key not in self.known:
            writing = Conditions(space, views(arch, call))
            self.known[key] = []
            for leaf in space.leaves(node):
                if leaf != _SAME:
                    where = _where(space, node, leaf)
                    assert isinstance(leaf, tuple)
                    self.known[key].append((writing.between(where, where).text, *leaf))
        return self.known[key]


def _diagram(space: Space, side: Side, audit: int) -> int:
    if isinstance(side, Gate):
        for covered, segments in side.entries:
            if covered == audit:
                return ruled.diagram(space, segments)
        return space.leaf(side.foreign)
    return as_diagram.diagram(space, side, audit)


def _pair(one: Hashable, other: Hashable) -> Hashable:
    return _SAME if one == other else (one, other)


def _where(space: Space, node: int, leaf: Hashable) -> int:
    return space.mapped(node, lambda value: TRUE if value == leaf else FALSE)
