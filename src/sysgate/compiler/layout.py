"""Steps → a program: every step gets its place, every jump its distance.

The program is built from its end, so that all distances are known when a jump is placed. Of a jump's two ways the
heavier one is placed last and so follows it directly: a jump that falls through costs 0.1 ns under the JIT, one
that jumps 0.5 and more. Where a target lies further than a conditional jump reaches (255), a return gets another
copy, and anything else a `ja` on the near side.
"""

from __future__ import annotations

from sysgate.compiler.steps import JA, RET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.bpf.program import Insn
    from sysgate.compiler.steps import Step

REACH = 255


def lay_out(steps: Sequence[Step], root: int, leans: Sequence[float]) -> tuple[Insn, ...]:
    """The instructions of the steps that root leads to, root first.

    leans: of each jump, how much more often it goes the first way than the second.
    """
    before = _straight_predecessors(steps, root)
    backward: list[Insn] = []
    place: dict[int, int] = {}  # step → its index in backward
    todo = [root]
    while todo:
        index = todo[-1]
        if index in place:
            todo.pop()
            continue
        code, k, then, otherwise = steps[index]
        if otherwise != -1:
            light, heavy = then, otherwise
            if leans[index] > 0:
                light, heavy = otherwise, then
            # The heavy way goes in last, right before this jump.
            missing = [way for way in (heavy, light) if way not in place]
            if missing:
                todo.append(missing[-1])
                continue
            _jump(steps, backward, place, code, k, then, otherwise)
        elif then != -1:
            if then not in place:
                todo.append(then)
                continue
            if place[then] != len(backward) - 1:
                backward.append((JA, 0, 0, len(backward) - 1 - place[then]))
            backward.append((code, 0, 0, k))
        else:
            backward.append((code, 0, 0, k))
        todo.pop()
        place[index] = len(backward) - 1
        # A load that leads here wants to stand right before it.
        follower = before.get(index)
        if follower is not None and follower not in place:
            todo.append(follower)
    if place[root] != len(backward) - 1:
        backward.append((JA, 0, 0, len(backward) - 1 - place[root]))
    backward.reverse()
    return tuple(backward)


def _straight_predecessors(steps: Sequence[Step], root: int) -> dict[int, int]:
    seen = {root}
    todo = [root]
    before: dict[int, int] = {}
    while todo:
        index = todo.pop()
        _, _, then, otherwise = steps[index]
        if otherwise == -1 and then != -1:
            before.setdefault(then, index)
        for way in (then, otherwise):
            if way != -1 and way not in seen:
                seen.add(way)
                todo.append(way)
    return before


def _jump(
    steps: Sequence[Step], backward: list[Insn], place: dict[int, int], code: int, k: int, then: int, otherwise: int
) -> None:
    # Places a conditional jump, and before that whatever brings its targets within reach. The first remedy pushes the
    # second target one further away, so look until both are near.
    while True:
        here = len(backward)
        far = [way for way in (then, otherwise) if here - 1 - place[way] > REACH]
        if not far:
            break
        way = far[0]
        kind, value, _, _ = steps[way]
        if kind == RET:
            backward.append((RET, 0, 0, value))
        else:
            backward.append((JA, 0, 0, here - 1 - place[way]))
        place[way] = here
    backward.append((code, here - 1 - place[then], here - 1 - place[otherwise], k))
