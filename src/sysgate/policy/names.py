"""The words of statements against what Linux knows: calls, arguments, constants, groups, and the file's own lets.

Still without architecture: a name is right here if it means something on one of the architectures that a statement
is for. What one of them lacks is an error only where that one is compiled (see resolve).
"""

from __future__ import annotations

from sysgate.action import MAX_ERRNO
from sysgate.facts import calls, constants
from sysgate.policy import ast
from sysgate.policy.known import (
    arguments,
    elsewhere,
    has_argument,
    known_call,
    known_constant,
    order,
    plain_value,
)
from sysgate.policy.lexer import MAX_ERRORS
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.errors import PolicyError
    from sysgate.policy.lexer import Source

_errnos: set[ast.Const] = set()  # found good

REGISTERS = ("reg0", "reg1", "reg2", "reg3", "reg4", "reg5")


MAX_EXPANDED = 1_000_000  # constants that the lets of a file stand for, wherever they are used
MAX_LET_SIZE = 100_000
MAX_LET_DEPTH = 32  # of signs in signs, lets put in; half of what parentheses may be, so that it can be printed


class TooMany(Exception):
    """A text has more mistakes than anyone will read, and looking for the rest takes time."""


class Let(Value):
    """A name of a file's own. value: without names of its kind; None where the line has a mistake.

    size: how many constants that are, written out. file, line: where it stands.
    """

    value: ast.Const | tuple[ast.Item, ...] | None
    size: int
    file: str
    line: int


