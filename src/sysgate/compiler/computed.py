"""Registers made of two others, args[i] & args[j] and args[i] ^ args[j], numbered behind the six that a call has.

Each has a low and a high half like any other, the words from COMPUTED on, and diagrams take them for words like any
other. Only what loads them into the accumulator is longer:

    ld first;  tax;  ld second;  and x;  …          a test for zero alone:   ld first;  tax;  ld second;  jset x, …
"""

from __future__ import annotations

from sysgate.compiler.diagram import COMPUTED, FULL
from sysgate.compiler.steps import AND_X, JEQ_X, JGE, JSET_X, LD, TAX, XOR_X

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.compiler.code import Coder

AND, XOR = 0, 1
_REGISTERS = 6
_PAIRS = [(first, second) for second in range(_REGISTERS) for first in range(second)]


def register(operation: int, first: int, second: int) -> int:
    """The register that has both; first < second."""
    return _REGISTERS + operation * len(_PAIRS) + _PAIRS.index((first, second))


def operands(word: int) -> tuple[int, int, int]:
    """What a computed word is made of: the operation, and the two words."""
    made, high = divmod(word - COMPUTED, 2)
    operation, pair = divmod(made, len(_PAIRS))
    first, second = _PAIRS[pair]
    return operation, 4 + 2 * first + high, 4 + 2 * second + high


def load(coder: Coder, index: int, body: int, shares: Sequence[float]) -> tuple[int, int]:
    """The first of the steps that compute a node's word and go on to its body, and how many more than the body's."""
    steps = coder.steps
    word, mask, cuts, _ = coder.diagram.nodes[index]
    operation, first, second = operands(word)
    code, _, some, none = steps.all[body]
    more = 3
    if mask == FULL and cuts == (1,) and code == JGE:
        if operation == AND:
            step = steps.add(JSET_X, 0, some, none)
            steps.weigh(step, shares[1], shares[0])
        else:
            step = steps.add(JEQ_X, 0, none, some)
            steps.weigh(step, shares[0], shares[1])
    else:
        step = steps.add(AND_X if operation == AND else XOR_X, 0, body)
        more = 4
    step = steps.add(TAX, 0, steps.add(LD, coder.offset(second), step))
    return steps.add(LD, coder.offset(first), step), more
