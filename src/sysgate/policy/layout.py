"""One policy text → the same in its canonical form, comments kept: what `sysgate fmt` does.

Names, includes and the spelling of numbers stay; blank lines between statements stay, one at most. Inside braces a
comment keeps the case or item it stands beside or above; anywhere else inside a statement it moves above it.
"""

from __future__ import annotations

from sysgate.errors import PolicyError
from sysgate.policy import ast
from sysgate.policy.lexer import Source, comment_of
from sysgate.policy.parser import parse_file
from sysgate.policy.printer import INDENT, Printer, plain, version
from sysgate.value import building


@building
def formatted(text: str, name: str = "<policy>") -> str:
    """The text in canonical form. Raises PolicyError where it cannot be read; what its names mean is not asked."""
    source = Source(text, name)
    file, errors = parse_file(source)
    if errors:
        raise PolicyError.of(errors)
    out: list[str] = []
    line = 1
    for statement in file.statements:
        first, last = source.line_of(statement.at), source.line_of(statement.end - 1)
        _between(source, line, first, out)
        out += _statement(source, statement, first, last)
        line = last + 1
    _between(source, line, len(source.lines) + 1, out)
    while out and out[-1] == "":
        out.pop()
    return "".join(f"{printed}\n" for printed in out)


def _between(source: Source, start: int, end: int, out: list[str]) -> None:
    """The lines from start to before end, which hold no statement: comments, and one blank line for several."""
    for number in range(start, end):
        comment = comment_of(source.lines[number - 1])
        if comment:
            out.append(comment)
        elif out and out[-1] != "":
            out.append("")


def _statement(source: Source, statement: ast.Statement, first: int, last: int) -> list[str]:
    trailing = comment_of(source.lines[last - 1])
    inner = [number for number in range(first, last) if comment_of(source.lines[number - 1])]
    if inner and _is_list(statement):
        printed = _Listed(source, statement).lines(first, last)
    else:
        above = [comment_of(source.lines[number - 1]) or "" for number in inner]
        printed = above + _text(source, statement).split("\n")
    if trailing:
        printed[-1] += f"  {trailing}"
    return printed


def _is_list(statement: ast.Statement) -> bool:
    """Whether its outer braces hold items that may each have a line."""
    if isinstance(statement, ast.Let):
        return isinstance(statement.value, tuple)
    return isinstance(statement, ast.Rule) and not plain(statement.body)


def _printer(source: Source, statement: ast.Statement) -> Printer:
    return Printer(source.words[statement.at : statement.end])


def _text(source: Source, statement: ast.Statement) -> str:
    printer = _printer(source, statement)
    if isinstance(statement, ast.Rule):
        return printer.rule(statement.heads, statement.body)
    if isinstance(statement, ast.Let):
        assert statement.value is not None  # only a let with a mistake has none
        return printer.let(statement.name, statement.value)
    if isinstance(statement, ast.Default):
        return f"default: {printer.action(statement.answer)}"
    if isinstance(statement, ast.Deny):
        return f"deny: {printer.action(statement.answer)}"
    if isinstance(statement, ast.Section):
        if not statement.arches:
            return "[all]"
        return f"[{'not ' * bool(statement.excluding)}{', '.join(statement.excluding or statement.arches)}]"
    if isinstance(statement, ast.Since):
        return f"since: {version(statement.version)}"
    if isinstance(statement, ast.Include):
        return f'include "{statement.path}"'
    return "on_next_syscall: 1"


class _Listed:
    """A block or set with comments: an item a line, each with its own."""

    def __init__(self, source: Source, statement: ast.Statement) -> None:
        self.source, self.statement = source, statement
        self.brace = source.words.index("{", statement.at)
        self.ends = self._ends()  # of each item the index of the separator behind it, or of the closing brace
        self.above: list[list[str]] = [[] for _ in self.ends]
        self.beside: list[str] = ["" for _ in self.ends]
        self.header = ""
        self.tail: list[str] = []

    def _ends(self) -> list[int]:
        words, separator = self.source.words, "," if isinstance(self.statement, ast.Let) else ";"
        depth = 0
        ends: list[int] = []
        for at in range(self.brace, self.statement.end):
            word = words[at]
            if word in ("{", "(", "["):
                depth += 1
            elif word in ("}", ")", "]"):
                depth -= 1
            ended = (word == separator and depth == 1) or depth == 0
            if ended and at > (ends[-1] + 1 if ends else self.brace):  # not after the `;` that ends a block
                ends.append(at)
        return ends

    def lines(self, first: int, last: int) -> list[str]:
        """The statement's lines, without what trails it. first, last: its lines in the source."""
        for number in range(first, last):
            comment = comment_of(self.source.lines[number - 1])
            if comment:
                self.place(comment, self.source.start_of(number), len(self.source.spans(number)))
        head, items = self.printed()
        separator = "," if isinstance(self.statement, ast.Let) else ";"
        out = [head + (f"  {self.header}" if self.header else "")]
        for index, item in enumerate(items):
            out += [INDENT + comment for comment in self.above[index]]
            text = INDENT + item + (separator if index < len(items) - 1 else "")
            out += f"{text}  {self.beside[index]}".rstrip().split("\n")
        return [*out, *(INDENT + comment for comment in self.tail), "}"]

    def place(self, comment: str, start: int, count: int) -> None:
        """Give a comment its place. start: the first word of its line, or the next; count: words on its line."""
        at = start + count - 1 if count else start
        if count and at <= self.brace:
            self.add_header(comment)
            return
        for index, end in enumerate(self.ends):
            # Beside an item: at its end, or at the separator behind it.
            if count and (at == end - 1 or (at == end and self.source.words[end] != "}")):
                if self.beside[index]:
                    self.above[index].append(self.beside[index])
                self.beside[index] = comment
                return
            if at < end:
                self.above[index].append(comment)
                return
        self.tail.append(comment)

    def add_header(self, comment: str) -> None:
        if self.header:
            self.above[0].insert(0, self.header)
        self.header = comment

    def printed(self) -> tuple[str, list[str]]:
        """What stands up to the opening brace, and the items."""
        printer = _printer(self.source, self.statement)
        if isinstance(self.statement, ast.Let):
            assert isinstance(self.statement.value, tuple)
            return f"let {self.statement.name} = {{", [printer.item(item) for item in self.statement.value]
        assert isinstance(self.statement, ast.Rule)
        head = f"{printer.heads(self.statement.heads)}: {{"
        return head, printer.cases(self.statement.body, INDENT)
