"""What rules are made of: tests and what joins them; constants, sets and actions.

expr   = and { "||" and } .   and = unary { "&&" unary } .
unary  = "!" unary | "(" expr ")" | test | "1" | "0" .
test   = NAME "&" atom | value cmp const | value "in" ( set | NAME ) .
value  = NAME | "(" NAME "&" const ")" .
set    = "{" item { "," item } "}" .   item = const [ ".." const ] .
const  = atom { "|" atom } .   atom = [ "-" | "~" ] ( NUMBER | NAME | "(" const ")" ) .
"""

from __future__ import annotations

from sysgate.errors import PolicyError
from sysgate.policy import ast
from sysgate.policy.lexer import OPERATORS, Source, is_name, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

MAX_DEPTH = 64  # of parentheses: a person never needs it, and what reads expressions may recurse
RESERVED = frozenset(("in", "else"))
WORDY = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!"}
STRING_TEST = "a filter sees the address of this string, never the string: a test of it is refused"
STRING_HINT = (
    "what lies in memory can change after a look at it; decide by the call's other arguments, "
    "or leave paths to file permissions and Landlock"
)
_KINDS = {
    "allow": "allow",
    "log": "log",
    "notify": "notify",
    "kill": "kill_process",
    "kill_process": "kill_process",
    "kill_thread": "kill_thread",
}
_KINDS_WITH_DATA = ("errno", "trap", "trace")
ACTIONS = (*_KINDS, *_KINDS_WITH_DATA)
_MAX_DATA = 0xFFFF
_COMPARISONS = frozenset(("==", "!=", "<", "<=", ">", ">="))


class Words:
    """A walk over a text's words, and how a mistake is said at one of them.

    at: the word to be read next. depth, const_depth: how many parentheses are open, of tests and of constants.
    """

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
        from sysgate.policy import slips

        self.expected("the end of the line", slips.after_test(self.words, self.at))

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


