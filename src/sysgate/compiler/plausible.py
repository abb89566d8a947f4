"""How likely each value of an argument is: where nothing is recorded, a guess that prefers small and round numbers."""

from __future__ import annotations

from bisect import bisect_right
from math import log2

from sysgate.compiler.diagram import FULL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# The share of the values that a rule singles out: among those that no recording shows, and where nothing was recorded.
SEEN_NAMED = 0.1
NAMED = 0.5
# ... and of high halves the share that is zero, of masked bits the share that has none set.
ZERO = 0.95
CLEAR = 0.7


def shares(word: int, mask: int, cuts: Sequence[int], name: str | None) -> list[float]:
    """The share of a node's intervals, all together 1. name: the call that comes there, None where it is not known."""
    argument, high = divmod(word - 4, 2)
    found = [0.0] * (len(cuts) + 1)
    rest = 1.0
    recorded = _recorded(name, argument)
    for value, mille in recorded:
        half = (value >> 32 if high else value & FULL) & mask
        found[bisect_right(cuts, half)] += mille / 1000
        rest -= mille / 1000
    guessed = _guess((0, *cuts), SEEN_NAMED if recorded else NAMED, high == 1, mask)
    return [share + max(rest, 0.02) * guess for share, guess in zip(found, guessed)]


def _recorded(name: str | None, argument: int) -> tuple[tuple[int, int], ...]:
    if name is None:
        return ()
    from sysgate.compiler.prior_values import VALUES

    return VALUES.get((name, argument), ())


def _guess(starts: Sequence[int], likely: float, high: bool, mask: int) -> list[float]:
    if high or mask != FULL:
        first = ZERO if high else CLEAR
        return [first, *[(1 - first) / (len(starts) - 1)] * (len(starts) - 1)]
    ends = [*starts[1:], FULL + 1]
    singles = [1 / (4 + bits(start)) if end - start == 1 else 0.0 for start, end in zip(starts, ends)]
    wide = [log2((end + 1) / (start + 1)) if end - start > 1 else 0.0 for start, end in zip(starts, ends)]
    named, all_wide = sum(singles), sum(wide)
    share = likely if named and all_wide else 1.0
    return [
        (share * single / named if single else 0.0)
        + ((1 - share if named else 1.0) * width / all_wide if width else 0.0)
        for single, width in zip(singles, wide)
    ]


def bits(value: int) -> int:
    """How many binary digits it takes to say a number, without the zeros at its end."""
    return (value // (value & -value)).bit_length() if value else 0
