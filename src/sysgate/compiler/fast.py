"""The arrangement for `optimize="fast"`: a search tree split by weight, in one pass."""

from __future__ import annotations

from sysgate.compiler.steps import JEQ, JGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.compiler.steps import Steps


def arrange(steps: Steps, starts: Sequence[int], targets: Sequence[int], weights: Sequence[float]) -> int:
    """The step that finds the interval the accumulator lies in (see code.Arrange)."""
    ends = [*starts[1:], 1 << 32]
    total = [0.0]
    for weight in weights:
        total.append(total[-1] + weight)

    def split(low: int, high: int) -> int:
        if low == high:
            return targets[low]
        if high == low + 1:
            return steps.add(JGE, starts[high], targets[high], targets[low])
        if high == low + 2 and targets[low] == targets[high] and ends[low + 1] - starts[low + 1] == 1:
            return steps.add(JEQ, starts[low + 1], targets[low + 1], targets[low])
        middle = (total[low] + total[high + 1]) / 2
        at = min(range(low + 1, high + 1), key=lambda cut: (abs(total[cut] - middle), cut))
        return steps.add(JGE, starts[at], split(at, high), split(low, at - 1))

    return split(0, len(starts) - 1)
