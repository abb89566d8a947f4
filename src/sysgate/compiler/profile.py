"""How often each call is made: the weights by which programs are laid out.

A step on the path of a call counts by the call's share of all calls; on that of a call which the kernel's
constant-allow bitmap does not serve, by its share of those once more, 0.3 times. Without a profile the shares are those
of ordinary programs (compiler/prior), each weighing the same, with a tenth spread evenly over all calls there are.
"""

from __future__ import annotations

from sysgate.compiler.prior import CALLS
from sysgate.errors import CompileError
from sysgate.facts import arches, calls
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SPREAD = 0.1
UNSERVED = 0.4
# Where fewer than this of a recording's calls are not served, they hardly count: a handful says little.
FEW = 0.001
# Of an architecture's two ABIs under one AUDIT_ARCH value (x86_64, x32) the second is all but unused.
SECOND = 0.01


class Weights(Value):
    """recordings: weight of each, and in it by call name how often it is made; a name's absence is zero.

    price: what an instruction of the program costs, in steps per call. unserved: what the mean over unserved calls counts
    beside the mean over all.
    """

    recordings: tuple[tuple[float, Mapping[str, float]], ...]
    price: float
    unserved: float


def built_in() -> Weights:
    """The weights of ordinary programs."""
    return Weights(tuple([((1 - SPREAD) / len(CALLS), recording) for recording in CALLS]), 0.03, UNSERVED)


def of_counts(counts: Mapping[str, float], names: Sequence[str]) -> Weights:
    """Weights from a profile: call name → how often it is made.

    names: the architectures to compile for. What is known outweighs what is guessed: beside a profile an instruction
    costs a third. Raises CompileError for a name that none of them has, and for a count that is none.
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
    return Weights(((1.0, known),), 0.01, 0.1)


def numbers(weights: Weights, audit: int, served: Callable[[int], bool]) -> list[tuple[int, float]]:
    """The numbers of an architecture that have a weight, ascending, with it.

    served: whether the bitmap answers for a number.
    """
    known = arches.by_audit(audit)
    tables = [calls.table(arch.name) for arch in known]
    summed: dict[int, float] = {}
    spread = 1.0
    for place, table in enumerate(tables):
        second = SECOND if place else 1.0
        for share, recording in weights.recordings:
            found = [(table[name], count) for name, count in recording.items() if name in table]
            whole = sum([count for _, count in found])
            if whole:
                _add(summed, found, share * second / whole, served, weights.unserved)
            if not place:
                spread -= share
    if tables and spread > 0:
        even = [(number, 1.0) for number in tables[0].values()]
        _add(summed, even, spread / len(even), served, weights.unserved)
    return sorted(summed.items())


def _add(
    summed: dict[int, float],
    found: list[tuple[int, float]],
    scale: float,
    served: Callable[[int], bool],
    more: float,
) -> None:
    # The unserved ones of a recording share 0.3 among them, less where they are few.
    unserved = {number: scale * count for number, count in found if not served(number)}
    whole = sum([scale * count for _, count in found])
    few = sum(unserved.values())
    more *= whole / (few + FEW * whole)
    for number, count in found:
        weight = scale * count
        summed[number] = summed.get(number, 0.0) + (weight * (1 + more) if number in unserved else weight)
