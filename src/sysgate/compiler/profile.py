"""How often each call is made: the weights by which programs are laid out.

A step on the path of a call counts by the call's share of all calls; on that of a call which the kernel's
constant-allow bitmap does not serve, by its share of those once more, 0.3 times. Without a profile the shares are those
of ordinary programs (compiler/prior), each weighing the same, with a tenth spread evenly over all calls there are.
"""

from __future__ import annotations

from sysgate.errors import CompileError
from sysgate.facts import arches, calls
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

SPREAD = 0.1
PRICE = 0.03
# 0.3 is asked for; a little more, since recordings with few unserved calls count for less than that (FEW).
UNSERVED = 0.4
# Where fewer than this of a recording's calls are not served, they hardly count: a handful says little.
FEW = 0.001
# Of an architecture's two ABIs under one AUDIT_ARCH value (x86_64, x32) the second is all but unused.
SECOND = 0.01


class Weights(Value):
    """recordings: weight of each, and in it by call name how often it is made; a name's absence is zero.

    price: what an instruction of the program costs, in steps per call. unserved: what the mean over unserved calls
    counts beside the mean over all.
    """

    recordings: tuple[tuple[float, Mapping[str, float]], ...]
    price: float
    unserved: float


def built_in() -> Weights:
    """The weights of ordinary programs."""
    from sysgate.compiler.prior import CALLS

    return Weights(tuple([((1 - SPREAD) / len(CALLS), recording) for recording in CALLS]), PRICE, UNSERVED)


def in_short() -> Weights:
    """The same from their means alone: quicker to load and to add up."""
    from sysgate.compiler.prior_means import MEANS

    return Weights(((1 - SPREAD, MEANS),), PRICE, 0.25)


def of_counts(counts: Mapping[str, float], names: Sequence[str]) -> Weights:
    """Weights from a profile: call name → how often it is made.

    names: the architectures to compile for. What is known outweighs what is guessed: beside a profile an instruction
    costs a quarter. Raises CompileError for a name that none of them has, and for a count that is none.
    """
    known: dict[str, float] = {}
    for written, count in counts.items():
        if not isinstance(written, str) or not isinstance(count, (int, float)) or not 0 <= count < float("inf"):
            raise CompileError(f"a profile gives counts by call name, not {written!r}: {count!r}")
        found = {call for name in names if (call := calls.resolve(name, written)) is not None}
        if not found:
            raise CompileError(f"the profile counts {written!r}, which is no call of {', '.join(names)}")
        for call in found:
            known[call] = known.get(call, 0.0) + count
    if not any(known.values()):
        return built_in()
    return Weights(((1.0, known),), PRICE / 4, 0.1)


def known_numbers(audit: int, *, second: bool) -> tuple[Mapping[str, int], ...]:
    """The tables (name → number) of the ABIs under an AUDIT_ARCH value. second: with that of x32 beside x86_64."""
    known = arches.by_audit(audit)
    return tuple(calls.table(arch.name) for arch in (known if second else known[:1]))


def numbers(weights: Weights, tables: Sequence[Mapping[str, int]], served: Container[int]) -> list[tuple[int, float]]:
    """The numbers that have a weight, ascending, with it.

    tables: of an architecture (known_numbers). served: the numbers for which the bitmap answers.
    """
    summed: dict[int, float] = {}
    for place, table in enumerate(tables):
        spread = 0.0 if place else 1.0
        for share, recording in weights.recordings:
            found = [(table[name], count) for name, count in recording.items() if name in table]
            _add(summed, found, share * (SECOND if place else 1.0), served, weights.unserved)
            spread -= share
        if spread > 0:
            _add(summed, [(number, 1.0) for number in table.values()], spread, served, weights.unserved)
    return sorted(summed.items())


def _add(
    summed: dict[int, float], found: list[tuple[int, float]], share: float, served: Container[int], unserved: float
) -> None:
    # The unserved calls of a recording count once more, all of them together `unserved`; less where they are few.
    whole = sum([count for _, count in found])
    if not whole:
        return
    few = sum([count for number, count in found if number not in served])
    scale = share / whole
    more = scale * (1 + unserved * whole / (few + FEW * whole))
    for number, count in found:
        summed[number] = summed.get(number, 0.0) + count * (scale if number in served else more)
