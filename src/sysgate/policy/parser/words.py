"""A walk over a text's words, and how a mistake is said at one of them."""

from __future__ import annotations

from sysgate.policy.lexer import Source, is_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from sysgate.errors import PolicyError

MAX_DEPTH = 64  # of parentheses: a person never needs it, and what reads expressions may recurse
RESERVED = frozenset(("in", "else"))
WORDY = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!"}


class Words:
    """at: the word to be read next. depth, const_depth: how many parentheses are open, of tests and of constants."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.words = source.words
        self.at = 0
        self.depth = self.const_depth = 0
        self.in_section = False
        self.unclosed = 0
        self.errors: list[PolicyError] = []

    def fail(self, message: str, at: int | None = None, until: int | None = None, hint: str = "") -> NoReturn:
        raise self.source.error(message, self.at if at is None else at, until, hint)

    def expected(self, what: str, hint: str = "") -> NoReturn:
        self.fail(f"expected {what}, found {found(self.words[self.at])}", hint=hint)

    def take(self, word: str, what: str = "", hint: str = "") -> None:
        if self.words[self.at] != word:
            self.expected(what or f"`{word}`", hint)
        self.at += 1

    def stray(self) -> NoReturn:
        """Something follows a complete statement on its line."""
        word = self.words[self.at]
        if word in WORDY:
            self.fail(f"`{word}` is written `{WORDY[word]}`")
        if word in ("->", ";"):
            self.fail(f"`{word}` belongs in a block", hint="{ TEST -> ACTION; TEST -> ACTION; else ACTION }")
        if word == "}":
            self.fail("there is no `{` for this `}`")
        if word == ")":
            self.fail("there is no `(` for this `)`")
        self.expected("the end of the line")

    def dashed(self, what: str) -> str:
        """A name that may contain dashes; the lexer has it in pieces."""
        start = self.at
        if not is_name(self.words[start]):
            self.expected(what)
        self.at += 1
        while self.words[self.at] == "-" and self.words[self.at + 1] != "\n" and self.words[self.at + 1].isalnum():
            self.at += 2
        written = "".join(self.words[start : self.at])
        if self.at > start + 1 and written not in self.source.lines[self.source.line_of(start) - 1]:
            self.fail(f"{what} is one word", start, self.at, written)
        return written

    def descend(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.too_deep()

    def too_deep(self) -> NoReturn:
        self.fail(f"parentheses stand more than {MAX_DEPTH} deep", hint="split the rule: rules for one call all hold")

    def close(self, start: int) -> None:
        word = self.words[self.at]
        if word != ")":
            if word == "\n" or word == "}" or word == ";":
                self.fail("this `(` is never closed", start)
            if word == "=":
                self.expected("`)`", "equality is `==`")
            self.expected("`)`")
        if self.source.line_of(start) != self.source.line_of(self.at):
            self.fail("this `(` is not closed on its line", start)
        self.at += 1

    def never_closed(self, brace: int) -> NoReturn:
        self.unclosed += 1
        self.fail("this `{` is never closed", brace)


def found(word: str) -> str:
    """A word as an error message says it."""
    if word == "\n":
        return "the end of the line"
    if word[0] in "\"'":
        return "a string" if len(word) > 1 and word[-1] == word[0] else "a quote that is never closed"
    if word == "\0":
        return "a NUL byte"
    if not word.isascii() or not word.isprintable():
        return f"the character U+{ord(word[0]):04X}" + (f" ({word})" if word.isprintable() else "")
    return f"`{word}`" if len(word) <= 40 else f"`{word[:40]}…`"