class Names:
    """What names mean at one point of a file. lets: grow as the file goes on. errors: of the statements asked about.

    lenient: an include or a let failed, so that a name nobody knows may be one of theirs.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.lets: dict[str, Let] = {}
        self.lenient = False
        self.errors: list[PolicyError] = []
        self.expanded = 0
        self._said: set[tuple[int, str]] = set()
        self._used: dict[str, int] = {}  # arguments of the rule at hand, and where they stand

    def fail(self, message: str, at: int, until: int | None = None, hint: str = "") -> None:
        if (at, message) in self._said:
            return  # the word stands in the statement once more
        self._said.add((at, message))
        self.errors.append(self.source.error(message, at, until, hint))
        if len(self.errors) >= MAX_ERRORS:
            raise TooMany

    # ---- lets

    def let(self, statement: ast.Let) -> None:
        """Make a name known from here on."""
        name, at = statement.name, statement.at + 1
        before = self.lets.get(name)
        if before:
            self.fail(f"{name} is defined already, in {before.file}:{before.line}", at)
            return
        if known_constant(name):
            self.fail(f"{name} is a constant of the kernel's; a let cannot take its name", at)
            return
        value = statement.value
        if isinstance(value, tuple):
            value = self.items(value, statement.at)
        elif value is not None:
            value = self.const(value, statement.at + 2)
        self.lets[name] = self.bounded(name, value, at)

    def bounded(self, name: str, value: ast.Const | tuple[ast.Item, ...] | None, at: int) -> Let:
        known: dict[int, tuple[int, int]] = {}
        consts = [value] if not isinstance(value, tuple) else [end for item in value for end in item]
        size = sum(_measured(const, known)[0] for const in consts if const is not None)
        if size > MAX_LET_SIZE:
            self.fail(f"{name} stands for more than {MAX_LET_SIZE} constants", at)
            value, size = None, 0
        return Let(value, size, self.source.name, self.source.line_of(at))

    # ---- constants

    def const(self, written: ast.Const, at: int) -> ast.Const:
        """A constant with lets put in; its names stand somewhere from word `at` on."""
        if isinstance(written, int):
            return written
        made = self.put_in(written, at)
        if self.lets and not isinstance(made, (int, str)) and _measured(made, {})[1] > MAX_LET_DEPTH:
            self.fail(f"signs stand in signs more than {MAX_LET_DEPTH} deep here, lets put in", at)
            return 0
        return made

    def put_in(self, written: ast.Const, at: int) -> ast.Const:
        if isinstance(written, int):
            return written
        if isinstance(written, str):
            return self.constant_name(written, at)
        if isinstance(written, ast.Union):
            parts: list[ast.Const] = []
            for part in written.parts:
                known = self.put_in(part, at)
                if isinstance(known, ast.Union):
                    parts += known.parts
                else:
                    parts.append(known)
            return ast.Union(tuple(parts))
        inner = self.put_in(written.inner, at)
        if isinstance(written, ast.Complement):
            return ast.Complement(inner)
        return -inner if isinstance(inner, int) else ast.Minus(inner)

    def constant_name(self, name: str, at: int) -> ast.Const:
        known = self.lets.get(name)
        if known is None:
            if not known_constant(name) and not self.lenient:
                here = self.words_from(name, at)
                hint = self.source.near(name, lambda: (*self.lets, *constants.spellings()))
                self.fail(f"unknown constant {name}", here, hint=hint or "`sysgate syscalls CALL` lists what it takes")
            return name
        if isinstance(known.value, tuple):
            self.fail(f"{name} is a set, and stands here for a constant", self.words_from(name, at), hint=f"in {name}")
            return name
        if known.value is None:
            return name
        self.expand(known.size, at)
        return known.value

    def expand(self, count: int, at: int) -> None:
        """Lets in lets can stand for more constants than memory holds."""
        self.expanded += count
        if self.expanded > MAX_EXPANDED:
            self.fail(f"the lets of this file stand for more than {MAX_EXPANDED} constants", at)
            raise TooMany

    def words_from(self, word: str, at: int) -> int:
        """Where a word of a statement stands, at or after `at`."""
        return self.source.words.index(word, at)

    def items(self, written: tuple[ast.Item, ...], at: int) -> tuple[ast.Item, ...]:
        found: list[ast.Item] = []
        for low, high in written:
            first = self.const(low, at)
            last = None if high is None else self.const(high, at)
            if last is not None:
                self.range(first, last, at)
            found.append((first, last))
        return tuple(found)

    def range(self, low: ast.Const, high: ast.Const, at: int) -> None:
        """A range of names that is empty wherever both are known. (Numbers were compared by the parser.)"""
        if isinstance(low, int) and isinstance(high, int):
            if high < low:  # lets
                self.fail("this range ends below its start", at)
            return
        for arch in order():
            first, last = plain_value(low, arch), plain_value(high, arch)
            if first is not None and last is not None:
                if last < first:
                    here = self.words_from(low, at) if isinstance(low, str) else at
                    self.fail(f"this range ends below its start: {first}..{last}", here)
                return

    # ---- rules

    def rule(self, rule: ast.Rule, arches: tuple[str, ...] | None) -> ast.Body:
        """The rule's body with lets put in. arches: of its section; None outside, NOWHERE where that is not known."""
        self._used = {}
        body = self.body(rule.body)
        for head in rule.heads:
            if isinstance(head, ast.Name):
                self.call(head, arches)
            elif isinstance(head, ast.Group):
                self.group(head, arches)
            else:
                self.numbers(head)
        return body

    def body(self, body: ast.Body) -> ast.Body:
        """A body with lets put in; the same object where it has none."""
        if body is ast.ALLOWED or body is ast.REFUSED:
            return body
        cases = tuple([(self.expr(expr), self.answer(answer)) for expr, answer in body.cases])
        otherwise = body.otherwise and self.answer(body.otherwise)
        same = otherwise is body.otherwise and all(
            one[0] is other[0] and one[1] is other[1] for one, other in zip(cases, body.cases)
        )
        return body if same else ast.Body(cases, otherwise)

    def answer(self, answer: ast.Answer) -> ast.Answer:
        """An action with lets put in; an errno that no architecture has is an error."""
        if answer.kind != "errno":
            return answer
        data = self.const(answer.data, answer.at + 2)
        if _has_complement(data):
            self.fail(f"`~` has no width here: an errno is a number from 0 to {MAX_ERRNO}", answer.at + 2)
        elif data not in _errnos:
            value = next((value for value in (plain_value(data, arch) for arch in order()) if value is not None), 0)
            if not 0 <= value <= MAX_ERRNO:
                self.fail(f"an errno is a number from 0 to {MAX_ERRNO}, not {value}", answer.at + 2)
            else:
                _errnos.add(data)
        return answer if data is answer.data else ast.Answer(answer.kind, data, answer.at)

    def expr(self, expr: ast.Expr) -> ast.Expr:
        """A test with lets put in; the same object where it has none."""
        if isinstance(expr, ast.Compare):
            self._used.setdefault(expr.name, expr.at + (expr.mask is not None))
            value = expr.value if type(expr.value) is int else self.const(expr.value, expr.at)
            mask = expr.mask if expr.mask is None else self.const(expr.mask, expr.at)
            if value is expr.value and mask is expr.mask:
                return expr
            return ast.Compare(expr.name, mask, expr.op, value, expr.at)
        if isinstance(expr, (ast.Any, ast.All)):
            parts: list[ast.Expr] = []
            same = True
            for part in expr.parts:
                known = self.expr(part)
                same = same and known is part
                parts.append(known)
            return expr if same else type(expr)(tuple(parts))
        if isinstance(expr, ast.Not):
            inner = self.expr(expr.inner)
            return expr if inner is expr.inner else ast.Not(inner)
        if isinstance(expr, ast.Among):
            self._used.setdefault(expr.name, expr.at + (expr.mask is not None))
            mask = expr.mask if expr.mask is None else self.const(expr.mask, expr.at)
            return ast.Among(expr.name, mask, self.set(expr), expr.at)
        if isinstance(expr, ast.Shares):
            self._used.setdefault(expr.name, expr.at)
            mask = self.const(expr.mask, expr.at)
            return expr if mask is expr.mask else ast.Shares(expr.name, mask, expr.at)
        return expr

    def set(self, expr: ast.Among) -> tuple[ast.Item, ...]:
        if not isinstance(expr.items, str):
            return self.items(expr.items, expr.at)
        name = expr.items
        known = self.lets.get(name)
        if known and isinstance(known.value, tuple):
            self.expand(known.size, expr.at)
            return known.value
        if known or known_constant(name):
            return ((self.constant_name(name, expr.at), None),)
        if not self.lenient:
            hint = self.source.near(name, lambda: self.lets)
            self.fail(
                f"unknown set {name}", self.words_from(name, expr.at), hint=hint or f"let {name} = {{…}} defines one"
            )
        return ((0, None),)

    # ---- heads

    def call(self, head: ast.Name, arches: tuple[str, ...] | None) -> None:
        name = head.name
        if not known_call(name):
            from sysgate.policy import slips

            hint = slips.call(name) or self.source.near(name, calls.spellings)
            self.fail(f"unknown call {name}", head.at, hint=hint or "`sysgate syscalls` lists them")
            return
        if arches == ast.NOWHERE:
            return
        if arches and len(arches) == 1 and calls.resolve(arches[0], name) is None and not calls.gone(name):
            self.fail(f"{arches[0]} has no call {name}", head.at, hint=elsewhere(name))
            return
        for argument, at in self._used.items():
            if argument not in REGISTERS and not has_argument(name, argument, arches):
                self.unknown_argument(name, argument, at, arches)

    def unknown_argument(self, name: str, argument: str, at: int, arches: tuple[str, ...] | None) -> None:
        known = arguments(name, arches)
        if known is None:
            self.fail(f"the arguments of {name} are not known", at, hint="reg0 … reg5 name its registers")
            return
        listed = f"{name} has {', '.join(known)}" if known else f"{name} takes none"
        from sysgate.policy import slips

        near = slips.argument(argument, known) or self.source.near(argument, lambda: known)
        self.fail(f"{name} has no argument {argument}", at, hint=f"{near} ({listed})" if near else listed)

    def group(self, head: ast.Group, arches: tuple[str, ...] | None) -> None:
        from sysgate.facts import groups  # most policies name none

        members = groups.members(head.name)
        if members is None:
            from sysgate.policy import slips

            hint = slips.ready(head.name) or self.source.near(head.name, lambda: groups.NAMES)
            self.fail(
                f"unknown group {head.name}",
                head.at,
                head.at + 2 * len(head.name.split("-")),
                hint or "`sysgate syscalls @` lists them",
            )
            return
        for argument, at in self._used.items():
            if argument in REGISTERS:
                continue
            lacking = [name for name in members if not has_argument(name, argument, arches)]
            if lacking:
                shown = ", ".join(lacking[:3]) + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
                verb = "lacks" if len(lacking) == 1 else "lack"
                self.fail(f"not every call of {head.name} has an argument {argument}", at, hint=f"{shown} {verb} it")

    def numbers(self, head: ast.Numbers) -> None:
        for argument, at in self._used.items():
            if argument not in REGISTERS:
                self.fail(f"a call by number has no argument {argument}", at, hint="reg0 … reg5 name its registers")


def _has_complement(const: ast.Const) -> bool:
    if isinstance(const, ast.Union):
        return any(map(_has_complement, const.parts))
    return isinstance(const, ast.Complement) or (isinstance(const, ast.Minus) and _has_complement(const.inner))


def _measured(const: ast.Const, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many constants and signs it holds when written out, and how deep signs stand in signs.

    known: what was measured, by identity: lets of lets share their parts.
    """
    if isinstance(const, (int, str)):
        return 1, 0
    if id(const) not in known:
        if isinstance(const, ast.Union):
            parts = [_measured(part, known) for part in const.parts]
            known[id(const)] = sum(size for size, _ in parts), max(depth for _, depth in parts)
        else:
            size, depth = _measured(const.inner, known)
            known[id(const)] = size + 1, depth + 1
    return known[id(const)]
