"""Rules: heads and bodies.

head   = CALL | "@" GROUP | NUMBER [ ".." NUMBER ] .         (* numbers only inside a section *)
body   = expr [ "else" action ] | "{" case { ";" case } [ ";" "else" action ] [ ";" ] "}" .
case   = expr "->" action .
"""

from __future__ import annotations

from sysgate.policy import ast
from sysgate.policy.lexer import is_name, number
from sysgate.policy.parser.tests import Tests
from sysgate.policy.parser.values import ACTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

KEYWORDS = ("include", "since", "default", "deny", "let", "on_next_syscall")


class Rules(Tests):
    """Reads rules."""

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
        hint = self.source.near(self.words[start], lambda: KEYWORDS) if self.at == start + 1 else ""
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
            hint = "CALL: TEST" if what == "a statement" else ""
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
