"""Words → statements, each rule of the grammar above the function that reads it.

What names mean is not asked here (see names, include). Every mistake of a text is found: a statement that cannot be
read is left out, and reading goes on with the next line.

    file   = { [ stmt ] [ "#" … ] NEWLINE } .          (* only { } may span lines; ( ) closes on its line *)
    body   = expr [ "else" action ] | "{" case { ";" case } [ ";" "else" action ] [ ";" ] "}" .
    case   = expr "->" action .
"""

from __future__ import annotations

from sysgate.errors import PolicyError
from sysgate.policy import ast
from sysgate.policy.expressions import ACTIONS, RESERVED, Expressions
from sysgate.policy.lexer import MAX_ERRORS, Source, is_name, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

KEYWORDS = ("include", "since", "default", "deny", "let", "on_next_syscall")


def parse_file(source: Source, *, in_section: bool = False) -> tuple[ast.File, list[PolicyError]]:
    """The statements of a text that could be read, and a PolicyError for each that could not.

    in_section: the text goes on where another one's section was not ended.
    """
    parser = _Parser(source)
    parser.in_section = in_section
    return parser.file()


def parse_statement(source: Source, at: int) -> ast.Statement:
    """The one statement that begins with word `at` and ends its line. Raises PolicyError."""
    parser = _Parser(source)
    parser.at = at
    return parser.whole_statement()


