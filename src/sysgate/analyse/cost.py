"""What a call costs a program of which some arguments are any: the least and the most it executes, exactly."""

from __future__ import annotations

from sysgate.analyse import vector
from sysgate.analyse.forest import FALSE, TRUE
from sysgate.analyse.program import Walk
from sysgate.bpf import insn, machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from sysgate.analyse.program import State
    from sysgate.analyse.space import Space
    from sysgate.bpf.program import Program

    Cost = tuple[int, int]  # a node with steps as leaves, and how many more there are everywhere


def steps(space: Space, program: Program, audit: int, nr: int, args: Sequence[int | None]) -> int:
    """The node whose leaf is, for every call described, how many instructions the program executes.

    args: six words or fewer, None for "any value" and for those left out. The program must be valid. Raises Overgrown.
    """
    return _Steps(space, program, audit, nr, args).counted()


def extremes(space: Space, answers: int, counted: int) -> dict[Hashable, tuple[int, int]]:
    """By answer, the least and the most steps to it. answers, counted: diagrams of the same calls. Raises Overgrown."""
    found: dict[Hashable, tuple[int, int]] = {}
    for leaf in space.leaves(space.combined(answers, counted, _pair)):
        assert isinstance(leaf, tuple)
        answer, count = leaf
        least, most = found.get(answer, (count, count))
        found[answer] = min(least, count), max(most, count)
    return found


def _pair(answer: Hashable, count: Hashable) -> Hashable:
    return answer, count


class _Steps(Walk):
    def __init__(self, space: Space, program: Program, audit: int, nr: int, args: Sequence[int | None]) -> None:
        super().__init__(space, program, audit)
        words = machine.words(audit, nr, [word or 0 for word in args], 0, big_endian=program.big_endian)
        given = [True, True, False, False, *(word is not None for word in (*args, *(None,) * 6)[:6] for _ in "lh")]
        self.loads = tuple(
            [vector.constant(word) if known else load for word, known, load in zip(words, given, self.loads)]
        )

    def counted(self) -> int:
        """The steps from the first instruction on."""
        ways = self.forward()
        counts: list[dict[State, Cost]] = [{} for _ in self.insns]
        none = self.forest.leaf(0)
        for pc in reversed(range(len(self.insns))):
            for state, step in ways[pc].items():
                if step is None:
                    counts[pc][state] = none, 1
                    continue
                test, (at, after), (other, otherwise) = step
                if test in (FALSE, TRUE):
                    node, more = counts[at][after] if test == TRUE else counts[other][otherwise]
                else:
                    node, more = self.either(test, counts[at][after], counts[other][otherwise])
                if self.insns[pc][0] == insn.DIV_X:
                    divisor = state[1]
                    assert divisor is not None
                    ends = vector.equal(self.forest, divisor, vector.constant(0))  # bpf_convert_filter
                    node, more = self.either(ends, (none, 0), (node, more))
                counts[pc][state] = node, more + 1
        node, more = next(iter(counts[0].values()))
        return self.later(node, more)

    def either(self, test: int, holds: Cost, fails: Cost) -> Cost:
        """One cost where the test holds, the other elsewhere."""
        more = min(holds[1], fails[1])
        then, other = (self.later(node, steps - more) for node, steps in (holds, fails))
        return self.forest.ite(test, then, other), more

    def later(self, node: int, more: int) -> int:
        """A cost with so many steps before it."""
        forest = self.forest
        return forest.mapped(node, lambda count: forest.leaf(_sum(count, more))) if more else node


def _sum(count: Hashable, more: int) -> int:
    assert isinstance(count, int)
    return count + more
