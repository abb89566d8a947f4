"""Two policies or programs side by side: exactly which calls, under which conditions, they answer differently."""

from __future__ import annotations

from sysgate.action import Action
from sysgate.analyse import apart, heads, numbers, reading, ruled, said, verbatim
from sysgate.analyse import program as as_diagram
from sysgate.analyse.conditions import Conditions
from sysgate.analyse.forest import FALSE, TRUE, Overgrown
from sysgate.analyse.space import Space
from sysgate.analyse.view import signature, views
from sysgate.call import Call
from sysgate.errors import BpfError, CompileError, ProofError
from sysgate.facts import arches, calls
from sysgate.policy import meaning
from sysgate.policy.ruleset import Gate
from sysgate.value import Value, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from sysgate.analyse.apart import Intricate
    from sysgate.bpf.program import Program
    from sysgate.facts.arches import Arch

    Side = Gate | Program

_BUDGET, _BRAIDED_BUDGET, _LEAST_ROOM = 300_000, 1_500_000, 10_000
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
    shown = ""
    try:
        if isinstance(one, Gate) and isinstance(other, Gate):
            found = _of_gates(one, other, names)
            if one.foreign != other.foreign:
                found += (Difference((), (), "1", one.foreign, other.foreign),)
            return found
        try:
            return _Comparing(Space(budget=_BUDGET), one, other, names).found()
        except (BpfError, CompileError, Overgrown):
            call = _example(one, other, names)
            if call is None:
                return ()
            shown = f"; one call that they answer differently is {call}" if call else ""
            return _Comparing(Space(braided=True, budget=_BRAIDED_BUDGET), one, other, names).found()
    except (BpfError, CompileError, Overgrown) as error:
        raise CompileError(f"the two cannot be compared: {str(error) or _TOO_MUCH}{shown}") from None


# By proof: a call that two sides answer differently, as text; None where there is none, "" where that is not known.
def _example(one: Side, other: Side, names: Sequence[str]) -> str | None:
    from sysgate.proof import prove, prove_equal

    known = [arches.named(name) for name in names]
    audits = [each.audit for each in known]
    if len({each.big_endian for each in known}) > 1 or any(_for_others(side, known[0]) for side in (one, other)):
        return ""
    try:
        if isinstance(one, Gate) and not isinstance(other, Gate):
            prove(replace(one, big_endian=known[0].big_endian), other, audits=audits)
        elif isinstance(other, Gate) and not isinstance(one, Gate):
            prove(replace(other, big_endian=known[0].big_endian), one, audits=audits)
        elif not isinstance(one, Gate) and not isinstance(other, Gate):
            prove_equal(one, other, audits)
    except ProofError as error:
        # x32 alone is not all of its AUDIT_ARCH value.
        return "" if "x32" in names and "x86_64" not in names else str(error.counterexample)
    except CompileError:
        return ""
    return None


# Whether a side is a program for machines of another byte order.
def _for_others(side: Side, arch: Arch) -> bool:
    return not isinstance(side, Gate) and side.big_endian != arch.big_endian


def _of_gates(one: Gate, other: Gate, names: Sequence[str]) -> tuple[Difference, ...]:
    one, other = apart.differing(one, other)
    try:
        return _Comparing(Space(budget=_BUDGET), one, other, names).found()
    except (CompileError, Overgrown):
        one, other, intricate = apart.plain(one, other, _BUDGET)
        return _Comparing(Space(budget=_BUDGET), one, other, names, intricate).found()