class Expressions(Words):
    """Reads tests, constants, sets and actions."""

    # ---- tests

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
        from sysgate.policy import slips

        meant = slips.operator(word, self.words[self.at + 1]) if word != "\n" else ""
        if meant:
            self.fail(f"`{word}{self.words[self.at + 1]}` is no comparison", self.at, self.at + 2, meant)
        if word == "=":
            self.fail("equality is `==`", hint=f"{name} == …")
        if name in WORDY:
            self.fail(f"`{name}` is written `{WORDY[name]}`", self.at - 1)
        if name in ACTIONS:
            self.fail(
                f"`{name}` is an action, where a test is expected", self.at - 1, hint="actions follow `else` or `->`"
            )
        usual = "an argument stands left, constants right" if name.isupper() else "==  !=  <  <=  >  >=  &  in"
        self.expected(f"a comparison after {name}", slips.word_for_test(name) or usual)

    # ---- constants, sets, actions

    def set_or_name(self) -> tuple[ast.Item, ...] | str:
        word = self.words[self.at]
        if word == "{":
            return self.set()
        if word[0] in "\"'":
            self.fail(STRING_TEST, hint=STRING_HINT)
        if not is_name(word):
            hint = "a range stands in braces too: fd in {0..2}" if number(word) is not None else "fd in {0, 1, 2}"
            self.expected("a set in braces, or a name of one", hint)
        self.at += 1
        return word

    # set = "{" item { "," item } "}" .   item = const [ ".." const ] .
    def set(self) -> tuple[ast.Item, ...]:
        brace = self.at
        items: list[ast.Item] = []
        self.at += 1
        if self.words[self.at] == "}":
            self.fail("this set is empty", brace, hint="`0` holds never")
        while True:
            low = self.const()
            high = None
            if self.words[self.at] == "..":
                start = self.at
                self.at += 1
                high = self.const()
                if isinstance(low, int) and isinstance(high, int) and high < low:
                    self.fail("this range ends below its start", start - 1, self.at)
            items.append((low, high))
            if self.words[self.at] == ",":
                self.at += 1
                if self.words[self.at] == "}":
                    self.fail("expected a constant after `,`", hint="the last of a set has no comma")
            else:
                break
        word = self.words[self.at]
        if word != "}":
            if word == "\n":
                self.never_closed(brace)
            self.expected("`,` or `}`", "a rule with cases is the whole rule" if word == "->" else "")
        self.at += 1
        return tuple(items)

    # const = atom { "|" atom } .
    def const(self) -> ast.Const:
        first = self.atom()
        if self.words[self.at] != "|":
            return first
        parts = list(first.parts) if type(first) is ast.Union else [first]
        while self.words[self.at] == "|":
            self.at += 1
            part = self.atom()
            if type(part) is ast.Union:
                parts += part.parts
            else:
                parts.append(part)
        return ast.Union(tuple(parts))

    # atom = [ "-" | "~" ] ( NUMBER | NAME | "(" const ")" ) .
    def atom(self) -> ast.Const:
        word = self.words[self.at]
        sign = ""
        if word == "-" or word == "~":
            sign = word
            self.at += 1
            word = self.words[self.at]
        inner: ast.Const
        if word == "(":
            inner = self.inner_const()
        elif word[0] in "0123456789":
            inner = self.number()
        elif is_name(word) and word not in RESERVED:
            inner = word
            self.at += 1
        else:
            self.no_constant()
        if sign == "-":
            return -inner if isinstance(inner, int) else ast.Minus(inner)
        return ast.Complement(inner) if sign else inner

    def inner_const(self) -> ast.Const:
        start = self.at
        self.const_depth += 1
        if self.const_depth > MAX_DEPTH:
            self.too_deep()
        self.at += 1
        inner = self.const()
        self.close(start)
        self.const_depth -= 1
        return inner

    def number(self) -> int:
        word = self.words[self.at]
        value = number(word)
        if value is None:
            hint = "a leading 0 means octal digits" if word[0] == "0" and word.isdigit() else ""
            self.fail(f"{word} is no number", hint=hint or "decimal, 0x…, or octal by a leading 0")
        if value >> 64:
            self.fail("this number does not fit 64 bits")
        self.at += 1
        return value

    def no_constant(self) -> NoReturn:
        word = self.words[self.at]
        if word[0] in "\"'":
            self.fail("a string is no constant", hint=STRING_HINT)
        if word == "{":
            self.fail("a set is no constant", hint="`in` takes a set: fd in {0, 1, 2}")
        if word == "=":
            self.fail("equality is `==`")
        from sysgate.policy import slips

        meant = slips.operator(self.words[self.at - 1], word)
        if meant:
            self.fail(f"`{self.words[self.at - 1]}{word}` is no comparison", self.at - 1, self.at + 1, meant)
        self.expected("a constant")

    # action = "allow" | "log" | "notify" | "kill" | "kill_thread" | "errno" "(" atom ")"
    #        | ( "trap" | "trace" ) [ "(" NUMBER ")" ] .           (* kill_process reads as kill *)
    def action(self) -> ast.Answer:
        start = self.at
        word = self.words[start]
        kind = _KINDS.get(word)
        if kind:
            self.at += 1
            if self.words[self.at] == "(":
                self.fail(f"`{word}` takes no value")
            return ast.Answer(kind, 0, start)
        if word not in _KINDS_WITH_DATA:
            self.no_action(word)
        self.at += 1
        data: ast.Const = 0
        if word == "errno":
            self.take("(", hint="as in errno(EPERM)")
            data = self.atom()
            self.take(")")
        elif self.words[self.at] == "(":
            self.at += 1
            data = self.data(word)
            self.take(")")
        return ast.Answer(word, data, start)

    def data(self, kind: str) -> int:
        if number(self.words[self.at]) is None:
            self.expected(f"a number from 0 to {_MAX_DATA}")
        start, value = self.at, self.number()
        if value > _MAX_DATA:
            self.fail(f"{kind} carries a number from 0 to {_MAX_DATA}", start)
        return value

    def no_action(self, word: str) -> NoReturn:
        if not is_name(word):
            self.expected("an action", ", ".join(ACTIONS))
        from sysgate.policy import slips

        hint = slips.action(word) or self.source.near(word, lambda: ACTIONS)
        self.fail(f"unknown action {word}", hint=hint or f"known: {', '.join(ACTIONS)}")


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
