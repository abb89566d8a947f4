"""Policies and their parts as text, in the one form that `fmt` and `str()` print.

What is printed reads back as the same tree: parentheses stand where the grammar asks for them, and around a negated
test. Numbers are spelled as written where the text is at hand, else decimal up to 65535 and hexadecimal above.
"""

from __future__ import annotations

from sysgate.facts.arches import ARCHES
from sysgate.policy import ast
from sysgate.policy.lexer import number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

WIDTH = 100
INDENT = "    "
_KINDS = {"kill_process": "kill"}
# The other ABIs of some machine: to name one in a section adds it to that machine's native set.
SECONDARY = ("x32", "i386", "arm", "mips64el_n32", "mipsel")


def text(policy: ast.Policy) -> str:
    """The policy's canonical text: flat, without include and let; equal for equal policies, and parsed to them."""
    from sysgate.policy.flat import flat

    policy = flat(policy)
    if policy.dialect == "ftrace":
        policy = _one_head_a_line(policy)
    lines: list[str] = []
    side, deny = policy.sides[0], policy.scopes[0].deny
    if side.since:
        lines.append(f"since: {version(side.since)}")
    default = side.default
    lines += _directives(default.get(None), deny.get(None))
    section: tuple[str, ...] | None = None
    told: set[str] = set()
    by_lines: dict[tuple[str, ...], list[str]] = {}
    for arch in ARCHES:
        said = tuple(_directives(default.get(arch), deny.get(arch)))
        if said:
            by_lines.setdefault(said, []).append(arch)
    # No section names all architectures and is yet another than the neutral one: the first stands alone.
    by_arches = [(tuple(where[part]), said) for said, where in by_lines.items() for part in _parts(len(where))]
    spoken = Printer()
    groups: list[tuple[tuple[str, ...] | None, Sequence[str]]] = [*by_arches]
    groups += [(rule.arches, spoken.rule(rule.heads, rule.body).splitlines()) for rule in policy.rules]
    for where, printed in groups:
        if where != section:
            header = "[all]" if where is None else _section(where, policy.named)
            lines += ["", header] if lines else [header]
            section = where
            if where and not header.startswith("[not"):
                told.update(where)
        lines += printed
    silent = tuple([arch for arch in policy.named if arch in SECONDARY and arch not in told])
    if silent:
        lines += ["", f"[{', '.join(silent)}]"] if lines else [f"[{', '.join(silent)}]"]
    return "".join(f"{line}\n" for line in lines)


def _one_head_a_line(policy: ast.Policy) -> ast.Policy:
    """As lines of dialect "ftrace" have it."""
    rules = [
        ast.Placed((head,), rule.body, rule.arches, rule.scope, rule.source, rule.at, rule.end)
        for rule in policy.rules
        for head in rule.heads
    ]
    return ast.Policy(policy.sides, policy.scopes, tuple(rules), policy.named, policy.dialect)


def _parts(count: int) -> tuple[slice, ...]:
    return (slice(1), slice(1, None)) if count == len(ARCHES) else (slice(None),)


def _directives(default: ast.Line | None, deny: ast.Line | None) -> list[str]:
    said = [f"default: {Printer().action(default.answer)}"] if default else []
    return said + ([f"deny: {Printer().action(deny.answer)}"] if deny else [])


def _section(arches: tuple[str, ...], named: tuple[str, ...]) -> str:
    """A header that names no architecture which would join a native set by it."""
    if all(arch in named or arch not in SECONDARY for arch in arches):
        return f"[{', '.join(arches)}]"
    return f"[not {', '.join(arch for arch in ARCHES if arch not in arches)}]"


def version(since: tuple[int, ...]) -> str:
    """A kernel release as text."""
    return ".".join(map(str, since))


