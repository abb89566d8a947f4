"""Tests, and what joins them.

expr   = and { "||" and } .   and = unary { "&&" unary } .
unary  = "!" unary | "(" expr ")" | test | "1" | "0" .
test   = NAME "&" atom | value cmp const | value "in" ( set | NAME ) .
value  = NAME | "(" NAME "&" const ")" .
"""

from __future__ import annotations

from sysgate.errors import PolicyError
from sysgate.policy import ast
from sysgate.policy.lexer import OPERATORS, is_name, number
from sysgate.policy.parser.values import ACTIONS, STRING_HINT, STRING_TEST, Values
from sysgate.policy.parser.words import RESERVED, WORDY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_COMPARISONS = frozenset(("==", "!=", "<", "<=", ">", ">="))


class Tests(Values):
    """Reads tests."""

    # expr = and { "||" and } .
    def expr(self) -> ast.Expr:
        first = self.conjunction()
        return first if self.words[self.at] != "||" else self.joined(first, "||", self.conjunction, ast.Any)

    # and = unary { "&&" unary } .
    def conjunction(self) -> ast.Expr:
        first = self.unary()
        return first if self.words[self.at] != "&&" else self.joined(first, "&&", self.unary, ast.All)

    def joined(
        self, first: ast.Expr, word: str, read: Callable[[], ast.Expr], kind: type[ast.Any | ast.All]
    ) -> ast.Expr:
        """What follows the first of several: a part of the same kind, in parentheses, is no part but its parts."""
        parts = list(first.parts) if isinstance(first, kind) else [first]
        words = self.words
        while words[self.at] == word:
            self.at += 1
            part = read()
            if isinstance(part, kind):
                parts += part.parts
            else:
                parts.append(part)
        return kind(tuple(parts))

    # unary = "!" unary | "(" expr ")" | test | "1" | "0" .
    def unary(self) -> ast.Expr:
        words = self.words
        word = words[self.at]
        negated = False
        while word == "!":
            negated = not negated
            self.at += 1
            word = words[self.at]
        if word == "(":
            inner = self.parenthesis()
        elif (word == "1" or word == "0") and words[self.at + 1] not in _COMPARISONS:
            inner = ast.ALWAYS if word == "1" else ast.NEVER
            self.at += 1
        elif negated:
            self.descend()  # a negated test is printed in parentheses
            inner = self.test()
            self.depth -= 1
        else:
            inner = self.test()
        return inner if not negated else inner.inner if type(inner) is ast.Not else ast.Not(inner)

    def parenthesis(self) -> ast.Expr:
        start = self.at
        if self.words[start + 2] == "&" and is_name(self.words[start + 1]):
            masked = self.masked()
            if masked is not None:
                return masked
        self.descend()
        self.at = start + 1
        inner = self.expr()
        self.close(start)
        self.depth -= 1
        if self.words[self.at] in _COMPARISONS or self.words[self.at] == "in":
            self.fail(
                "only a masked argument in parentheses can be compared", start, self.at, "(flags & MASK) == VALUE"
            )
        return inner

    # value = NAME | "(" NAME "&" const ")" .
    def masked(self) -> ast.Expr | None:
        """`(NAME & const)` and its comparison; None where it is a parenthesised test after all."""
        start = self.at
        name = self.words[start + 1]
        self.at = start + 3
        try:
            mask = self.const()
        except PolicyError:
            self.const_depth = 0
            return None  # the parenthesised test has the same mistake, and says so
        if self.words[self.at] != ")":
            return None
        self.close(start)
        if self.words[self.at] == "in" or self.words[self.at] in _COMPARISONS:
            return self.comparison(name, mask, start)
        return None

    # test = NAME "&" atom | value cmp const | value "in" ( set | NAME ) .
    def test(self) -> ast.Expr:
        start, words = self.at, self.words
        name = words[start]
        if not is_name(name) or name in RESERVED:
            self.no_test()
        operator = words[start + 1]
        if operator in _COMPARISONS or operator == "in":
            self.at = start + 1
            return self.comparison(name, None, start)
        if operator == "&":
            self.at = start + 2
            mask = self.atom()
            self.after_mask(name, start)
            return ast.Shares(name, mask, start)
        self.at = start + 1
        return self.no_comparison(name)

    # cmp = "==" | "!=" | "<" | "<=" | ">" | ">=" .
    def comparison(self, name: str, mask: ast.Const | None, start: int) -> ast.Expr:
        words = self.words
        operator = words[self.at]
        self.at += 1
        if operator == "in":
            return ast.Among(name, mask, self.set_or_name(), start)
        if words[self.at][0] in "\"'":
            self.fail(STRING_TEST, hint=STRING_HINT)
        value = self.atom()
        if words[self.at] == "|":
            written = self.source.text_of(start, self.at)
            self.fail(
                "a `|` after a comparison's constant needs parentheses",
                hint=f"as in fd == (1|2); C reads ({written}) | …",
            )
        return ast.Compare(name, mask, operator, value, start)

    def after_mask(self, name: str, start: int) -> None:
        word = self.words[self.at]
        if word == "|":
            self.fail(
                "a `|` after a mask needs parentheses", hint=f"{name} & (A|B); C reads ({name} & A) | B otherwise"
            )
        if word in _COMPARISONS or word == "in":
            written = self.source.text_of(start, self.at)
            self.fail(
                "a masked argument needs parentheses before it is compared", start, self.at, f"({written}) {word} …"
            )

    def no_test(self) -> NoReturn:
        word, following = self.words[self.at], self.words[self.at + 1] if self.words[self.at] != "\n" else "\n"
        if word[0] in "\"'":
            self.fail("an argument stands left, and a string is no constant", hint=STRING_HINT)
        if word in OPERATORS or word in RESERVED or word == "\n":
            if word == "{" or word == "}":
                self.expected("a test", "a block stands for the whole rule: CALL: { TEST -> ACTION }")
            self.expected("a test")
        if number(word) is None:
            self.expected("a test")
        if following in _COMPARISONS or following == "&":
            self.fail("an argument stands left, the constant right", hint="as in fd == 1")
        self.fail(f"{word} is no test", hint="1 holds always, 0 never; several values are fd in {1, 2}")

    def no_comparison(self, name: str) -> NoReturn:
        word = self.words[self.at]
        if word == "~":
            if self.words[self.at + 1][0] in "\"'":
                self.fail(STRING_TEST, self.at, self.at + 2, STRING_HINT)
            self.fail("`~` after an argument matches a string, which a filter cannot see", hint="a mask is `&`")
        if word == "=":
            self.fail("equality is `==`", hint=f"{name} == …")
        if name in WORDY:
            self.fail(f"`{name}` is written `{WORDY[name]}`", self.at - 1)
        if name in ACTIONS:
            self.fail(
                f"`{name}` is an action, where a test is expected", self.at - 1, hint="actions follow `else` or `->`"
            )
        if name.isupper():
            self.expected(f"a comparison after {name}", "an argument stands left, constants right")
        self.expected(f"a comparison after {name}", "==  !=  <  <=  >  >=  &  in")
