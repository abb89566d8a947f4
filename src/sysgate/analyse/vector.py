"""32-bit arithmetic on bits that are not known: a word as 32 nodes of a Forest, the lowest bit first."""

from __future__ import annotations

from sysgate.analyse.forest import FALSE, TRUE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.analyse.forest import Forest

    Vector = tuple[int, ...]

WIDTH = 32


def constant(value: int, width: int = WIDTH) -> Vector:
    """The word that is always value."""
    return tuple([TRUE if value >> bit & 1 else FALSE for bit in range(width)])


def known(word: Vector) -> int | None:
    """The value of a word whose bits are all known; else None."""
    value = 0
    for bit, node in enumerate(word):
        if node > TRUE:
            return None
        value |= node << bit
    return value


def equal(forest: Forest, a: Vector, b: Vector) -> int:
    """Where a == b, as a set."""
    found = TRUE
    # From the last variable to the first, so that each step only puts a node on top.
    for left, right in zip(a, b):
        same = forest.ite(left, right, forest.negated(right))
        found = forest.both(same, found)
    return found


def above(forest: Forest, a: Vector, b: Vector) -> int:
    """Where a > b, unsigned, as a set."""
    found = FALSE
    for left, right in zip(a, b):
        found = forest.ite(left, forest.ite(right, found, TRUE), forest.ite(right, FALSE, found))
    return found


def shares(forest: Forest, a: Vector, b: Vector) -> int:
    """Where a & b is not 0, as a set."""
    found = FALSE
    for left, right in zip(a, b):
        found = forest.either(forest.both(left, right), found)
    return found


def ands(forest: Forest, a: Vector, b: Vector) -> Vector:
    return tuple([forest.both(left, right) for left, right in zip(a, b)])


def ors(forest: Forest, a: Vector, b: Vector) -> Vector:
    return tuple([forest.either(left, right) for left, right in zip(a, b)])


def xors(forest: Forest, a: Vector, b: Vector) -> Vector:
    return tuple([_xor(forest, left, right) for left, right in zip(a, b)])


def plus(forest: Forest, a: Vector, b: Vector, carry: int = FALSE) -> Vector:
    """a + b + carry, modulo 2**width."""
    bits = []
    for left, right in zip(a, b):
        one = _xor(forest, left, right)
        bits.append(_xor(forest, one, carry))
        carry = forest.ite(one, carry, left)
    return tuple(bits)


def minus(forest: Forest, a: Vector, b: Vector) -> Vector:
    """a - b, modulo 2**width."""
    return plus(forest, a, tuple([forest.negated(bit) for bit in b]), TRUE)


def times(forest: Forest, a: Vector, b: Vector) -> Vector:
    """a × b, modulo 2**width."""
    total = constant(0, len(a))
    for bit, factor in enumerate(b):
        if factor != FALSE:
            total = plus(forest, total, tuple([forest.both(factor, part) for part in shifted(a, bit)]))
    return total


def divided(forest: Forest, a: Vector, b: Vector) -> Vector:
    """a ÷ b, unsigned and rounded down, where b is not 0."""
    value = known(b)
    if value is not None and value & (value - 1) == 0:
        return shifted(a, 1 - value.bit_length())
    # School division: bring bits down from the top, subtract where it goes. One bit more holds what is brought down.
    width = len(a)
    divisor = (*b, FALSE)
    rest: Vector = constant(0, width + 1)
    quotient = [FALSE] * width
    for bit in reversed(range(width)):
        rest = (a[bit], *rest[:width])
        fits = forest.negated(above(forest, divisor, rest))
        less = minus(forest, rest, divisor)
        rest = tuple([forest.ite(fits, new, old) for new, old in zip(less, rest)])
        quotient[bit] = fits
    return tuple(quotient)


def shifted(a: Vector, left: int) -> Vector:
    """a << left, or a >> -left; less than the width."""
    zeros = (FALSE,) * abs(left)
    return (*zeros, *a[: len(a) - left]) if left >= 0 else (*a[-left:], *zeros)


def shifted_by(forest: Forest, a: Vector, by: Vector, *, left: bool) -> Vector:
    """a shifted by the low five bits of a word."""
    for bit in range(5):
        moved = shifted(a, 1 << bit if left else -(1 << bit))
        a = tuple([forest.ite(by[bit], new, old) for new, old in zip(moved, a)])
    return a


def _xor(forest: Forest, a: int, b: int) -> int:
    return forest.ite(a, forest.negated(b), b)
