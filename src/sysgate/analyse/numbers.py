"""Which call numbers share an answer: the first cut through a diagram over calls."""

from __future__ import annotations

from sysgate.analyse.space import NUMBER_BITS
from sysgate.errors import BpfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.analyse.forest import Forest

END = 1 << 32
_MOST_RANGES = 1 << 14


def ranges(forest: Forest, diagram: int) -> list[tuple[int, int, int]]:
    """(first, last, node) for each longest run of numbers that go on to the same node, in order, 0 … 2**32-1.

    Raises BpfError where there are too many for any policy to list.
    """
    found: list[tuple[int, int, int]] = []
    waiting = [(diagram, 0, 0)]  # node, bits decided, their value
    while waiting:
        node, depth, prefix = waiting.pop()
        at = forest.variable[node]
        if at >= NUMBER_BITS:
            first, last = prefix << 32 - depth, (prefix + 1 << 32 - depth) - 1
            if found and found[-1][2] == node:
                found[-1] = found[-1][0], last, node
            else:
                found.append((first, last, node))
                if len(found) > _MOST_RANGES:
                    raise BpfError("the program tells more ranges of call numbers apart than a policy can list")
            continue
        low, high = (forest.low[node], forest.high[node]) if at == depth else (node, node)
        waiting += ((high, depth + 1, prefix << 1 | 1), (low, depth + 1, prefix << 1))
    return found


def at(forest: Forest, diagram: int, number: int) -> int:
    """The node that decides about a call number."""
    node = diagram
    while forest.variable[node] < NUMBER_BITS:
        bit = number >> 31 - forest.variable[node] & 1
        node = forest.high[node] if bit else forest.low[node]
    return node