class _Parser(Expressions):
    """Reads statements."""

    def file(self) -> tuple[ast.File, list[PolicyError]]:
        statements: list[ast.Statement] = []
        words, end = self.words, len(self.words)
        while self.at < end and len(self.errors) < MAX_ERRORS:
            if words[self.at] == "\n" or self.belated_brace():
                self.at += 1
                continue
            start, self.depth, self.const_depth = self.at, 0, 0
            try:
                statements.append(self.whole_statement())
            except PolicyError as error:
                self.errors.append(error)
                statements += self.remains(start)
                self.at = words.index("\n", self.at)
            self.at += 1
        return ast.File(self.source, tuple(statements)), self.errors

    def belated_brace(self) -> bool:
        """Whether a line is but the `}` of a `{` that was said never to be closed."""
        belated = self.unclosed > 0 and self.words[self.at] == "}" and self.words[self.at + 1] == "\n"
        self.unclosed -= belated
        return belated

    def whole_statement(self) -> ast.Statement:
        statement = self.statement()
        if self.words[self.at] != "\n":
            self.stray()
        return statement

    def remains(self, start: int) -> list[ast.Statement]:
        """What a statement with a mistake still tells, so that nothing after it looks wrong for its sake."""
        word, end = self.words[start], self.at
        if word == "[":
            self.in_section = True
            return [ast.Section(start, end, ast.NOWHERE)]
        if word == "let" and is_name(self.words[start + 1]):
            return [ast.Let(start, end, self.words[start + 1], None)]
        return []

    # stmt = "include" STRING | "since" ":" VERSION | ( "default" | "deny" ) ":" action
    #      | "let" NAME "=" ( set | const ) | "on_next_syscall" ":" "1"
    #      | "[" ( "all" | [ "not" ] ARCH { "," ARCH } ) "]" | head { "," head } ":" body .
    def statement(self) -> ast.Statement:
        reader = _STATEMENTS.get(self.words[self.at])
        return reader(self) if reader else self.rule()

    def include(self) -> ast.Statement:
        start = self.at
        self.at += 1
        word = self.words[self.at]
        if word[0] not in "\"'":
            self.expected("the file in quotes", 'include "base.policy"')
        if len(word) < 2 or word[-1] != word[0]:
            self.fail("this quote is never closed")
        if word[0] == "'":
            self.fail("a file stands in double quotes", hint=f'include "{word[1:-1]}"')
        if len(word) == 2:
            self.fail("a file has a name")
        self.at += 1
        return ast.Include(start, self.at, word[1:-1])

    def since(self) -> ast.Statement:
        start = self.at
        self.at += 1
        self.take(":")
        word = self.words[self.at]
        parts = word.split(".")
        if not 2 <= len(parts) <= 4 or not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
            self.expected("a kernel release, like 6.12")
        self.at += 1
        return ast.Since(start, self.at, tuple(map(int, parts)))

    def default(self) -> ast.Statement:
        return self.answered(ast.Default)

    def deny(self) -> ast.Statement:
        return self.answered(ast.Deny)

    def answered(self, statement: type[ast.Default | ast.Deny]) -> ast.Statement:
        start = self.at
        self.at += 1
        self.take(":")
        answer = self.action()
        return statement(start, self.at, answer)

    def let(self) -> ast.Statement:
        start = self.at
        self.at += 1
        name = self.words[self.at]
        if not is_name(name):
            self.expected("a name", "let STDIO = {0, 1, 2}")
        if name in RESERVED:
            self.fail(f"`{name}` is a word of the language")
        self.at += 1
        self.take("=", hint="let NAME = CONSTANT, or let NAME = {VALUE, …}")
        value = self.set() if self.words[self.at] == "{" else self.const()
        return ast.Let(start, self.at, name, value)

    def next_syscall(self) -> ast.Statement:
        start = self.at
        self.at += 1
        self.take(":")
        self.take("1", "`1`", "the line is 2011's; sysgate run always lets the exec that starts the program through")
        return ast.NextSyscall(start, self.at)

    def section(self) -> ast.Statement:
        from sysgate.facts import arches

        start = self.at
        self.at += 1
        if self.words[self.at] == "all":
            self.at += 1
            self.take("]")
            self.in_section = False
            return ast.Section(start, self.at, ())
        names: list[str] = []
        excluding = self.words[self.at] == "not" and self.words[self.at + 1] != "]"
        self.at += excluding
        while True:
            first = self.at
            written = self.dashed("an architecture")
            known = arches.arch(written)
            if known is None:
                hint = self.source.near(written, arches.spellings) or f"known: {', '.join(arches.ARCHES)}"
                self.fail(f"unknown architecture {written}", first, self.at, hint)
            if known.name not in names:
                names.append(known.name)
            if self.words[self.at] != ",":
                break
            self.at += 1
        self.take("]", "`,` or `]`")
        self.in_section = True
        named = tuple(sorted(names, key=arches.ARCHES.index))
        if not excluding:
            return ast.Section(start, self.at, named)
        left = tuple([arch for arch in arches.ARCHES if arch not in named])
        if not left:
            self.fail("no architecture is left for this section", start, self.at)
        return ast.Section(start, self.at, left, named)

    # ---- rules

    def rule(self) -> ast.Statement:
        start, words = self.at, self.words
        heads = [self.head()]
        while words[self.at] == ",":
            self.at += 1
            heads.append(self.head())
        if words[self.at] != ":":
            self.no_colon(start)
        self.at += 1
        body = self.block() if words[self.at] == "{" else self.plain_body()
        return ast.Rule(start, self.at, tuple(heads), body)

    def no_colon(self, start: int) -> NoReturn:
        from sysgate.policy import slips

        hint = slips.after_call(self.words, start, self.at)
        if not hint and self.at == start + 1:
            hint = self.source.near(self.words[start], lambda: KEYWORDS)
        self.expected("`:` after the call" if self.at == start + 1 else "`,` or `:`", hint or "CALL: TEST")

    # head = CALL | "@" GROUP | NUMBER [ ".." NUMBER ] .         (* numbers only inside a section *)
    def head(self) -> ast.Head:
        start = self.at
        word = self.words[start]
        if is_name(word):
            self.at += 1
            return ast.Name(word, start)
        if word == "@":
            self.at += 1
            name = "@" + self.dashed("the name of a group")
            if name not in self.source.lines[self.source.line_of(start) - 1]:
                self.fail("a group is one word", start, self.at, name)
            return ast.Group(name, start)
        if number(word) is None:
            what = "a call" if start and self.words[start - 1] == "," else "a statement"
            from sysgate.policy import slips

            hint = slips.statement(self.words, start) if what == "a statement" else ""
            if word == "-" and (number(self.words[start + 1]) or 0) > 0:
                hint = "numbers are unsigned, as in seccomp_data.nr: -1 is 0xffffffff"
            self.expected(what, hint)
        low = self.call_number()
        high = low
        if self.words[self.at] == "..":
            self.at += 1
            high = self.call_number()
            if high < low:
                self.fail("this range ends below its start", start, self.at)
        if not self.in_section:
            self.fail(
                "calls go by number only inside a section",
                start,
                self.at,
                "numbers differ between architectures: name one above, as in [x86_64]",
            )
        return ast.Numbers(low, high, start)

    def call_number(self) -> int:
        word = self.words[self.at]
        value = number(word)
        if value is None:
            self.expected("a number")
        if value >> 32:
            self.fail(f"{word} does not fit the 32 bits of a call's number")
        self.at += 1
        return value

    # body = expr [ "else" action ] | "{" case { ";" case } [ ";" "else" action ] [ ";" ] "}" .
    def plain_body(self) -> ast.Body:
        start = self.at
        if self.words[start] in ACTIONS and self.words[start + 1] in ("\n", "("):
            self.action_for_test()
        expr = self.expr()
        if self.words[self.at] == "else":
            self.at += 1
            return ast.Body(((expr, ast.ALLOW),), self.action())
        if expr is ast.ALWAYS:
            return ast.ALLOWED
        return ast.REFUSED if expr is ast.NEVER else ast.Body(((expr, ast.ALLOW),), None)

    def action_for_test(self) -> NoReturn:
        """`read: allow`, as other tools have it."""
        start = self.at
        word = self.words[start]
        answer = self.action()
        if self.words[self.at] != "\n" or answer is None:
            self.at = start
            self.expected("a test")
        written = self.source.text_of(start, self.at)
        hint = "`1` allows always" if word == "allow" else f"`0 else {written}` answers so always"
        self.fail(f"`{word}` is an action; a rule is a test", start, self.at, hint)

    def block(self) -> ast.Body:
        brace = self.at
        self.at += 1
        cases: list[tuple[ast.Expr, ast.Answer]] = []
        otherwise: ast.Answer | None = None
        while True:
            word = self.words[self.at]
            if word == "else":
                if not cases:
                    self.fail("a block begins with a case", hint="TEST -> ACTION")
                self.at += 1
                otherwise = self.action()
                if self.words[self.at] == ";":
                    self.at += 1
                if self.words[self.at] not in ("}", "\n"):
                    self.expected("`}`", "`else` is the last of a block")
                break
            if word == "}":
                if not cases:
                    self.fail("this block has no case", brace, hint="{ TEST -> ACTION; else ACTION }")
                break
            if word == "\n":
                break
            cases.append(self.case())
            word = self.words[self.at]
            if word == ";":
                self.at += 1
            elif word not in ("}", "\n"):
                self.expected("`;` or `}`")
        if self.words[self.at] != "}":
            self.never_closed(brace)
        self.at += 1
        return ast.Body(tuple(cases), otherwise)

    # case = expr "->" action .
    def case(self) -> tuple[ast.Expr, ast.Answer]:
        expr = self.expr()
        if self.words[self.at] != "->":
            self.expected("`->` and an action", "TEST -> ACTION")
        self.at += 1
        return expr, self.action()


_STATEMENTS = {
    "include": _Parser.include,
    "since": _Parser.since,
    "default": _Parser.default,
    "deny": _Parser.deny,
    "let": _Parser.let,
    "on_next_syscall": _Parser.next_syscall,
    "[": _Parser.section,
}
