"""How often each call is made, and with what arguments: the weights by which programs are laid out.

A step on the path of a call counts by the call's share of all calls; on that of a call which the kernel's
constant-allow bitmap does not serve, by its share of those once more, 0.3 times. Without a profile the shares are those
of ordinary programs (compiler/prior), each weighing the same, with a tenth spread evenly over all calls there are. But
a policy is written for what its program does: some of the calls are ones that it lets pass, however seldom ordinary
programs make these, and the fewer it lets pass the less is the program an ordinary one.

Values of arguments that neither a profile nor a recording shows are guessed: small and round ones come more often.
"""

from __future__ import annotations

from _bisect import bisect_right

from sysgate.compiler.runs import FULL
from sysgate.facts import arches, calls
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    # Of a call: its architecture and its name there.
    Caller = tuple[str, str]
    # Values of a register with their shares of the calls, together at most 1.
    Values = Sequence[tuple[int, float]]

SPREAD = 0.1
PRICE = 0.03
UNSERVED = 0.3
# Where fewer than this of a recording's calls are not served, they hardly count: a handful says little.
FEW = 0.001
# Of an architecture's two ABIs under one AUDIT_ARCH value (x86_64, x32) the second is all but unused.
SECOND = 0.01

# The share of the values that a rule singles out: among those that no recording shows, and where nothing was recorded.
SEEN_NAMED = 0.1
NAMED = 0.5
# ... and of high halves the share that is zero, of masked bits the share that has none set.
ZERO = 0.95
CLEAR = 0.7
LEAST_REST = 0.02  # however much is recorded, something else may come

# Of all calls, those that a policy lets pass: of n such calls at least 1/3 + 1.5/n, and no more than that asks.
OWN = 1 / 3
OWN_OF_ONE = 1.5
OWN_MOST = 0.9
# ... and so many in any case, beside what ordinary programs make of them.
OWN_SPREAD = 0.1


class Weights(Value):
    """recordings: weight of each, and in it by call name how often it is made; a name's absence is zero.

    price: what an instruction of the program costs, in steps per call. unserved: what the mean over unserved calls
    counts beside the mean over all. own: the share spread evenly over the calls that a policy lets pass, more where it
    lets pass few; None where a profile says what is called. values: by architecture, call and register what a profile
    counts there.
    """

    recordings: tuple[tuple[float, Mapping[str, float]], ...]
    price: float
    unserved: float
    own: float | None = None
    values: Mapping[tuple[str, str, int], Values] = {}

    def seen(self, caller: Caller | None, register: int) -> Values:
        """The values of a register of a call, as far as they are known."""
        if caller is None:
            return ()
        return self.values.get((*caller, register)) or _recorded(caller[1], register)


def built_in() -> Weights:
    """The weights of ordinary programs."""
    from sysgate.compiler.prior import CALLS

    return Weights(tuple([((1 - SPREAD) / len(CALLS), recording) for recording in CALLS]), PRICE, UNSERVED, OWN_SPREAD)


def in_short() -> Weights:
    """The same from their means alone: quicker to load and to add up."""
    from sysgate.compiler.prior_brief import MEANS

    words = MEANS.split()
    return Weights(((1 - SPREAD, dict(zip(words[::2], map(int, words[1::2])))),), PRICE, UNSERVED, 0.0)


def _recorded(call: str, register: int) -> Values:
    from sysgate.compiler.prior_brief import VALUES

    pairs = [pair.split(":") for pair in VALUES.get(f"{call} {register}", "").split()]
    return [(int(value, 16), int(mille) / 1000) for value, mille in pairs]


def known_numbers(audit: int, *, second: bool) -> tuple[tuple[str, Mapping[str, int]], ...]:
    """The ABIs under an AUDIT_ARCH value, and their tables: name → number. second: with x32 beside x86_64."""
    known = arches.by_audit(audit)
    return tuple([(arch.name, calls.table(arch.name)) for arch in (known if second else known[:1])])


def numbers(
    weights: Weights, tables: Sequence[Mapping[str, int]], served: set[int], passing: set[int]
) -> list[tuple[int, float]]:
    """The numbers that have a weight, ascending, with it.

    tables: of an architecture (known_numbers). served: the numbers for which the bitmap answers; passing: those and the
    others of the first table that may pass.
    """
    summed: dict[int, float] = {}
    for place, table in enumerate(tables):
        part = SECOND if place else 1.0
        spread = 0.0 if place else 1.0
        for share, _ in weights.recordings:
            spread -= share
        if spread > 0:
            _spread(summed, set(table.values()), spread, served, weights)
        for share, recording in weights.recordings:
            found = [(table[name], count) for name, count in recording.items() if name in table]
            whole = sum([count for _, count in found])
            if whole:
                few = sum([count for number, count in found if number not in served])
                plain, more = _scales(whole, few, share * part, weights)
                for number, count in found:
                    summed[number] = summed.get(number, 0.0) + count * (plain if number in served else more)
    if weights.own is not None and passing:
        share = _own(weights.own, passing, summed)
        for number in summed:
            summed[number] *= 1 - share
        _spread(summed, passing, share, served, weights)
    return sorted(summed.items())


def _spread(summed: dict[int, float], found: set[int], share: float, served: set[int], weights: Weights) -> None:
    # A share of all calls, evenly over some.
    plain, more = _scales(len(found), len(found - served), share, weights)
    for number in found:
        summed[number] = summed.get(number, 0.0) + (plain if number in served else more)


def _own(least: float, passing: set[int], summed: Mapping[int, float]) -> float:
    # What is spread over the calls that pass, so that they are as many of all as they should be.
    wanted = min(OWN + OWN_OF_ONE / len(passing), OWN_MOST)
    whole = sum(summed.values())
    had = sum([weight for number, weight in summed.items() if number in passing]) / whole if whole else 0.0
    return max(least, (wanted - had) / (1 - had)) if had < wanted else least


def _scales(whole: float, few: float, share: float, weights: Weights) -> tuple[float, float]:
    # What a served call and an unserved one count for. whole: all calls of a recording, few: those not served. These
    # count once more, all of them together `unserved` times; less where they are few.
    scale = share / whole
    return scale, scale * (1 + weights.unserved * whole / (few + FEW * whole))


def shares(seen: Values, word: int, mask: int, cuts: Sequence[int]) -> list[float]:
    """The shares of a node's intervals, all together 1. seen: what is known of the register whose half the word is."""
    high = word % 2
    found = [0.0] * (len(cuts) + 1)
    rest = 1.0
    for value, share in seen:
        half = (value >> 32 if high else value & FULL) & mask
        found[bisect_right(cuts, half)] += share
        rest -= share
    guessed = _guess((0, *cuts), SEEN_NAMED if seen else NAMED, high == 1, mask)
    rest = max(rest, LEAST_REST)
    return [share + rest * guess for share, guess in zip(found, guessed)]


def _guess(starts: Sequence[int], likely: float, high: bool, mask: int) -> list[float]:
    if high or mask != FULL:
        first = ZERO if high else CLEAR
        return [first, *[(1 - first) / (len(starts) - 1)] * (len(starts) - 1)]
    ends = [*starts[1:], FULL + 1]
    singles = [1 / (4 + bits(start)) if end - start == 1 else 0.0 for start, end in zip(starts, ends)]
    from math import log2  # only here: policies without such tests start faster

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
