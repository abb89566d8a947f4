"""Is there an assignment that makes all clauses true? Conflict-driven search with clause learning.

For what decision diagrams cannot hold: sums, shifts and products that mix the bits of several words.
Literals: 2 * variable for the variable itself, 2 * variable + 1 for its opposite; variables count from 1.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from sysgate.proof.budget import Spent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_RESTART = 64  # conflicts, times Luby's sequence
_DECAY = 1 / 0.95
_TOO_LARGE = 1e100


class Solver:
    """Takes clauses, then answers once. steps: literals that may be followed before it raises Spent."""

    def __init__(self, clauses: Iterable[Sequence[int]], variables: int, steps: int) -> None:
        self.steps = steps
        self.value: list[int | None] = [None] * (2 * variables + 2)  # of each literal
        self.level = [0] * (variables + 1)
        self.reason: list[list[int] | None] = [None] * (variables + 1)
        self.phase = [1] * (variables + 1)  # the last value of a variable, as the low bit of the literal
        self.watches: list[list[list[int]]] = [[] for _ in range(2 * variables + 2)]
        self.trail: list[int] = []
        self.levels: list[int] = []  # how long the trail was when each decision was made
        self.followed = 0
        self.activity = [0.0] * (variables + 1)
        self.bump = 1.0
        self.heap: list[tuple[float, int]] = []
        self.learnt: list[list[int]] = []
        self.possible = all(self._added(sorted(set(clause))) for clause in clauses)

    def solve(self) -> list[int] | None:
        """The literals that are true in some assignment; None if there is none."""
        if not self.possible or self._propagate() is not None:
            return None
        self.heap = [(-self.activity[variable], variable) for variable in range(1, len(self.level))]
        heapify(self.heap)
        restarts = 0
        left = _RESTART * _luby(restarts)
        while True:
            conflict = self._propagate()
            if conflict is not None:
                if not self.levels:
                    return None
                self._learn(conflict)
                left -= 1
                continue
            if left <= 0:
                restarts += 1
                left = _RESTART * _luby(restarts)
                self._back(0)
                self._forget()
            decision = self._decision()
            if decision is None:
                return self.trail
            self.levels.append(len(self.trail))
            self._set(decision, None)

    def _added(self, clause: list[int]) -> bool:
        if any(literal ^ 1 in clause for literal in clause):
            return True
        for literal in clause:
            self.activity[literal >> 1] += 1 / (1 << len(clause))
        if len(clause) > 1:
            self.watches[clause[0]].append(clause)
            self.watches[clause[1]].append(clause)
            return True
        if not clause or self.value[clause[0]] == 0:
            return False
        if self.value[clause[0]] is None:
            self._set(clause[0], None)
        return True

    def _set(self, literal: int, reason: list[int] | None) -> None:
        self.value[literal] = 1
        self.value[literal ^ 1] = 0
        variable = literal >> 1
        self.level[variable] = len(self.levels)
        self.reason[variable] = reason
        self.phase[variable] = literal & 1
        self.trail.append(literal)

    # Follows what is set to all that it forces; a clause that then is false, or None. Each clause is watched at its
    # first two literals: it can force something only when one of them becomes false.
    def _propagate(self) -> list[int] | None:
        value, watches, trail = self.value, self.watches, self.trail
        while self.followed < len(trail):
            false = trail[self.followed] ^ 1
            self.followed += 1
            watching = watches[false]
            self.steps -= len(watching)
            if self.steps < 0:
                raise Spent("the words are mixed too thoroughly")
            kept: list[list[int]] = []
            watches[false] = kept
            for place, clause in enumerate(watching):
                if clause[0] == false:
                    clause[0], clause[1] = clause[1], false
                first = clause[0]
                if value[first] == 1:
                    kept.append(clause)
                    continue
                for other in range(2, len(clause)):
                    literal = clause[other]
                    if value[literal] != 0:
                        clause[1], clause[other] = literal, false
                        watches[literal].append(clause)
                        break
                else:
                    kept.append(clause)
                    if value[first] == 0:
                        kept += watching[place + 1 :]
                        return clause
                    self._set(first, clause)
        return None

    # Resolves the conflict back to the one literal of this level that all of it hangs on, and goes back to where the
    # clause so learnt forces that literal's opposite.
    def _learn(self, conflict: list[int]) -> None:
        level, reason, trail = self.level, self.reason, self.trail
        here = len(self.levels)
        seen = set()
        learnt = []
        open_here = 0
        place = len(trail) - 1
        clause: list[int] | None = conflict
        pivot = -1
        while True:
            assert clause is not None  # only a decision has no reason, and it is the last that is open
            for literal in clause:
                variable = literal >> 1
                if literal != pivot and variable not in seen and level[variable]:
                    seen.add(variable)
                    self._bumped(variable)
                    if level[variable] == here:
                        open_here += 1
                    else:
                        learnt.append(literal)
            while trail[place] >> 1 not in seen:
                place -= 1
            pivot = trail[place]
            place -= 1
            open_here -= 1
            if not open_here:
                break
            clause = reason[pivot >> 1]
        # A literal whose reason lies wholly in the clause says nothing new.
        learnt = [literal for literal in learnt if not self._implied(literal, seen)]
        learnt = [pivot ^ 1, *sorted(learnt, key=lambda literal: -level[literal >> 1])]
        self.bump *= _DECAY
        self._back(level[learnt[1] >> 1] if len(learnt) > 1 else 0)
        if len(learnt) > 1:
            self.watches[learnt[0]].append(learnt)
            self.watches[learnt[1]].append(learnt)
            self.learnt.append(learnt)
        self._set(learnt[0], learnt if len(learnt) > 1 else None)

    def _implied(self, literal: int, seen: set[int]) -> bool:
        reason = self.reason[literal >> 1]
        return reason is not None and all(
            other >> 1 in seen or not self.level[other >> 1] for other in reason if other != literal ^ 1
        )

    def _back(self, level: int) -> None:
        if len(self.levels) <= level:
            return
        start = self.levels[level]
        for literal in self.trail[start:]:
            self.value[literal] = self.value[literal ^ 1] = None
            heappush(self.heap, (-self.activity[literal >> 1], literal >> 1))
        del self.trail[start:]
        del self.levels[level:]
        self.followed = start

    # Drops the longer half of many learnt clauses. Called where no decision stands, so none of them is a reason
    # that is still needed.
    def _forget(self) -> None:
        if len(self.learnt) < 4_000:
            return
        self.learnt.sort(key=len)
        dropped = {id(clause) for clause in self.learnt[2_000:] if len(clause) > 2}
        self.learnt = [clause for clause in self.learnt if id(clause) not in dropped]
        for watching in self.watches:
            watching[:] = [clause for clause in watching if id(clause) not in dropped]

    def _bumped(self, variable: int) -> None:
        self.activity[variable] += self.bump
        if self.activity[variable] > _TOO_LARGE:
            self.activity = [each / _TOO_LARGE for each in self.activity]
            self.bump /= _TOO_LARGE
        heappush(self.heap, (-self.activity[variable], variable))

    def _decision(self) -> int | None:
        heap, value = self.heap, self.value
        while heap:
            variable = heappop(heap)[1]
            if value[2 * variable] is None:
                return 2 * variable + self.phase[variable]
        return None


def _luby(index: int) -> int:
    # 1 1 2 1 1 2 4 1 1 2 1 1 2 4 8 …
    size = 1
    while size < index + 2:
        size *= 2
    while size - 1 != index + 1:
        size //= 2
        if index + 1 >= size:
            index -= size - 1
    return size // 2
