"""A gate's way to a program: rules to diagrams, diagrams to steps, numbers to a tree, steps to their places.

Architectures come first: those whose numbers mean much the same share one tree over the numbers and are told apart only
where they differ. Where a call without a rule gets the very answer that a foreign architecture gets, the foreign ones
share that tree, too: only what is answered otherwise asks for the architecture, at its end, and a refused call
is spared that test.
"""

from __future__ import annotations

from _bisect import bisect_left

from sysgate.compiler import profile
from sysgate.compiler.code import TICKET, Coder
from sysgate.compiler.diagram import ARCH, FULL, LEAF, Diagram
from sysgate.compiler.groups import Group, grouped
from sysgate.compiler.layout import lay_out
from sysgate.compiler.meanings import MAX_INSTRUCTIONS, Meanings
from sysgate.compiler.runs import joined
from sysgate.compiler.steps import LD
from sysgate.facts import calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sysgate.action import Action
    from sysgate.bpf.program import Insn
    from sysgate.compiler.choice import Way
    from sysgate.compiler.fast import Fast
    from sysgate.compiler.profile import Caller, Weights
    from sysgate.policy.ruleset import Gate, Segment

    # What a number means to each member of a group.
    Keys = tuple[int, ...]

# __AUDIT_ARCH_64BIT, include/uapi/linux/audit.h. Beside a 64-bit architecture hardly anybody calls a 32-bit one.
WIDE = 1 << 31
NARROW_SHARE = 0.1
FOREIGN = 0.001
X32 = 0x4000_0000  # __X32_SYSCALL_BIT, arch/x86/include/uapi/asm/unistd.h