class _Comparing:
    # intricate: numbers that the two sides leave out.
    def __init__(
        self, space: Space, one: Side, other: Side, names: Sequence[str], intricate: Sequence[Intricate] = ()
    ) -> None:
        self.space, self.one, self.other, self.names = space, one, other, tuple(names)
        self.room = _BRAIDED_BUDGET if space.braided else _BUDGET  # nodes for what comes next
        self.diagrams: dict[int, int] = {}
        self.sides: dict[int, tuple[int, int]] = {}
        for name in names:
            audit = arches.named(name).audit
            if audit not in self.diagrams:
                space.budget = len(space.variable) + self.room
                self.sides[audit] = _diagram(space, one, audit), _diagram(space, other, audit)
                self.diagrams[audit] = space.combined(*self.sides[audit], _pair)
        self.known: dict[tuple[object, ...], list[tuple[str, Action, Action]]] = {}
        self.intricate = intricate
        self.hopeless = 1 << 60  # from so many nodes on, nobody finds a short condition

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
        audit, beside_x32 = arches.named(name).audit, "x32" in self.names
        one = reading.of_arch(self.space, self.diagrams[audit], name, beside_x32=beside_x32)
        same = self.space.leaf(_SAME)
        found: dict[tuple[str, Action, Action], tuple[set[str], list[tuple[int, int]]]] = {}
        for call, node in one.named.items():
            if node != same:
                for entry in self.conditions(name, call, calls.table(name)[call] & 0xFFFF_FFFF, node):
                    found.setdefault(entry, (set(), []))[0].add(call)
        for low, high, node in one.unnamed:
            if node != same:
                for entry in self.conditions(name, None, low, node):
                    found.setdefault(entry, (set(), []))[1].append((low, high))
        for each in self.intricate:
            if each.audit == audit:
                whole = reading.own([(each.one.low, each.one.high, 0)], name, beside_x32=beside_x32)
                named, unnamed = reading.by_name(whole, name)
                for call in named:
                    for entry in _proved(each, name, call):
                        found.setdefault(entry, (set(), []))[0].add(call)
                for entry in _proved(each, name, None) if unnamed else ():
                    found.setdefault(entry, (set(), []))[1].extend((low, high) for low, high, _ in unnamed)
        made = []
        for (condition, before, after), (names, ranges) in found.items():
            grouped, _ = heads.grouped(names, [name], set(), set())
            made.append(Difference((), (*grouped, *heads.numbers(ranges)), condition, before, after))
        return made

    def conditions(self, arch: str, call: str | None, nr: int, node: int) -> list[tuple[str, Action, Action]]:
        """For each pair of answers that differ, when a call gets it."""
        space = self.space
        registers = tuple(sorted({space.place(variable)[0] for variable in space.support(node)} - {6}))
        key = node, arch, signature(arch, call, registers)
        if key not in self.known:
            pairs = [leaf for leaf in space.leaves(node) if isinstance(leaf, tuple)]
            try:
                self.known[key] = self.shortest(arch, call, node, pairs)
            except (BpfError, Overgrown):
                return [(self.verbatim(arch, call, nr, pair), *pair) for pair in pairs]
        return self.known[key]

    def shortest(
        self, arch: str, call: str | None, node: int, pairs: Sequence[tuple[Action, Action]]
    ) -> list[tuple[str, Action, Action]]:
        size = self.space.size(node)
        if size >= self.hopeless:
            raise BpfError(_TOO_MUCH)
        writing = Conditions(self.space, views(arch, call))
        self.space.budget = len(self.space.variable) + self.room
        try:
            wheres = [_where(self.space, node, pair) for pair in pairs]
            return [(writing.between(where, where).text, *pair) for where, pair in zip(wheres, pairs, strict=True)]
        except (BpfError, Overgrown):
            self.hopeless = size
            self.room = max(_LEAST_ROOM, self.room // 2)
            raise

    def verbatim(self, arch: str, call: str | None, nr: int, pair: tuple[Action, Action]) -> str:
        """When a call gets a pair of answers: of each side by itself, of a policy in the words of its rules."""
        seen, rules, written = views(arch, call), [], []
        diagrams = self.sides[arches.named(arch).audit]
        for side, diagram, action in zip((self.one, self.other), diagrams, pair, strict=True):
            if isinstance(side, Gate):
                segment = meaning.segment(side, Call(arch, nr))
                if segment is not None:  # else the side's only answer there is the foreign one
                    rules.append(verbatim.answers(segment, action))
                continue
            self.space.budget = len(self.space.variable) + self.room
            where = _where(self.space, numbers.at(self.space, diagram, nr), action)
            try:
                written.append(Conditions(self.space, seen).between(where, where))
            except BpfError as error:
                raise BpfError(f"{call or nr} on {arch}: {error}") from None
        return said.all_of([verbatim.said_of(verbatim.all_of(rules), seen), *written]).text


def _proved(left_out: Intricate, arch: str, call: str | None) -> list[tuple[str, Action, Action]]:
    # The same for numbers that no diagram can tell of: each pair of answers that some call gets.
    known = arches.named(arch)
    found = []
    for before in verbatim.possible(left_out.one):
        for after in verbatim.possible(left_out.other):
            if before == after:
                continue
            when = verbatim.all_of([verbatim.answers(left_out.one, before), verbatim.answers(left_out.other, after)])
            try:
                if apart.ever(when, known.audit, big_endian=known.big_endian):
                    found.append((verbatim.text(when, views(arch, call)), before, after))
            except CompileError as error:
                raise CompileError(f"{call or left_out.one.low} on {arch}: {error}") from None
    return found


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
