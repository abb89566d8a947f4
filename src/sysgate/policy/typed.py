"""A test as it is for one call on one architecture: arguments become terms, constants integers."""

from __future__ import annotations

from sysgate.errors import CompileError, PolicyError
from sysgate.facts import constants
from sysgate.facts.prototypes import prototype
from sysgate.policy import ast
from sysgate.policy import ruleset as rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.policy.lexer import Source

WORD_BITS = 64
# Where the arguments of a call lie in memory, the call that has them in registers.
_VISIBLE = {("mmap", "i386"): "mmap2", ("select", "i386"): "_newselect", ("mmap", "s390x"): ""}


class Missing(Exception):
    """An architecture lacks what a rule names: message and hint, and the word that names it."""

    def __init__(self, message: str, hint: str, word: str) -> None:
        super().__init__(message)
        self.message, self.hint, self.word = message, hint, word


class Unfit(Exception):
    """What is missing, and where: at a word, or from it to the end of the rule if whole."""

    def __init__(self, missing: Missing, at: int, *, whole: bool = False) -> None:
        super().__init__()
        self.missing, self.at, self.whole = missing, at, whole


class Typing:
    """Turns tests into those of one call on one architecture. call: None for a number. terms: all it looked at."""

    def __init__(self, arch: str, call: str | None, source: Source) -> None:
        self.arch, self.call, self.source = arch, call, source
        self.terms: list[rules.Term] = []

    def expr(self, expr: ast.Expr) -> rules.Expr:
        if isinstance(expr, ast.Always):
            return rules.Constant(expr.holds)
        if isinstance(expr, (ast.Any, ast.All)):
            parts: list[rules.Expr] = []
            for part in expr.parts:
                parts.append(self.expr(part))
            return rules.Any(tuple(parts)) if isinstance(expr, ast.Any) else rules.All(tuple(parts))
        if isinstance(expr, ast.Not):
            return rules.Not(self.expr(expr.inner))
        if isinstance(expr, ast.Raw):
            return self.raw(expr)
        try:
            return self.test(expr)
        except Missing as missing:
            raise Unfit(missing, expr.at) from None

    def raw(self, expr: ast.Raw) -> rules.Expr:
        from sysgate.policy import ftrace

        place = self.source.place(expr.at)
        assert self.call is not None  # the ftrace dialect has no numbers
        try:
            return ftrace.to_expr(
                ftrace.Filter(
                    self.call,
                    expr.text,
                    arch=self.arch,
                    file=self.source.name,
                    line=place.line,
                    column=place.column,
                    source=place.text,
                )
            )
        except PolicyError as error:
            raise Unfit(Missing(f"on {self.arch}: {error.message}", error.hint, ""), expr.at, whole=True) from None
        except CompileError as error:
            raise Unfit(Missing(str(error), "", ""), expr.at, whole=True) from None

    def test(self, expr: ast.Compare | ast.Among | ast.Shares) -> rules.Expr:
        term = self.term(expr.name)
        if isinstance(expr, ast.Shares):
            return rules.Shares(term, self.value(expr.mask, term))
        if expr.mask is not None:
            mask = self.value(expr.mask, term)
            term = rules.Term(term.name, term.bits, term.signed, term.regs, mask)
        if isinstance(expr, ast.Compare):
            value = self.value(expr.value, term)
            return rules.Compare(term, expr.op, self.as_masked(value, term, expr.op in ("==", "!=")))
        items: list[tuple[int, int | None]] = []
        assert not isinstance(expr.items, str)
        for low, high in expr.items:
            first = self.value(low, term)
            if high is None:
                items.append((self.as_masked(first, term, True), None))
                continue
            ends = self.as_masked(first, term, False), self.as_masked(self.value(high, term), term, False)
            if ends[1] < ends[0]:
                hint = (
                    f"beside a mask a negative constant stands for its {term.bits} bits"
                    if term.mask is not None
                    else ""
                )
                raise Missing(f"on {self.arch} this range ends below its start: {ends[0]}..{ends[1]}", hint, "..")
            items.append(ends)
        return rules.Among(term, tuple(items))

    def term(self, name: str) -> rules.Term:
        if len(name) == 4 and name[:3] == "reg" and name[3] in "012345":
            term = rules.Term(name, WORD_BITS, False, (int(name[3]),))
        else:
            term = self.argument(name)
        self.terms.append(term)
        return term

    def argument(self, name: str) -> rules.Term:
        call, arch = self.call, self.arch
        declared = prototype(call, arch) if call else None
        argument = declared.argument(name) if declared else None
        if argument is None:
            instead = _VISIBLE.get((call or "", arch))
            if instead:
                hint = f"{instead} has it in a register; rules for other architectures stand in a section"
            else:
                hint = "name the architectures that have it in a section, as in [x86_64]"
            raise Missing(f"on {arch} {call} has no argument {name}", hint, name)
        if not argument.regs:
            raise Missing(
                f"on {arch} a filter cannot see {call}'s {name}: it lies past the sixth register",
                "name the architectures where it can be seen in a section, as in [x86_64]",
                name,
            )
        return rules.Term(name, argument.bits, argument.signed, argument.regs)

    def value(self, const: ast.Const, term: rules.Term) -> int:
        return const if type(const) is int else value_of(const, self.arch, term.bits, term.signed)

    def as_masked(self, value: int, term: rules.Term, equality: bool) -> int:
        """A masked value is unsigned, and a negative constant beside it stands for its n bits.

        In an equality one below -2**(n-1) equals nothing, as without a mask.
        """
        if term.mask is None or value >= 0 or (equality and value < -(1 << (term.bits - 1))):
            return value
        return value & ((1 << term.bits) - 1)


def value_of(const: ast.Const, arch: str, bits: int, signed: bool) -> int:
    """A constant beside an argument of so many bits. Raises Missing where the architecture lacks it."""
    if isinstance(const, int):
        return const
    if isinstance(const, str):
        found = constants.value(const, arch)
        if found is None:
            raise Missing(f"{arch} has no {const}", "name the architectures that have it in a section", const)
        return found
    if isinstance(const, ast.Union):
        total = 0
        for part in const.parts:
            total |= value_of(part, arch, bits, signed)
        return total
    inner = value_of(const.inner, arch, bits, signed)
    if isinstance(const, ast.Minus):
        return -inner
    flipped = ~inner & ((1 << bits) - 1)
    return flipped - (1 << bits) if signed and flipped >> (bits - 1) else flipped
