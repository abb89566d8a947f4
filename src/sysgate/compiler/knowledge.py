"""What earlier tests of a word already say about it: intervals that no value can fall into any more are dropped.

    flags & 0x6400 ? allow : flags == 0x5421 ? allow : kill   →   flags & 0x6400 ? allow : kill

`Diagram.apply` knows that a value in one interval is in no other, but takes different masks of a word for
independent. Here every path carries what its tests of the same word have shown.
"""

from __future__ import annotations

from sysgate.compiler.diagram import FULL, LEAF
from sysgate.compiler.runs import least_inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.compiler.diagram import Diagram

    # (mask, least, most): word & mask lies between the two.
    Fact = tuple[int, int, int]
    Facts = tuple[Fact, ...]

# Visits beyond which a diagram is left as it is, for each of its nodes.
VISITS = 4


def prune(diagram: Diagram, root: int) -> int:
    """The diagram without what its own tests rule out. Same answer for every call; never more nodes on a path."""
    below = diagram.below(root)
    masks: dict[int, set[int]] = {}
    for index in below:
        word, mask, _, _ = diagram.nodes[index]
        masks.setdefault(word, set()).add(mask)
    several = {word for word, seen in masks.items() if word != LEAF and len(seen) > 1}
    if not several:
        return root
    memo: dict[tuple[int, Facts], int] = {}
    visits = VISITS * len(below) + 100

    def pruned(index: int, facts: Facts) -> int:
        nonlocal visits
        key = index, facts
        found = memo.get(key)
        if found is not None or visits < 0:
            return index if found is None else found
        visits -= 1
        word, mask, cuts, kids = diagram.nodes[index]
        if word == LEAF:
            return index
        ends = (*cuts, FULL + 1)
        starts: list[int] = []
        made: list[int] = []
        for start, end, kid in zip((0, *cuts), ends, kids):
            fact = mask, start, end - 1
            if facts and not possible((*facts, fact)):
                continue
            same = word in several and diagram.nodes[kid][0] == word
            made.append(pruned(kid, (*facts, fact) if same else ()))
            starts.append(start)
        found = memo[key] = diagram.make(word, mask, starts[1:], made)
        return found

    result = pruned(root, ())
    return root if visits < 0 else result


def possible(facts: Facts) -> bool:
    """Whether some word fits all facts; True also where that is too much to find out."""
    known = value = 0
    for mask, least, most in facts:
        # Where the bounds begin alike, so does everything between them.
        bits = mask & ~((1 << (least ^ most).bit_length()) - 1)
        if (least ^ value) & bits & known:
            return False
        known |= bits
        value |= least & bits
    for mask, least, most in facts:
        fixed, free = value & mask, mask & ~known
        if fixed | free < least or _least(least, fixed, free) > most:
            return False
    return True


def _least(bound: int, fixed: int, free: int) -> int:
    # The least of fixed | (some of the free bits) that is not below bound.
    if fixed >= bound:
        return fixed
    if not fixed:
        return least_inside(bound, free)
    # From the highest bit down, stay equal to bound for as long as a value above it is still to be had.
    best = FULL + 1
    prefix = 0
    for bit in range(31, -1, -1):
        flag = 1 << bit
        if bound & flag:
            if fixed & flag or free & flag:
                prefix |= flag
                continue
            return best
        if fixed & flag:
            return prefix | flag | fixed & (flag - 1)
        if free & flag:
            best = prefix | flag | fixed & (flag - 1)
    return prefix
