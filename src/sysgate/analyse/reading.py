"""A stack of programs, read: for each architecture, what every call is answered."""

from __future__ import annotations

from sysgate.analyse import numbers
from sysgate.analyse import program as as_diagram
from sysgate.analyse.space import Space
from sysgate.bpf.program import compared_arches
from sysgate.errors import BpfError
from sysgate.facts import calls
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.bpf.program import Program

X32 = 1 << 30, (1 << 31) - 1
"""x32 numbers: bit 30 set, bit 31 clear (__X32_SYSCALL_BIT, arch/x86/include/uapi/asm/unistd.h)."""

# Where a space with one register after the other needs more, the program sets registers against each other.
_BUDGET, _BRAIDED_BUDGET = 150_000, 1_000_000
_WRITING_BUDGET = 400_000  # for turning the diagrams into text


class Reading(Value):
    """Programs in one space. diagrams: by audit value, what the stack answers; leaves are Actions."""

    space: Space
    diagrams: dict[int, int]


class Numbers(Value):
    """One architecture's calls. node: where the space decides about each.

    named: call → node, sorted by name. ranges: (first, last, node), all its numbers. unnamed: those no call has.
    """

    arch: str
    named: dict[str, int]
    ranges: tuple[tuple[int, int, int], ...]
    unnamed: tuple[tuple[int, int, int], ...]


def read(programs: Sequence[Program], audits: Sequence[int]) -> Reading:
    """What a stack of programs, the first installed first, answers on some architectures.

    Raises BpfError where what they compute from the calls is too intricate to be followed.
    """
    try:
        return _read(Space(budget=_BUDGET), programs, audits)
    except BpfError:
        return _read(Space(braided=True, budget=_BRAIDED_BUDGET), programs, audits)


def tested(programs: Sequence[Program]) -> tuple[int, ...]:
    """The audit values that programs compare with, sorted."""
    return tuple(sorted({audit for program in programs for audit in compared_arches(program.insns)}))


def of_arch(space: Space, diagram: int, name: str, *, beside_x32: bool) -> Numbers:
    """The calls of one architecture, of whose AUDIT_ARCH value diagram is.

    beside_x32: whether x32's numbers are x32's, and not x86_64's.
    """
    whole = own(numbers.ranges(space, diagram), name, beside_x32=beside_x32)
    named, unnamed = by_name(whole, name)
    return Numbers(name, dict(sorted(named.items())), tuple(whole), tuple(unnamed))


def by_name(ranges: Sequence[tuple[int, int, int]], name: str) -> tuple[dict[str, int], list[tuple[int, int, int]]]:
    """The calls in ranges of an architecture's numbers, each with its node, and the numbers there that no call has."""
    table = {number & 0xFFFF_FFFF: call for call, number in calls.table(name).items()}
    named: dict[str, int] = {}
    unnamed: list[tuple[int, int, int]] = []
    for low, high, node in ranges:
        start = low
        for number in sorted(number for number in table if low <= number <= high):
            named[table[number]] = node
            if start < number:
                unnamed.append((start, number - 1, node))
            start = number + 1
        if start <= high:
            unnamed.append((start, high, node))
    return named, unnamed


def own(ranges: list[tuple[int, int, int]], name: str, *, beside_x32: bool) -> list[tuple[int, int, int]]:
    """The parts of ranges that are an architecture's, of all those under its AUDIT_ARCH value."""
    if name == "x32":
        return clipped(ranges, *X32)
    if name == "x86_64" and beside_x32:
        return clipped(ranges, 0, X32[0] - 1) + clipped(ranges, X32[1] + 1, numbers.END - 1)
    return ranges


def clipped(ranges: Sequence[tuple[int, int, int]], low: int, high: int) -> list[tuple[int, int, int]]:
    """The parts of ranges that lie in low … high."""
    return [(max(low, a), min(high, b), node) for a, b, node in ranges if a <= high and b >= low]


def _read(space: Space, programs: Sequence[Program], audits: Sequence[int]) -> Reading:
    diagrams = {}
    limit = space.budget
    for audit in audits:
        space.budget = len(space.variable) + limit
        diagrams[audit] = as_diagram.strictest(
            space, [as_diagram.diagram(space, program, audit) for program in programs]
        )
    space.budget = len(space.variable) + _WRITING_BUDGET
    return Reading(space, diagrams)
