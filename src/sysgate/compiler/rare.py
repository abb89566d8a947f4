"""Many 64-bit values that hardly ever come: two instructions each, not three.

    ld low;  jeq #low1, one;  jeq #low2, two;  …        one: ld high; jeq #high1, yes, no
                                                        two: ld high; jeq #high2, yes, no
becomes
    ld high;  ldx #low1;  jeq #high1, both;  ldx #low2;  jeq #high2, both;  …  no        both: ld low; jeq x, yes, no

Every miss walks a part of the chain, so what comes often stays in the tree.
"""

from __future__ import annotations

from sysgate.compiler.diagram import COMPUTED
from sysgate.compiler.profile import ZERO
from sysgate.compiler.runs import FULL
from sysgate.compiler.steps import JEQ, JEQ_X, JGE, LD, LDX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.compiler.code import Coder
    from sysgate.compiler.diagram import Diagram

    # The intervals of the rare values; the other word with its value for each; where both match, and where not.
    Rare = tuple[list[int], int, list[int], int, int]

SELDOM = 0.2  # of the calls that come to the node
LEAST = 4  # values for which a chain pays
LONGEST = 3  # values in a row; more are halved by a test first
MANY = 16  # of so many values, and more, twice as many stand in a row


def rare(diagram: Diagram, index: int, shares: Sequence[float]) -> Rare | None:
    """The values of a node that a chain can ask for: single ones that seldom come, and go to a test of another word."""
    looked, mask, cuts, kids = diagram.nodes[index]
    if mask != FULL or len(cuts) < 2 * LEAST or looked >= COMPUTED:  # computing a word takes the index register
        return None
    starts = (0, *cuts)
    ends = (*cuts, FULL + 1)
    groups: dict[tuple[int, int, int], dict[int, int]] = {}
    times: dict[int, int] = {}
    for kid in kids:
        times[kid] = times.get(kid, 0) + 1
    for place, kid in enumerate(kids):
        if ends[place] - starts[place] != 1 or times[kid] != 1 or shares[place] > SELDOM:
            continue
        word, other_mask, other_cuts, ways = diagram.nodes[kid]
        point = _point(other_cuts)
        if word >= COMPUTED or point is None or other_mask != FULL or (len(ways) == 3 and ways[0] != ways[2]):
            continue
        yes, no = ways[1], ways[0]
        if point == 0:
            yes, no = no, yes
        # Values that differ in this word alone would need the chain to go on after a match.
        groups.setdefault((word, yes, no), {}).setdefault(point, place)
    best: Rare | None = None
    for (word, yes, no), places in groups.items():
        background = [end - start for start, end, kid in zip(starts, ends, kids) if kid == no]
        if len(places) >= LEAST and background and (best is None or len(places) > len(best[0])):
            points = sorted(places)
            best = [places[point] for point in points], word, points, yes, no
    return best


def _point(cuts: Sequence[int]) -> int | None:
    # The value that a node tells from all others.
    if len(cuts) == 2 and cuts[1] == cuts[0] + 1:
        return cuts[0]
    if len(cuts) == 1 and cuts[0] in (1, FULL):
        return 0 if cuts[0] == 1 else FULL
    return None


def rare_steps(
    coder: Coder,
    index: int,
    found: Rare,
    targets: Sequence[tuple[int, float]],
    shares: Sequence[float],
    weight: float,
) -> tuple[int, float]:
    """The node's form with a chain: its first step, and how many steps that and what follows make."""
    places, other, points, yes, no = found
    word, _, cuts, kids = coder.diagram.nodes[index]
    steps = coder.steps
    starts = (0, *cuts)
    accept, refuse = coder.entry(yes)[0], coder.entry(no)
    both = steps.add(LD, coder.offset(word), steps.add(JEQ_X, 0, accept, refuse[0]))
    values = [(point, starts[place]) for place, point in zip(places, points)]
    missed = sum([share for share, kid in zip(shares, kids) if kid == no])
    longest = LONGEST if len(values) < MANY else 2 * LONGEST
    walked = (len(values) // longest).bit_length() + 2 * longest
    chain = _halved(coder, values, longest, both, refuse[0])
    if weight * missed * (ZERO * walked - 1) > coder.price and points[0] != 0:
        chain = steps.add(JEQ, 0, refuse[0], chain)
        steps.weigh(chain, ZERO, 1 - ZERO)
        walked = 2
    entry = steps.add(LD, coder.offset(other), chain), 1 + walked + refuse[1]
    replaced = [
        entry if kid == no or place in places else target for place, (kid, target) in enumerate(zip(kids, targets))
    ]
    return coder.tree(starts, replaced, shares, weight)


def _halved(coder: Coder, values: Sequence[tuple[int, int]], longest: int, both: int, refuse: int) -> int:
    # values: (other word, this word), ascending.
    if len(values) > longest:
        middle = (len(values) + 1) // 2
        low = _halved(coder, values[:middle], longest, both, refuse)
        return coder.steps.add(JGE, values[middle][0], _halved(coder, values[middle:], longest, both, refuse), low)
    step = refuse
    for point, value in reversed(values):
        step = coder.steps.add(LDX, value, coder.steps.add(JEQ, point, both, step))
    return step
