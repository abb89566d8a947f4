"""A gate's way to a program: rules to diagrams, diagrams to steps, numbers to a tree, steps to their places.

Architectures come first: those whose numbers mean much the same share one tree over the numbers and are told apart only
where they differ. Where a call without a rule gets the very answer that a foreign architecture gets, the foreign ones
share that tree, too: only what is answered otherwise asks for the architecture, at its end, and a refused call
is spared that test.
"""

from __future__ import annotations

from bisect import bisect_right

from sysgate.action import ALLOW, strictest
from sysgate.compiler import lower, profile
from sysgate.compiler.chain import chain
from sysgate.compiler.code import TICKET, Coder
from sysgate.compiler.diagram import ARCH, FULL, LEAF, Diagram, Order, Overflow
from sysgate.compiler.knowledge import prune
from sysgate.compiler.layout import lay_out
from sysgate.compiler.limit import HOPELESS, MAX_INSTRUCTIONS, least, too_long
from sysgate.compiler.runs import joined
from sysgate.compiler.steps import LD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sysgate.action import Action
    from sysgate.bpf.program import Insn
    from sysgate.compiler.code import Planner
    from sysgate.compiler.profile import Weights
    from sysgate.compiler.runs import Points, Runs, Tree
    from sysgate.policy.ruleset import Bound, Gate, Segment

    # Runs of numbers, their points, the height below each target → the tree.
    Numbers = Callable[[Runs, Points, Mapping[int, int]], Tree]
    # The rules of a segment → the orders of words to try.
    Orders = Callable[[Sequence[Bound]], Iterable[Order]]

# Nodes a diagram may take before the rule chain is taken instead.
NODES = 20_000
TROUBLE = 4
SMALL = 64  # a diagram of about so many instructions is not compared with the rule chain
# __AUDIT_ARCH_64BIT, include/uapi/linux/audit.h. Beside a 64-bit architecture hardly anybody calls a 32-bit one.
WIDE = 1 << 31
NARROW_SHARE = 0.1
X32 = 0x4000_0000  # __X32_SYSCALL_BIT, arch/x86/include/uapi/asm/unistd.h


def same(action: Action) -> Action:
    """The action itself: what is returned where nothing else is wanted."""
    return action


class Setting:
    """How hard to try: the trees for arguments and for numbers, the orders of words, the layouts (layout.lay_out).

    thorough: code every form of a test to see which is the cheapest.
    """

    def __init__(
        self, planner: Planner, numbers: Numbers, orders: Orders, seldom: tuple[float, ...], *, thorough: bool
    ) -> None:
        self.planner, self.numbers, self.orders = planner, numbers, orders
        self.seldom, self.thorough = seldom, thorough


class Group:
    """Architectures that share a tree over numbers.

    borders: where the numbers begin to mean something else, and what: a key for each member in turn.
    foreign: whether calls from architectures that no group covers come here, too.
    """

    def __init__(self, audits: tuple[int, ...], borders: list[tuple[int, tuple[int, ...]]], *, foreign: bool) -> None:
        self.audits, self.borders, self.foreign = audits, borders, foreign
        self._lows = [low for low, _ in borders]

    def at(self, number: int) -> tuple[int, ...]:
        """The keys of a number."""
        return self.borders[bisect_right(self._lows, number) - 1][1]

    def cost(self) -> int:
        """About how many instructions telling the numbers apart takes."""
        return len(self.borders) + 2 * len({keys for _, keys in self.borders if len(set(keys)) > 1})

    def with_(self, other: Group) -> Group:
        """Both groups' architectures in one."""
        edges = sorted({low for low, _ in (*self.borders, *other.borders)})
        made: list[tuple[int, tuple[int, ...]]] = []
        i = j = 0
        for edge in edges:
            while i + 1 < len(self.borders) and self.borders[i + 1][0] <= edge:
                i += 1
            while j + 1 < len(other.borders) and other.borders[j + 1][0] <= edge:
                j += 1
            keys = self.borders[i][1] + other.borders[j][1]
            if not made or made[-1][1] != keys:
                made.append((edge, keys))
        return Group(self.audits + other.audits, made, foreign=self.foreign or other.foreign)


