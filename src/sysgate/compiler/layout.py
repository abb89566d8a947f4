"""Steps → a program: every step gets its place, every jump its distance.

The program is built from its end, so that all distances are known when a jump is placed. Of a jump's two ways the
heavier one is placed last and so follows it directly: a jump that falls through costs 0.1 ns under the JIT, one
that jumps 0.5 and more. Where a target lies further than a conditional jump reaches (255), a return gets another
copy, and so does a jump whose own targets are near; anything else a `ja` on the near side. A program longer than
that is laid out several times, with more or less of what is seldom made put behind everything else, where it is out
of the way of the rest; the cheapest is taken.
"""

from __future__ import annotations

from sysgate.compiler.steps import JA, RET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.bpf.program import Insn
    from sysgate.compiler.steps import Step, Steps

REACH = 255


def lay_out(steps: Steps, root: int, price: float, seldom: Sequence[float]) -> tuple[Insn, ...]:
    """The instructions of the steps that root leads to, root first.

    price: of an instruction, in steps per call. seldom: the layouts to try where jumps do not reach everywhere: steps
    made less often than so, in calls, are put behind the others.
    """
    weights = _weights(steps, root)
    before = _straight_predecessors(steps.all, weights)
    best: Layout | None = None
    for limit in seldom:
        layout = Layout(steps, weights, before)
        layout.fill(root, limit)
        if best is None or layout.cost(price) < best.cost(price):
            best = layout
        if len(layout.insns) <= REACH:
            break
    assert best is not None
    return tuple(reversed(best.insns))


def _weights(steps: Steps, root: int) -> dict[int, float]:
    # How often each step is made, if root is made once.
    weights = dict.fromkeys(sorted(steps.below(root), reverse=True), 0.0)  # a step is made after its successors
    weights[root] = 1.0
    for index in weights:
        _, _, then, otherwise = steps.all[index]
        if otherwise != -1:
            share = steps.share(index)
            weights[then] += weights[index] * share
            weights[otherwise] += weights[index] * (1 - share)
        elif then != -1:
            weights[then] += weights[index]
    return weights


def _straight_predecessors(steps: Sequence[Step], reached: dict[int, float]) -> dict[int, int]:
    before: dict[int, int] = {}
    for index in reached:
        _, _, then, otherwise = steps[index]
        if otherwise == -1 and then != -1:
            before.setdefault(then, index)
    return before


class Layout:
    """Instructions from the last to the first, and where each step went."""

    def __init__(self, steps: Steps, weights: dict[int, float], before: dict[int, int]) -> None:
        self.steps, self.weights, self.before = steps, weights, before
        self.insns: list[Insn] = []
        self.place: dict[int, int] = {}  # step → the index of its nearest copy, or of a ja to it
        self.home: dict[int, int] = {}  # step → the index of the step itself
        self.shares: dict[int, float] = {}  # index of a jump → how often it goes the first way

    def fill(self, root: int, seldom: float) -> None:
        """Place everything that root leads to; first (so: last) what is made less often than `seldom`."""
        for index in self._borders(root, seldom) if seldom else ():
            self._emit(index)
        self._emit(root)
        if self.place[root] != len(self.insns) - 1:
            self._lead_to(root)

    def cost(self, price: float) -> float:
        """Steps per call, and what the instructions cost."""
        n = len(self.insns)
        made = [0.0] * n
        made[n - 1] = 1.0
        for at in range(n - 1, -1, -1):
            code, jt, jf, k = self.insns[at]
            if at in self.shares:
                made[at - 1 - jt] += made[at] * self.shares[at]
                made[at - 1 - jf] += made[at] * (1 - self.shares[at])
            elif code == JA:
                made[at - 1 - k] += made[at]
            elif code != RET:
                made[at - 1] += made[at]
        return sum(made) + price * n

    def _borders(self, root: int, seldom: float) -> list[int]:
        # Seldom made steps that often made ones lead to, the seldomest first.
        seen = {root}
        todo = [root]
        found = []
        while todo:
            for way in self.steps.all[todo.pop()][2:]:
                if way != -1 and way not in seen:
                    seen.add(way)
                    if self.weights[way] >= seldom:
                        todo.append(way)
                    elif self.steps.all[way][0] != RET:
                        found.append(way)
        return sorted(found, key=lambda index: (self.weights[index], index))

    def _emit(self, root: int) -> None:
        todo = [root]
        place = self.place
        while todo:
            index = todo[-1]
            if index in place:
                todo.pop()
                continue
            code, k, then, otherwise = self.steps.all[index]
            if otherwise != -1:
                share = self.steps.share(index)
                # The heavy way goes in last, right before this jump.
                heavy, light = (then, otherwise) if share > 0.5 else (otherwise, then)
                if light not in place:
                    todo.append(light)
                    continue
                if heavy not in place:
                    todo.append(heavy)
                    continue
                self._jump(code, k, then, otherwise, share)
            elif then != -1:
                if then not in place:
                    todo.append(then)
                    continue
                if place[then] != len(self.insns) - 1:
                    self._lead_to(then)
                self.insns.append((code, 0, 0, k))
            else:
                self.insns.append((code, 0, 0, k))
            todo.pop()
            place[index] = self.home[index] = len(self.insns) - 1
            # A load that leads here wants to stand right before it.
            follower = self.before.get(index)
            if follower is not None and follower not in place:
                todo.append(follower)

    def _lead_to(self, index: int) -> None:
        # Appends what does a step that lies elsewhere: a copy of it if it is one instruction and what follows it is
        # near, else a ja.
        code, k, then, otherwise = self.steps.all[index]
        here = len(self.insns)
        if then == -1:
            self.insns.append((code, 0, 0, k))
        elif otherwise != -1 and max(here - 1 - self.place[then], here - 1 - self.place[otherwise]) <= REACH:
            self.shares[here] = self.steps.share(index)
            self.insns.append((code, here - 1 - self.place[then], here - 1 - self.place[otherwise], k))
        else:
            self.insns.append((JA, 0, 0, here - 1 - self.home[index]))

    def _jump(self, code: int, k: int, then: int, otherwise: int, share: float) -> None:
        # Places a conditional jump, and before that whatever brings its targets within reach. The first remedy pushes
        # the second target one further away, so look until both are near.
        place = self.place
        while True:
            here = len(self.insns)
            far = then if here - 1 - place[then] > REACH else otherwise
            if here - 1 - place[far] <= REACH:
                break
            self._lead_to(far)
            place[far] = here
        self.shares[here] = share
        self.insns.append((code, here - 1 - place[then], here - 1 - place[otherwise], k))
