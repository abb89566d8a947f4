"""Segments → meanings: what a number's rules come to, as one diagram or several to choose from.

A meaning is known by its index. Numbers whose rules come to the same diagram have the same meaning.
"""

from __future__ import annotations

from sysgate.action import ALLOW, Action, strictest
from sysgate.compiler.code import TICKET
from sysgate.compiler.diagram import FULL, LEAF, Order, Overflow
from sysgate.compiler.lower import MAX_VARIABLES, Lowering, bit_by_bit, variables
from sysgate.policy.ruleset import Constant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sysgate.compiler.diagram import Diagram
    from sysgate.compiler.fast import Fast
    from sysgate.policy.ruleset import Bound, Segment

    # Where numbers begin to mean something else, and what: ascending, the first at 0.
    Borders = list[tuple[int, int]]

MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS, include/uapi/linux/bpf_common.h
# A diagram whose intervals need so many times more by `jeq` and `jge` is not even tried: no `jset` makes up for that.
HOPELESS = 3
# Another order of words may take so many times the nodes of the last, and a few; diagrams of a few nodes are free.
TROUBLE = 4
A_FEW = 500
PASSING = (ALLOW, Action("log"))
SMALL = 64  # a diagram of about so many instructions is not compared with the rule chain


def same(action: Action) -> Action:
    """The action itself: what is returned where nothing else is wanted."""
    return action


def _passes(rule: Bound) -> bool:
    return rule.otherwise in PASSING or any(action in PASSING for _, action in rule.cases)