class Assembly:
    """One gate on its way to a program."""

    def __init__(
        self,
        gate: Gate,
        weights: Weights,
        setting: Setting,
        leaf: Callable[[Action], Action],
        ticket: tuple[int, frozenset[int]] | None,
    ) -> None:
        self.gate, self.weights, self.setting, self.leaf, self.ticket = gate, weights, setting, leaf, ticket
        self.diagram = Diagram()
        thorough, big_endian = setting.thorough, gate.big_endian
        self.coder = Coder(self.diagram, setting.planner, weights.price, thorough=thorough, big_endian=big_endian)
        self.foreign = self.diagram.leaf(leaf(gate.foreign))
        self.allow = self.diagram.leaf(ALLOW)
        # What numbers mean: by key the diagrams to choose from, each with the same answers.
        self.meanings: list[list[int]] = []
        self._keys: dict[object, int] = {}
        self._rules: dict[int, Sequence[Bound]] = {}
        self._coded_keys: dict[int, int] = {}  # key → its first step
        self._leaves: dict[int, int] = {}
        self._points: dict[int, list[tuple[int, float]]] = {}

    def program(self) -> tuple[Insn, ...]:
        """The instructions."""
        groups = self._grouped([self._single(audit, segments) for audit, segments in self.gate.entries])
        entries = {group.audits: self._numbers(group) for group in groups}
        first = entries[groups[0].audits][0] if len(groups) == 1 and groups[0].foreign else self._architectures(entries)
        insns = lay_out(self.coder.steps, first, self.weights.price, self.setting.seldom)
        if len(insns) > MAX_INSTRUCTIONS:
            shares = [(len(self.coder.steps.below(step)), self._rules[key]) for key, step in self._coded_keys.items()]
            raise too_long(len(insns), shares)
        return insns

    # Keys: what the numbers of one architecture mean.

    def _single(self, audit: int, segments: Sequence[Segment]) -> Group:
        borders: list[tuple[int, tuple[int, ...]]] = []
        last = -1
        for segment in segments:
            key = self._key(segment)
            if key != last:
                borders.append((segment.low, (key,)))
                last = key
        if self.ticket is not None and self.ticket[0] == audit:
            borders = self._with_ticket(borders, self.ticket[1])
        self._points[audit] = self._weighed(audit, borders)
        return Group((audit,), borders, foreign=False)

    def _weighed(self, audit: int, borders: Sequence[tuple[int, tuple[int, ...]]]) -> list[tuple[int, float]]:
        # The numbers that are called, and how often. Most policies say nothing of single x32 numbers.
        second = any(X32 < low < X32 << 1 for low, _ in borders)
        tables = profile.known_numbers(audit, second=second)
        allow = self._key_of(self.allow)
        served = set()
        at = 0
        for number in sorted(number for table in tables for number in table.values()):
            while at + 1 < len(borders) and borders[at + 1][0] <= number:
                at += 1
            if borders[at][1][0] == allow:
                served.add(number)
        share = self._share(audit)
        return [(number, weight * share) for number, weight in profile.numbers(self.weights, tables, served)]

    def _key(self, segment: Segment) -> int:
        if not segment.rules:
            return self._key_of(self.diagram.leaf(self.leaf(segment.answer)))
        # Numbers with the same rules share their Bounds; telling equal ones by value would cost more than it saves.
        identity = tuple(map(id, segment.rules))
        found = self._keys.get(identity)
        if found is None:
            if any(rule.cases for rule in segment.rules):
                roots = list(dict.fromkeys(self._lowered(segment.rules)))
                found = self._key_of(*roots)
                self._rules.setdefault(found, segment.rules)
                self._check(roots)
            else:
                answer = strictest(rule.otherwise for rule in segment.rules)
                found = self._key_of(self.diagram.leaf(self.leaf(answer)))
            self._keys[identity] = found
        return found

    def _check(self, roots: Sequence[int]) -> None:
        # Nothing that is bound to fail keeps anybody waiting.
        count = min(least(self.diagram, root) for root in roots)
        if count > HOPELESS * MAX_INSTRUCTIONS:
            raise too_long(count, [(count, self._rules[self._keys[tuple(roots[:1])]])], at_least=True)

    def _key_of(self, *roots: int) -> int:
        known = self._keys.get(roots[:1])
        if known is None:
            known = self._keys[roots[:1]] = len(self.meanings)
            self.meanings.append(list(roots))
        return known

    def _lowered(self, rules: Sequence[Bound]) -> Iterable[int]:
        looked = lower.variables(rules)
        found = []
        if len(looked) <= lower.MAX_VARIABLES:
            masked = len({word for word, _ in looked}) < len(looked)  # several masks of one word
            budget = NODES
            for order in self.setting.orders(rules):
                self.diagram.budget = budget
                try:
                    root = lower.Lowering(self.diagram, order).rules(rules)
                    found.append(self._mapped(prune(self.diagram, root) if masked else root))
                except Overflow:
                    continue
                # Another order is worth no more than a few times the trouble of this one.
                budget = min(budget, TROUBLE * (budget - self.diagram.budget) + 1000)
        self.diagram.budget = 1 << 60
        smallest = min([least(self.diagram, root) for root in found], default=1 << 60)
        # On a single argument a diagram is never the larger one.
        if smallest > SMALL and len({word // 2 for word, _ in looked}) > 1:
            chained = self._mapped(chain(lower.Lowering(self.diagram, Order()), rules))
            if least(self.diagram, chained) < smallest:
                found = [*found, chained] if self.setting.thorough and found else [chained]
        return found

    def _mapped(self, root: int) -> int:
        return self.diagram.replace(root, self._returned, self._leaves) if self.leaf is not same else root

    def _returned(self, index: int) -> int | None:
        if self.diagram.nodes[index][0] != LEAF:
            return None
        action = self.diagram.value(index)
        return self.diagram.leaf(self.leaf(action))  # type: ignore[arg-type]

    def _with_ticket(
        self, borders: list[tuple[int, tuple[int, ...]]], numbers: frozenset[int]
    ) -> list[tuple[int, tuple[int, ...]]]:
        edges = sorted({*(low for low, _ in borders), *numbers, *(nr + 1 for nr in numbers if nr < FULL)})
        made = []
        at = 0
        for edge in edges:
            while at + 1 < len(borders) and borders[at + 1][0] <= edge:
                at += 1
            keys = borders[at][1]
            if edge in numbers:
                roots = [self.diagram.make(TICKET, FULL, (1,), (self.allow, root)) for root in self.meanings[keys[0]]]
                keys = (self._key_of(*roots),)
            made.append((edge, keys))
        return made

    # Groups.

    def _grouped(self, groups: list[Group]) -> list[Group]:
        while True:
            best: tuple[int, int, int, Group] | None = None
            for i in range(len(groups)):
                for j in range(i + 1, len(groups)):
                    both = groups[i].with_(groups[j])
                    saved = groups[i].cost() + groups[j].cost() - both.cost()
                    if saved > 0 and (best is None or saved > best[0]):
                        best = saved, i, j, both
            if best is None:
                break
            _, i, j, both = best
            groups = [both if at == i else group for at, group in enumerate(groups) if at != j]
        if len(groups) == 1:
            groups[0].foreign = self._foreign_fits(groups[0])
        return groups

    def _foreign_fits(self, group: Group) -> bool:
        # Foreign architectures may come to the numbers' tree where most numbers get their answer anyway. Each other
        # answer then costs a test of the architecture of its own; each call that is spared it gains two steps.
        uniform = [keys[0] for _, keys in group.borders if len(set(keys)) == 1]
        answers: set[int] = set()
        for key in set(uniform):
            below = self.diagram.below(self.meanings[key][0])
            answers.update(index for index in below if self.diagram.nodes[index][0] == LEAF)
        answers.discard(self.foreign)
        more = 2 * (len(answers) - 1)
        spared = 0.0
        for place, audit in enumerate(group.audits):
            refused = {key for _, keys in group.borders if self.meanings[key := keys[place]] == [self.foreign]}
            if not refused:
                return False
            for number, weight in self._points[audit]:
                spared += weight if group.at(number)[place] in refused else 0.0
        return 2 * spared > self.weights.price * more

    def _share(self, audit: int) -> float:
        shares = {each: 1.0 if each & WIDE else NARROW_SHARE for each, _ in self.gate.entries}
        return shares[audit] / sum(shares.values())

    # Steps.

    def _numbers(self, group: Group) -> tuple[int, float]:
        # The first step of a group, and what it weighs.
        summed: dict[int, float] = {}
        heaviest: dict[tuple[int, ...], tuple[float, int, int]] = {}
        totals: dict[tuple[int, ...], float] = {}
        for audit in group.audits:
            for number, weight in self._points[audit]:
                summed[number] = summed.get(number, 0.0) + weight
                keys = group.at(number)
                totals[keys] = totals.get(keys, 0.0) + weight
                if keys not in heaviest or weight > heaviest[keys][0]:
                    heaviest[keys] = weight, audit, number
        targets: dict[tuple[int, ...], int] = {}
        kinds = list(dict.fromkeys(keys for _, keys in group.borders))
        for keys in sorted(kinds, key=lambda keys: -totals.get(keys, 0.0)):
            name = _name(*heaviest[keys][1:]) if keys in heaviest else None
            targets[keys] = self._coded(group, keys, totals.get(keys, 0.0), name)
            self._coded_keys.update((key, targets[keys]) for key in keys if key in self._rules)
        points = tuple(sorted(summed.items()))
        runs = []
        at = 0
        for place, (low, keys) in enumerate(group.borders):
            high = group.borders[place + 1][0] - 1 if place + 1 < len(group.borders) else FULL
            weight = 0.0
            while at < len(points) and points[at][0] <= high:
                weight += points[at][1]
                at += 1
            runs.append((low, high, targets[keys], weight))
        steps = self.coder.steps
        joint = joined(runs)
        heights = {run[2]: steps.heights[run[2]] for run in joint}
        tree = self.setting.numbers(joint, points, heights)
        step, _ = steps.tree(tree, [(run[0], run[3]) for run in joint])
        return steps.add(LD, 0, step), sum(summed.values())

    def _coded(self, group: Group, keys: tuple[int, ...], weight: float, name: str | None) -> int:
        # Of the diagrams to choose from the one whose code is cheapest beside what there is already.
        options = []
        if len(set(keys)) == 1:
            roots = self.meanings[keys[0]]
            options = [self._foreign_below(group, root) if group.foreign else root for root in roots]
        else:
            options = [self._told_apart(group, [self.meanings[key][0] for key in keys])]
        coder = self.coder
        if len(options) > 1:
            costs = []
            for root in options:
                mark = coder.mark()
                _, steps = coder.code(root, weight, name)
                costs.append(weight * steps + self.weights.price * (len(coder.steps.all) - mark[1]))
                coder.back_to(mark)
            options = [options[costs.index(min(costs))]]
        return coder.code(options[0], weight, name)[0]

    def _foreign_below(self, group: Group, root: int) -> int:
        # A call that gets another answer than the foreign one must come from one of the group's architectures.
        if root == self.foreign:
            return root
        if self.diagram.nodes[root][0] == TICKET:
            return self._told_apart(group, [root] * len(group.audits))

        def asked(index: int) -> int | None:
            if self.diagram.nodes[index][0] != LEAF:
                return None
            return self._told_apart(group, [index] * len(group.audits))

        return self.diagram.replace(root, asked, {})

    def _told_apart(self, group: Group, roots: Sequence[int]) -> int:
        members = dict(zip(group.audits, roots))
        rest = self.foreign if group.foreign else roots[0]
        return self._by_architecture(members, rest)

    def _by_architecture(self, members: Mapping[int, int], rest: int) -> int:
        edges = sorted({edge for audit in members for edge in (audit, audit + 1) if edge <= FULL} | {0})
        return self.diagram.make(ARCH, FULL, edges[1:], [members.get(edge, rest) for edge in edges])

    def _architectures(self, entries: Mapping[tuple[int, ...], tuple[int, float]]) -> int:
        # The test of the architecture in front of everything.
        coder = self.coder
        refused, _ = coder.code(self.foreign, 0.0, None)
        at = {audit: entry for audits, entry in entries.items() for audit in audits}
        edges = sorted({edge for audit in at for edge in (audit, audit + 1) if edge <= FULL} | {0})
        ends = [*edges[1:], FULL + 1]
        runs = joined((low, end - 1, *(at.get(low) or (refused, 0.001))) for low, end in zip(edges, ends))
        points = tuple((low, at[low][1]) for low in edges if low in at)
        tree = self.setting.planner(runs)
        step, _ = coder.steps.tree(tree, points)
        return coder.steps.add(LD, coder.offset(ARCH), step)


def _name(audit: int, number: int) -> str | None:
    from sysgate.facts import arches, calls

    for arch in arches.by_audit(audit):
        name = calls.name(arch.name, number)
        if name is not None:
            return name
    return None