class Printer:
    """Prints parts of statements. spelled: the numbers of the statement as written, in order."""

    def __init__(self, spelled: Iterable[str] = ()) -> None:
        self.spelled = [word for word in spelled if word[0].isdigit()]
        self.next = 0
        self.margin: str | None = None  # how far in a set stands that is to be broken into lines

    # ---- statements

    def let(self, name: str, value: ast.Const | tuple[ast.Item, ...]) -> str:
        """A let; on several lines where it is a set too long for one."""
        if not isinstance(value, tuple):
            return f"let {name} = {self.const(value)}"
        return self.fitted(lambda: f"let {name} = {self.set(value)}", "")

    def rule(self, heads: Sequence[ast.Head], body: ast.Body) -> str:
        """A rule; on several lines where a block or a set in it is too long for one."""
        if plain(body):
            return self.fitted(lambda: f"{self.heads(heads)}: {self.plain(body)}", "")
        began = self.next
        start = f"{self.heads(heads)}:"
        line = f"{start} {{ {'; '.join(self.cases(body))} }}"
        if len(line) <= WIDTH:
            return line
        self.next = began
        start = f"{self.heads(heads)}:"
        cases = self.cases(body, INDENT)
        return "\n".join([f"{start} {{", *(f"{INDENT}{case};" for case in cases[:-1]), f"{INDENT}{cases[-1]}", "}"])

    def fitted(self, printed: Callable[[], str], margin: str) -> str:
        """A line, its sets broken into several where it would be too long, further in than margin."""
        began = self.next
        line = printed()
        if len(margin) + len(line) <= WIDTH or "{" not in line:
            return line
        self.next, self.margin = began, margin
        line = printed()
        self.margin = None
        return line

    def plain(self, body: ast.Body) -> str:
        # In the order of the text, so that each number finds its own spelling.
        printed = self.expr(body.cases[0][0])
        return f"{printed} else {self.action(body.otherwise)}" if body.otherwise else printed

    def heads(self, heads: Sequence[ast.Head]) -> str:
        return ", ".join([self.head(head) for head in heads])

    def head(self, head: ast.Head) -> str:
        if not isinstance(head, ast.Numbers):
            return head.name
        low = self.number(head.low)
        return low if head.high == head.low else f"{low}..{self.number(head.high)}"

    def cases(self, body: ast.Body, margin: str | None = None) -> list[str]:
        """The cases of a block, its `else` last; with a margin, sets broken where a line would be too long."""
        printed: list[str] = []
        for case in body.cases:
            printed.append(self.case(case) if margin is None else self.fitted_case(case, margin))
        if body.otherwise:
            printed.append(f"else {self.action(body.otherwise)}")
        return printed

    def fitted_case(self, case: tuple[ast.Expr, ast.Answer], margin: str) -> str:
        return self.fitted(lambda: self.case(case), margin)

    def case(self, case: tuple[ast.Expr, ast.Answer]) -> str:
        return f"{self.expr(case[0])} -> {self.action(case[1])}"

    def action(self, answer: ast.Answer) -> str:
        kind = _KINDS.get(answer.kind, answer.kind)
        if answer.kind == "errno":
            return f"errno({self.atom(answer.data)})"
        return f"{kind}({self.atom(answer.data)})" if answer.data else kind

    # ---- tests

    def expr(self, expr: ast.Expr) -> str:
        if isinstance(expr, ast.Any):
            return " || ".join([self.expr(part) for part in expr.parts])
        if isinstance(expr, ast.All):
            return " && ".join([self.inside(part, isinstance(part, ast.Any)) for part in expr.parts])
        if isinstance(expr, ast.Not):
            return "!" + self.inside(expr.inner, not isinstance(expr.inner, ast.Always))
        if isinstance(expr, ast.Always):
            return self.number(int(expr.holds))
        if isinstance(expr, ast.Shares):
            return f"{expr.name} & {self.atom(expr.mask)}"
        if isinstance(expr, ast.Raw):
            return expr.text
        left = expr.name if expr.mask is None else f"({expr.name} & {self.atom(expr.mask)})"
        if isinstance(expr, ast.Compare):
            return f"{left} {expr.op} {self.atom(expr.value)}"
        return f"{left} in {expr.items if isinstance(expr.items, str) else self.set(expr.items)}"

    def inside(self, expr: ast.Expr, parenthesis: bool) -> str:
        if not parenthesis:
            return self.expr(expr)
        # ( ) closes on its line
        margin, self.margin = self.margin, None
        printed = f"({self.expr(expr)})"
        self.margin = margin
        return printed

    # ---- constants

    def set(self, items: Sequence[ast.Item]) -> str:
        printed = [self.item(item) for item in items]
        if self.margin is None or len(printed) < 4:
            return f"{{{', '.join(printed)}}}"
        inner = self.margin + INDENT
        lines = [inner + printed[0]]
        for item in printed[1:]:
            if len(lines[-1]) + len(item) + 3 > WIDTH:
                lines[-1] += ","
                lines.append(inner + item)
            else:
                lines[-1] += f", {item}"
        return "\n".join(["{", *lines, f"{self.margin}}}"])

    def item(self, item: ast.Item) -> str:
        low = self.const(item[0])
        return low if item[1] is None else f"{low}..{self.const(item[1])}"

    def const(self, const: ast.Const) -> str:
        """A constant where `|` needs no parentheses."""
        if isinstance(const, ast.Union):
            return " | ".join([self.atom(part) for part in const.parts])
        return self.atom(const)

    def atom(self, const: ast.Const) -> str:
        if isinstance(const, int):
            return f"-{self.number(-const)}" if const < 0 else self.number(const)
        if isinstance(const, str):
            return const
        if isinstance(const, ast.Union):
            return f"({self.const(const)})"
        sign = "-" if isinstance(const, ast.Minus) else "~"
        inner = const.inner
        printed = self.const(inner)
        signed = isinstance(inner, (ast.Minus, ast.Complement, ast.Union)) or (isinstance(inner, int) and inner < 0)
        return f"{sign}({printed})" if signed else sign + printed

    def number(self, value: int) -> str:
        for at in range(self.next, len(self.spelled)):
            if number(self.spelled[at]) == value:
                self.next = at + 1
                return self.spelled[at]
        return str(value) if value <= 0xFFFF else hex(value)


def plain(body: ast.Body) -> bool:
    """Whether a body is one test, with or without `else`, and no block."""
    return len(body.cases) == 1 and body.cases[0][1].kind == "allow"