class Meanings:
    """The meanings of one gate. setting: how hard to try; leaf: what is returned for an action."""

    def __init__(self, diagram: Diagram, setting: Fast, leaf: Callable[[Action], Action]) -> None:
        self.diagram, self.setting, self.leaf = diagram, setting, leaf
        self.roots: list[list[int]] = []  # of each meaning
        self.rules: dict[int, Sequence[Bound]] = {}  # of a meaning that tests something, the first that have it
        self._known: dict[object, int] = {}
        self._leaves: dict[int, int] = {}
        self._plain = Lowering(diagram, Order())
        self._left = setting.nodes * setting.large  # nodes that diagrams of more than a few may still take
        self._small = True  # so far every diagram is, whatever it shares with earlier ones
        self.allow = self.of(diagram.leaf(ALLOW))

    def borders(self, segments: Sequence[Segment]) -> Borders:
        """What the numbers of one architecture mean. Raises CompileError where no program can be small enough."""
        borders: Borders = []
        for segment in segments:
            meaning = self._segment(segment)
            if not borders or borders[-1][1] != meaning:
                borders.append((segment.low, meaning))
        return borders

    def with_ticket(self, borders: Borders, numbers: frozenset[int]) -> Borders:
        """The same with the numbers' calls passing by the launch ticket, else as before."""
        edges = sorted({*(low for low, _ in borders), *numbers, *(nr + 1 for nr in numbers if nr < FULL)})
        allow = self.diagram.leaf(ALLOW)
        made: Borders = []
        at = 0
        for edge in edges:
            while at + 1 < len(borders) and borders[at + 1][0] <= edge:
                at += 1
            meaning = borders[at][1]
            if edge in numbers:
                roots = [self.diagram.make(TICKET, FULL, (1,), (allow, root)) for root in self.roots[meaning]]
                meaning = self.of(*roots)
            made.append((edge, meaning))
        return made

    def of(self, *roots: int) -> int:
        """The meaning that has these diagrams."""
        known = self._known.get(roots[0])
        if known is None:
            known = self._known[roots[0]] = len(self.roots)
            self.roots.append(list(roots))
        return known

    def may_pass(self, meaning: int) -> bool:
        """Whether some calls that mean this may be let pass, going by the answers that their rules name."""
        root = self.roots[meaning][0]
        if self.diagram.nodes[root][0] == LEAF:
            return self.diagram.value(root) in PASSING
        # What passes by the launch ticket is known by no rules.
        return all(_passes(rule) for rule in self.rules.get(meaning, ()))

    def _segment(self, segment: Segment) -> int:
        if not segment.rules:
            return self._answer(segment.answer)
        # Numbers with the same rules share their Bounds; telling equal ones by value would cost more than it saves.
        identity = tuple(map(id, segment.rules))
        found = self._known.get(identity)
        if found is None:
            answers = [untested for untested in map(_untested, segment.rules) if untested]
            if len(answers) == len(segment.rules):  # as most are: no diagram is needed to know what they come to
                found = self._answer(strictest(answers))
            else:
                found = self.of(*dict.fromkeys(self._lowered(segment.rules)))
                self.rules.setdefault(found, segment.rules)
            self._known[identity] = found
        return found

    def _answer(self, action: Action) -> int:
        return self.of(self.diagram.leaf(self.leaf(action)))

    def _lowered(self, rules: Sequence[Bound]) -> list[int]:
        looked = variables(rules)
        if bit_by_bit(looked):
            from sysgate.compiler.pairs import joined

            rules = joined(rules)
            looked = variables(rules)
        before = self.diagram.tests
        found = self._diagrams(rules, looked) if len(looked) <= MAX_VARIABLES else []
        self._small &= self.diagram.tests - before <= SMALL
        if found and self._small:
            return found
        smallest = min([self.diagram.least(root) for root in found], default=1 << 60)
        # On a single argument a diagram is never the larger one.
        if not found or (smallest > SMALL and len({word // 2 for word, _ in looked}) > 1):
            from sysgate.compiler.chain import chain

            chained = self._mapped(chain(self._plain, rules))
            size = self.diagram.least(chained)
            if size < smallest:
                found = [*found, chained] if self.setting.thorough and found else [chained]
                smallest = size
        if smallest > HOPELESS * MAX_INSTRUCTIONS:  # nothing that is bound to fail keeps anybody waiting
            from sysgate.compiler.limit import too_long

            raise too_long(smallest, [(smallest, rules)], at_least=True)
        return found

    def _diagrams(self, rules: Sequence[Bound], looked: set[tuple[int, int]]) -> list[int]:
        # The rules in every order of words that is to be tried, unless the diagram outgrows its budget; all orders and
        # all calls share what large ones may take, so that not even a hundred hopeless calls keep anybody waiting.
        masked = len({word for word, _ in looked}) < len(looked)  # several masks of one word
        budget = self.setting.nodes
        found = []
        for order in self.setting.orders(rules, self._plain.order):
            lowering = self._plain if order is self._plain.order else Lowering(self.diagram, order)
            budget = min(budget, max(self._left, A_FEW))
            self.diagram.budget = budget
            try:
                root = lowering.rules(rules)
                if masked:
                    from sysgate.compiler.knowledge import prune

                    root = prune(self.diagram, root)
            except Overflow:
                self._left -= budget
                if self._left <= 0:
                    break
                continue
            taken = budget - self.diagram.budget
            if taken > A_FEW:
                self._left -= taken
            found.append(root)
            budget = min(budget, TROUBLE * taken + A_FEW)
        self.diagram.budget = 1 << 60
        return [self._mapped(root) for root in found]

    def _mapped(self, root: int) -> int:
        return self.diagram.replace(root, self._returned, self._leaves) if self.leaf is not same else root

    def _returned(self, index: int) -> int | None:
        if self.diagram.nodes[index][0] != LEAF:
            return None
        action = self.diagram.value(index)
        return self.diagram.leaf(self.leaf(action))  # type: ignore[arg-type]


def _untested(rule: Bound) -> Action | None:
    # What a rule answers without a look at the call; None where it looks at it.
    for expr, action in rule.cases:
        if not isinstance(expr, Constant):
            return None
        if expr.holds:
            return action
    return rule.otherwise
