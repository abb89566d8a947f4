"""What a policy says, before any architecture is asked: statements as written, and the policy they make.

Two storeys. A `File` is the statements of one text, names and includes as they stand (`fmt` prints it). A `Policy` is
what files mean together: lets put in, includes taken in, every rule with the deny that holds for it.
Places are word numbers in a `Source` (`at`); errors look them up.
"""

from __future__ import annotations

from sysgate.policy.lexer import Source
from sysgate.value import Value

# ---- constants: a number, a name, or one of these three


class Union(Value):
    """`A | B`."""

    parts: tuple[Const, ...]


class Minus(Value):
    """`-C`."""

    inner: Const


class Complement(Value):
    """`~C`: in as many bits as the argument has beside it."""

    inner: Const


Const = int | str | Union | Minus | Complement
Item = tuple[Const, Const | None]  # a value, or the first and last of a range


# ---- expressions


class Always(Value):
    """`1`, or `0` where it does not hold."""

    holds: bool


ALWAYS, NEVER = Always(True), Always(False)


class Shares(Value):
    """`NAME & C`."""

    name: str
    mask: Const
    at: int


class Compare(Value):
    """`NAME op C`, or `(NAME & mask) op C`."""

    name: str
    mask: Const | None
    op: str
    value: Const
    at: int


class Among(Value):
    """`NAME in {…}`, or `(NAME & mask) in {…}`. items: in a File the name of a set may stand for them."""

    name: str
    mask: Const | None
    items: tuple[Item, ...] | str
    at: int


class Not(Value):
    inner: Expr


class All(Value):
    parts: tuple[Expr, ...]


class Any(Value):
    parts: tuple[Expr, ...]


class Raw(Value):
    """A filter of the kernel's own language, over raw registers (dialect "ftrace"). text: as written."""

    text: str
    at: int


Expr = Always | Shares | Compare | Among | Not | All | Any | Raw


# ---- rules


class Answer(Value):
    """An action as written. kind: as in `Action`; data: of errno, trap and trace."""

    kind: str
    data: Const
    at: int


ALLOW = Answer("allow", 0, 0)  # of a test that holds


class Body(Value):
    """cases: the first that holds answers. otherwise: the `else`; None where there is none."""

    cases: tuple[tuple[Expr, Answer], ...]
    otherwise: Answer | None


ALLOWED, REFUSED = Body(((ALWAYS, ALLOW),), None), Body(((NEVER, ALLOW),), None)


class Name(Value):
    """A call by a name."""

    name: str
    at: int


class Group(Value):
    """A group of calls. name: with its @."""

    name: str
    at: int


class Numbers(Value):
    """Calls by number, low … high, both in."""

    low: int
    high: int
    at: int


Head = Name | Group | Numbers


# ---- statements of a file


class Statement(Value):
    """at, end: its first word, and the one after its last."""

    at: int
    end: int


class Include(Statement):
    path: str


class Since(Statement):
    version: tuple[int, ...]


class Default(Statement):
    answer: Answer


class Deny(Statement):
    answer: Answer


class Let(Statement):
    """value: a constant, or the items of a set; None for one with a mistake."""

    name: str
    value: Const | tuple[Item, ...] | None


class NextSyscall(Statement):
    """`on_next_syscall: 1`, of 2011."""


class Section(Statement):
    """`[…]`. arches: canonical names; empty for `[all]`; `NOWHERE` for one with a mistake. excluding: of `[not …]`."""

    arches: tuple[str, ...]
    excluding: tuple[str, ...] = ()


class Rule(Statement):
    heads: tuple[Head, ...]
    body: Body


class File(Value):
    """One text's statements, in order."""

    source: Source
    statements: tuple[Statement, ...]


NOWHERE = ("",)

# ---- the policy


class Line(Value):
    """A directive in force: what it says and where it stands."""

    answer: Answer
    source: Source
    at: int
    end: int


class Side(Value):
    """One of the policies that must all allow. `A & B` and an included policy make several.

    since: None without. default: by architecture, None for the neutral one. end: how many of the policy's rules stand
    before its end, where its answer to calls without a rule counts among the rules of other sides.
    """

    since: tuple[int, ...] | None
    default: dict[str | None, Line]
    end: int


class Scope(Value):
    """What the rules of one file share. side: its index. deny: by architecture, None for the neutral one.

    outer: the scope whose deny holds where this one has none; None where that is the refusal.
    """

    side: int
    deny: dict[str | None, Line]
    outer: int | None


class Placed(Value):
    """A rule in force: what is written, and where it holds.

    arches: None for all. scope: its index. at, end: in source.
    """

    heads: tuple[Head, ...]
    body: Body
    arches: tuple[str, ...] | None
    scope: int
    source: Source
    at: int
    end: int


class Policy(Value):
    """A parsed policy, still without architecture. Equal to another when the rules are.

    named: the architectures that sections name, in table order. dialect: "sysgate" or "ftrace".
    """

    sides: tuple[Side, ...]
    scopes: tuple[Scope, ...]
    rules: tuple[Placed, ...]
    named: tuple[str, ...]
    dialect: str

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Policy):
            return NotImplemented
        from sysgate.policy.printer import text

        return self.dialect == other.dialect and text(self) == text(other)

    def __hash__(self) -> int:
        from sysgate.policy.printer import text

        return hash(text(self))

    def __str__(self) -> str:
        from sysgate.policy.printer import text

        return text(self)
