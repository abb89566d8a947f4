"""What is due to the boxes of calls that a program answers: by a policy's laws, or by another program."""

from __future__ import annotations

from sysgate.proof.answers import ALLOW
from sysgate.proof.goals import asked, mark, meets
from sysgate.proof.graph import ARCH, NR
from sysgate.proof.space import ARCH_SLOT, NR_SLOT
from sysgate.proof.spans import WORD, Spans, union

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.proof.goals import Asked, Box
    from sysgate.proof.refute import Refuter, Words
    from sysgate.proof.space import Space
    from sysgate.proof.spec import Goal, Law
    from sysgate.proof.walk import Roads

    Ticket = tuple[int, frozenset[int]]


class Difference(Exception):
    """Found: the words of a call that is answered wrongly, free ones unsaid. ticket: it carries the launch ticket."""

    def __init__(self, words: Words, *, ticket: bool = False) -> None:
        super().__init__(words)
        self.words, self.ticket = words, ticket


class _Law:
    """A law over a space: where it holds, and which numbers have which goal."""

    def __init__(self, space: Space, law: Law, where: int) -> None:
        self.audit, self.where = law.audit, where
        # By identity first: large goals are slow to hash, and neighbours often share one.
        spans: dict[int, list[tuple[int, int]]] = {}
        goals = {}
        for low, high, goal in law.parts:
            goals[id(goal)] = goal
            spans.setdefault(id(goal), []).append((low, high))
        numbers: dict[Goal, list[tuple[int, int]]] = {}
        for name, goal in goals.items():
            numbers.setdefault(goal, []).extend(spans[name])
        # Numbers for which an answer is always right, and goals that depend on arguments.
        self.right: dict[int, int] = {}
        self.goals: list[tuple[int, Goal, list[tuple[Asked, tuple[int, ...]]]]] = []
        for goal, listed in numbers.items():
            bits = space.bits(NR_SLOT, tuple(listed))
            if len(goal) == 1:
                for answer in goal[0][1]:
                    self.right[answer] = self.right.get(answer, 0) | bits
            else:
                self.goals.append((bits, goal, asked(space, goal)))
        self._met: dict[int, list[tuple[int, Goal, list[tuple[Asked, tuple[int, ...]]]]]] = {}

    def goals_of(self, numbers: int) -> list[tuple[int, Goal, list[tuple[Asked, tuple[int, ...]]]]]:
        """The goals of some of these numbers."""
        if numbers not in self._met:
            self._met[numbers] = [entry for entry in self.goals if entry[0] & numbers]
        return self._met[numbers]


class Policy:
    """Judges by a policy's laws. Made before the space is cut; `lay` after it.

    effort: how many limits the exact search may try over a whole proof.
    """

    def __init__(self, space: Space, laws: Sequence[Law], ticket: Ticket | None, effort: int) -> None:
        self.space, self._spec, self.ticket, self._effort = space, laws, ticket, effort
        for law in laws:
            if law.audit is not None:
                space.marked(ARCH, WORD, _points((law.audit,)))
            seen = set()
            for low, high, goal in law.parts:
                space.marked(NR, WORD, ((low, high),))
                if len(goal) > 1 and id(goal) not in seen:
                    seen.add(id(goal))
                    mark(space, goal)
        if ticket is not None:
            space.marked(ARCH, WORD, _points((ticket[0],)))
            space.marked(NR, WORD, _points(ticket[1]))

    def lay(self) -> None:
        """Look the laws up in the space, once that is cut."""
        space = self.space
        foreign = space.full[ARCH_SLOT]
        self.laws = []
        for law in self._spec:
            where = foreign if law.audit is None else space.bits(ARCH_SLOT, _points((law.audit,)))
            foreign &= ~where
            self.laws.append(_Law(space, law, where))
        self._refuter: Refuter | None = None
        self._ticketed = 0 if self.ticket is None else space.bits(NR_SLOT, _points(self.ticket[1]))

    def check(self, answer: int, box: Box, ticket: bool | None) -> None:
        """Raises Difference where the answer is wrong for some call in the box."""
        for law in self.laws:
            arch = box[ARCH_SLOT] & law.where
            if arch:
                self._check(law, answer, box, ticket)

    def _check(self, law: _Law, answer: int, box: Box, ticket: bool | None) -> None:
        numbers = box[NR_SLOT]
        if ticket is not False and self.ticket is not None and law.audit == self.ticket[0]:
            if answer != ALLOW and numbers & self._ticketed:
                self._refute(law, numbers & self._ticketed, box, carries=True)
            if ticket:
                numbers &= ~self._ticketed
        left = numbers & ~law.right.get(answer, 0)
        if not left:
            return
        for bits, goal, formulas in law.goals_of(left):
            if not meets(formulas, box, answer):
                self._refute(law, left & bits, box, goal, answer, carries=ticket is True)
            left &= ~bits
        if left:
            self._refute(law, left, box, carries=ticket is True)

    def _refute(
        self, law: _Law, numbers: int, box: Box, goal: Goal | None = None, answer: int = 0, *, carries: bool = False
    ) -> None:
        from sysgate.proof.refute import Refuter, limits  # few proofs come here, and a launch waits for its proof

        box = box.copy()
        box[ARCH_SLOT] &= law.where
        box[NR_SLOT] = numbers
        within = limits(self.space, box)
        refuter = self._refuter = self._refuter or Refuter(self._effort)
        words = refuter.some(within) if goal is None else refuter.against(goal, answer, within)
        if words is not None:
            raise Difference(words, ticket=carries)


class Other:
    """Judges by another program. budget: of its walks; effort: as a Policy's."""

    def __init__(self, roads: Roads, budget: int, effort: int) -> None:
        self.roads, self._budget, self._effort = roads, budget, effort
        self._refuter: Refuter | None = None

    def lay(self) -> None:
        """Look the program's tests up in the space, once that is cut."""
        self.roads.lay()

    def check(self, answer: int, box: Box, ticket: bool | None) -> None:
        """Raises Difference where the program answers otherwise for some call in the box."""
        for other, narrowed, _ in self.roads.walked(box, self._budget):
            if other != answer:
                from sysgate.proof.refute import Refuter, limits

                self._refuter = self._refuter or Refuter(self._effort)
                words = self._refuter.some(limits(self.roads.space, narrowed))
                if words is not None:
                    raise Difference(words)


def _points(values: Sequence[int] | frozenset[int]) -> Spans:
    return union((value, value) for value in values)
