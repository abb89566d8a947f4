"""The space of system calls, bit by bit: which variable of a Forest is which bit of a call.

The number first, from its highest bit down; then the registers. Usually one register after the other, which suits
programs that look at one word at a time. Where a program sets two registers against each other (`args[0] & args[1]`)
that would need a node for every value of the first: there the registers go bit by bit, the highest bits of all first.

The architecture is no variable: a diagram is made for one at a time.
"""

from __future__ import annotations

from sysgate.analyse.forest import LEAF, Forest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sysgate.analyse.vector import Vector

NUMBER_BITS = 32
POINTER = 6
"""The register that stands for the instruction pointer; 0 … 5 are the arguments."""

_REGISTERS = 7
_BITS = 64


class Space(Forest):
    """A Forest whose variables are a call's bits. braided: the registers go bit by bit."""

    def __init__(self, *, braided: bool = False, budget: int = 1_000_000) -> None:
        super().__init__(budget)
        self.braided = braided

    def variable_of(self, register: int, bit: int) -> int:
        """The variable of a register's bit; 0 is the lowest bit."""
        turn = _BITS - 1 - bit
        return NUMBER_BITS + (turn * _REGISTERS + register if self.braided else register * _BITS + turn)

    def place(self, variable: int) -> tuple[int, int]:
        """Register and bit of a variable that is not of the number."""
        at = variable - NUMBER_BITS
        if self.braided:
            return at % _REGISTERS, _BITS - 1 - at // _REGISTERS
        return at // _BITS, _BITS - 1 - at % _BITS

    def block(self, variable: int) -> int:
        """Which stretch of variables belongs together: a register, or braided the bits of one value."""
        return (variable - NUMBER_BITS) // (_REGISTERS if self.braided else _BITS)

    def copied(self, node: int, into: Space) -> int:
        """The same function of the arguments in another space. Raises Overgrown where it is too large there."""
        done: dict[int, int] = {}

        def walk(node: int) -> int:
            if node not in done:
                variable = self.variable[node]
                if variable == LEAF:
                    done[node] = into.leaf(self.value(node))
                else:
                    test = into.node(into.variable_of(*self.place(variable)), 0, 1)
                    done[node] = into.ite(test, walk(self.high[node]), walk(self.low[node]))
            return done[node]

        return walk(node)

    def number(self) -> Vector:
        """The call number as a word."""
        return tuple([self.node(NUMBER_BITS - 1 - bit, 0, 1) for bit in range(NUMBER_BITS)])

    def register(self, register: int, low: int = 0, width: int = _BITS) -> Vector:
        """Bits low … low + width - 1 of a register as a word."""
        return tuple([self.node(self.variable_of(register, bit), 0, 1) for bit in range(low, low + width)])

    def call(self, bits: Mapping[int, int]) -> tuple[int, tuple[int, ...], int]:
        """The number, the six arguments and the instruction pointer in which the given bits are set; others are 0."""
        nr, words = 0, [0] * _REGISTERS
        for at, value in bits.items():
            if at < NUMBER_BITS:
                nr |= value << NUMBER_BITS - 1 - at
            else:
                register, bit = self.place(at)
                words[register] |= value << bit
        return nr, tuple(words[:POINTER]), words[POINTER]