class Assembly:
    """One gate on its way to a program."""

    def __init__(
        self,
        gate: Gate,
        weights: Weights,
        setting: Fast,
        leaf: Callable[[Action], Action],
        ticket: tuple[int, frozenset[int]] | None,
    ) -> None:
        self.gate, self.weights, self.setting, self.ticket = gate, weights, setting, ticket
        self.diagram = Diagram()
        self.meanings = Meanings(self.diagram, setting, leaf)
        self.coder = Coder(self.diagram, weights, setting, big_endian=gate.big_endian)
        self.foreign = self.diagram.leaf(leaf(gate.foreign))
        # By AUDIT_ARCH value: the tables of its ABIs, and the numbers that are called.
        self._tables: dict[int, tuple[tuple[str, Mapping[str, int]], ...]] = {}
        self._points: dict[int, list[tuple[int, float]]] = {}
        self._asked: dict[int, int] = {}  # _foreign_below's

    def program(self) -> tuple[Insn, ...]:
        """The instructions. Raises CompileError where they are too many."""
        groups = [self._single(audit, segments) for audit, segments in self.gate.entries]
        if len(groups) > 1:
            groups = grouped(groups)
        if len(groups) == 1:
            groups[0].foreign = self._foreign_fits(groups[0])
        targets = self._coded(groups)
        trees = {group.audits: self._tree(group, found) for group, found in zip(groups, targets)}
        first = trees[groups[0].audits][0] if groups[0].foreign else self._architectures(trees)
        insns = lay_out(self.coder.steps, first, self.weights.price, self.setting.seldom)
        if len(insns) > MAX_INSTRUCTIONS:
            raise self._too_long(len(insns), targets)
        return insns

    def _too_long(self, count: int, targets: Sequence[Mapping[Keys, int]]) -> Exception:
        steps = {key: step for found in targets for keys, step in found.items() for key in keys}
        rules = self.meanings.rules
        from sysgate.compiler.limit import too_long

        return too_long(count, [(len(self.coder.steps.below(steps[key])), rules[key]) for key in steps if key in rules])

    # Groups.

    def _single(self, audit: int, segments: Sequence[Segment]) -> Group:
        borders = self.meanings.borders(segments)
        if self.ticket is not None and self.ticket[0] == audit:
            borders = self.meanings.with_ticket(borders, self.ticket[1])
        self._points[audit] = self._weighed(audit, borders)
        return Group((audit,), [(low, (meaning,)) for low, meaning in borders])

    def _weighed(self, audit: int, borders: Sequence[tuple[int, int]]) -> list[tuple[int, float]]:
        # The numbers that are called, and how often. Most policies say nothing of single x32 numbers.
        second = any(X32 < low < X32 << 1 for low, _ in borders)
        known = self._tables[audit] = profile.known_numbers(audit, second=second)
        tables = [table for _, table in known]
        served: set[int] = set()
        passing: set[int] = set()
        ends = [low for low, _ in borders[1:]]
        for table in tables:
            numbers = sorted(table.values())
            at = 0
            for (_, meaning), end in zip(borders, [*ends, FULL + 1]):
                after = bisect_left(numbers, end, at)
                if meaning == self.meanings.allow:
                    served.update(numbers[at:after])
                if table is tables[0] and self.meanings.may_pass(meaning):
                    passing.update(numbers[at:after])
                at = after
        share = self._share(audit)
        found = profile.numbers(self.weights, tables, served, passing)
        return found if share == 1.0 else [(number, weight * share) for number, weight in found]

    def _share(self, audit: int) -> float:
        shares = {each: 1.0 if each & WIDE else NARROW_SHARE for each, _ in self.gate.entries}
        return shares[audit] / sum(shares.values())

    def _foreign_fits(self, group: Group) -> bool:
        # Foreign architectures may come to the numbers' tree where most numbers get their answer anyway. Each other
        # answer then costs a test of the architecture of its own; each call that is spared it gains two steps.
        uniform = {keys[0] for _, keys in group.borders if len(set(keys)) == 1}
        answers: set[int] = set()
        for key in uniform:
            below = self.diagram.below(self.meanings.roots[key][0])
            answers.update(index for index in below if self.diagram.nodes[index][0] == LEAF)
        answers.discard(self.foreign)
        refused = {key for key in uniform if self.meanings.roots[key] == [self.foreign]}
        spared = 0.0
        for place, audit in enumerate(group.audits):
            if not any(keys[place] in refused for _, keys in group.borders):
                return False
            spared += sum([weight for keys, _, weight in group.over(self._points[audit]) if keys[place] in refused])
        return 2 * spared > self.weights.price * 2 * (len(answers) - 1)

    # Steps.

    def _coded(self, groups: Sequence[Group]) -> list[dict[Keys, int]]:
        # The first step of everything that numbers mean, by group. What comes most is coded first: where something is
        # shared, the form it has is the one that suits this.
        wanted: list[tuple[float, int, Keys, Caller | None]] = []
        for place, group in enumerate(groups):
            totals: dict[Keys, float] = {}
            heaviest: dict[Keys, tuple[float, int, int]] = {}
            for audit in group.audits:
                for keys, number, weight in group.over(self._points[audit]):
                    totals[keys] = totals.get(keys, 0.0) + weight
                    if keys not in heaviest or weight > heaviest[keys][0]:
                        heaviest[keys] = weight, audit, number
            for keys in dict.fromkeys(keys for _, keys in group.borders):
                caller = self._caller(*heaviest[keys][1:]) if keys in heaviest else None
                wanted.append((totals.get(keys, 0.0), place, keys, caller))
        wanted.sort(key=lambda one: -one[0])
        made = [
            [self.coder.code(root, weight, caller) for root in self._roots(groups[place], keys)]
            for weight, place, keys, caller in wanted
        ]
        found: list[dict[Keys, int]] = [{} for _ in groups]
        for (_, place, keys, _), step in zip(wanted, self._chosen(made, [one[0] for one in wanted])):
            found[place][keys] = step
        return found

    def _chosen(self, made: Sequence[Sequence[tuple[int, float]]], weights: Sequence[float]) -> list[int]:
        # Of the ways to code something the one that fits best beside the others.
        if all(len(options) == 1 for options in made):
            return [options[0][0] for options in made]
        from sysgate.compiler.choice import choose

        below = self.coder.steps.below
        ways: list[list[Way]] = []
        for options, weight in zip(made, weights):
            weight *= len(options) > 1
            ways.append([(step, weight * cost, below(step)) for step, cost in options])
        return choose(ways, self.weights.price)

    def _caller(self, audit: int, number: int) -> Caller | None:
        for arch, _ in self._tables[audit]:
            name = calls.name(arch, number)
            if name is not None:
                return arch, name
        return None

    def _roots(self, group: Group, keys: Keys) -> list[int]:
        roots = self.meanings.roots
        if len(set(keys)) == 1:
            if group.foreign:
                return [self._foreign_below(group, root) for root in roots[keys[0]]]
            return roots[keys[0]]
        most = max(len(roots[key]) for key in keys)
        return [
            self._told_apart(group, [roots[key][min(at, len(roots[key]) - 1)] for key in keys]) for at in range(most)
        ]

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

        return self.diagram.replace(root, asked, self._asked)

    def _told_apart(self, group: Group, roots: Sequence[int]) -> int:
        # The node that goes on by architecture, to one root for each member.
        members = dict(zip(group.audits, roots))
        rest = self.foreign if group.foreign else roots[0]
        edges = _edges(members)
        return self.diagram.make(ARCH, FULL, edges[1:], [members.get(edge, rest) for edge in edges])

    def _tree(self, group: Group, targets: Mapping[Keys, int]) -> tuple[int, float]:
        # The first step of a group, and what it weighs.
        summed: dict[int, float] = {}
        for audit in group.audits:
            for number, weight in self._points[audit]:
                summed[number] = summed.get(number, 0.0) + weight
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
        tree = self.setting.numbers(joint, points, {run[2]: steps.heights[run[2]] for run in joint})
        step, _ = steps.tree(tree, [(run[0], run[3]) for run in joint])
        return step if len(joint) == 1 else steps.add(LD, 0, step), sum(summed.values())

    def _architectures(self, trees: Mapping[tuple[int, ...], tuple[int, float]]) -> int:
        # The test of the architecture in front of everything.
        coder = self.coder
        refused, _ = coder.code(self.foreign, 0.0, None)
        at = {audit: entry for audits, entry in trees.items() for audit in audits}
        edges = _edges(at)
        ends = [*edges[1:], FULL + 1]
        runs = joined((low, end - 1, *(at.get(low) or (refused, FOREIGN))) for low, end in zip(edges, ends))
        points = tuple((low, at[low][1]) for low in edges if low in at)
        step, _ = coder.steps.tree(self.setting.planner(runs), points)
        return coder.steps.add(LD, coder.offset(ARCH), step)


def _edges(values: Mapping[int, object]) -> list[int]:
    # Where the runs of single values begin and end, from 0.
    return sorted({edge for value in values for edge in (value, value + 1) if edge <= FULL} | {0})
