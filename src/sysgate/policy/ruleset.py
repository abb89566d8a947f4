"""One architecture's view of a policy: numbers, constants and sections resolved, arguments still typed.

The meeting point of the house. `policy/resolve` makes it; `policy/meaning` evaluates it on integers,
`compiler/lower` turns it into tests of 32-bit words, `prove/spec` into sets. Typed truncation is written
in each of these three in its own terms, on purpose: nothing here does it for them.
"""

from __future__ import annotations

from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sysgate.action import Action
    from sysgate.decision import Origin


class Term(Value):
    """What a test looks at: a typed argument, or a raw register.

    name: as written. bits: how many low bits of the value the kernel uses (n); signed: how it reads them.
    regs: where it lies. One index: the n low bits of that 64-bit word. Two: a value split over two registers
    of a 32-bit ABI, the low 32 bits of each, the low half first. Raw registers: 64 bits, unsigned.
    mask: for `(arg & C)` the constant as an integer; the masked value is then unsigned, and a negative
    mask stands for its n bits, bits above n never match. None without a mask.
    """

    name: str
    bits: int
    signed: bool
    regs: tuple[int, ...]
    mask: int | None = None


class Compare(Value):
    """term op value. op: == != < <= > >=. value: the integer as written, not yet truncated.

    == and != : a value from -2**(n-1) to 2**n-1 stands for its n bits, one outside equals nothing.
    < <= > >= : compared as integers. n is term.bits.
    """

    term: Term
    op: str
    value: int


class Shares(Value):
    """`arg & C`: some bit set in both; bits of mask above n never match, a negative mask stands for its n bits."""

    term: Term
    mask: int


class Among(Value):
    """`in {…}`: items are (value, None), read as `==`, or (low, high), compared as integers, both ends in."""

    term: Term
    items: tuple[tuple[int, int | None], ...]


class Constant(Value):
    """`1` or `0`."""

    holds: bool


class Not(Value):
    inner: Expr


class All(Value):
    parts: tuple[Expr, ...]


class Any(Value):
    parts: tuple[Expr, ...]


Expr = Compare | Shares | Among | Constant | Not | All | Any


def atoms(expr: Expr) -> Iterator[Compare | Shares | Among]:
    """The single tests of an expression, from left to right."""
    todo = [expr]
    while todo:
        one = todo.pop()
        if isinstance(one, Not):
            todo.append(one.inner)
        elif isinstance(one, (All, Any)):
            todo += reversed(one.parts)
        elif not isinstance(one, Constant):
            yield one


class Bound(Value):
    """One rule as it holds on one architecture: the first case that holds answers, else `otherwise`.

    origin: its line; None where no line says it (an unwritten default, in a policy of several that must all allow).
    """

    cases: tuple[tuple[Expr, Action], ...]
    otherwise: Action
    origin: Origin | None


class Segment(Value):
    """The numbers low … high (both in, 32-bit) that have the very same rules.

    rules: every one is asked, in file order; the strictest answer wins, of equals the later.
    Empty: `answer` alone decides, and `origin` is the line it comes from (None if unwritten).
    """

    low: int
    high: int
    rules: tuple[Bound, ...]
    answer: Action
    origin: Origin | None


class Ruleset(Value):
    """What a policy says on one architecture.

    arch: its name. segments: sorted, without gap or overlap, 0 … 2**32-1.
    On x86_64 the x32 numbers are in it, with the answer they get where x32 is not compiled beside it;
    a Ruleset for x32 decides only the numbers with bit 30 set and bit 31 clear, all others are foreign.
    foreign: the answer to architectures that no ruleset of the program covers.
    """

    arch: str
    segments: tuple[Segment, ...]
    foreign: Action


class Gate(Value):
    """All that one program decides: by AUDIT_ARCH value the segments that hold there, and foreign for the rest.

    x86_64 and x32 share one AUDIT_ARCH and become one entry. Entries are in the order asked for.
    big_endian: the byte order shared by all its architectures.
    """

    entries: tuple[tuple[int, tuple[Segment, ...]], ...]
    foreign: Action
    big_endian: bool
