"""A call for which something is wrong, sought by conflict-driven search: where expressions mix words too hard."""

from __future__ import annotations

from sysgate.proof.arithmetic import FALSE, TRUE
from sysgate.proof.gates import Gates
from sysgate.proof.sat import Solver

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sysgate.proof.bits import Bits
    from sysgate.proof.spans import Spans
    from sysgate.proof.symbols import Symbols


def search(
    bits: Bits, wrong: int, tests: Mapping[tuple[int, int], tuple[int, Spans]], symbols: Symbols, steps: int
) -> list[tuple[int, int]] | None:
    """The (word, bit) that are 1 in some call for which wrong is TRUE; None if there is no such call.

    tests: variables of the diagram that stand for a test: that a register's value lies in spans.
    Raises Spent after that many steps.
    """
    gates = Gates()
    places = {level: place for place, level in bits.levels.items()}
    wires = {FALSE: FALSE, TRUE: TRUE}
    for node in _lowest_first(bits, wrong):
        place = places[bits.level[node]]
        if place in tests:
            value, spans = tests[place]
            which = gates.member(gates.word(symbols, value), spans)
        else:
            which = gates.variable(*place)
        wires[node] = gates.choose(which, wires[bits.high[node]], wires[bits.low[node]])
    if wires[wrong] == FALSE:
        return None
    if wires[wrong] != TRUE:
        gates.clauses.append((wires[wrong],))
    model = Solver(gates.clauses, gates.variables, steps).solve()
    if model is None:
        return None
    true = set(model)
    return [place for place, wire in gates.inputs.items() if wire in true]


# The nodes that a function is made of, each after those it asks next.
def _lowest_first(bits: Bits, function: int) -> list[int]:
    found = {FALSE, TRUE}
    todo = [function]
    while todo:
        node = todo.pop()
        if node not in found:
            found.add(node)
            todo += (bits.low[node], bits.high[node])
    return sorted(found - {FALSE, TRUE}, key=lambda node: -bits.level[node])
