"""Words → statements: the grammar of the language, each rule above the function that reads it.

What names mean is not asked here (see names, include). Every mistake of a text is found: a statement that cannot be
read is left out, and reading goes on with the next line.

    file   = { [ stmt ] [ "#" … ] NEWLINE } .          (* only { } may span lines; ( ) closes on its line *)
"""

from __future__ import annotations

from sysgate.errors import PolicyError
from sysgate.policy import ast
from sysgate.policy.lexer import MAX_ERRORS, OPERATORS, Source, is_name, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

MAX_DEPTH = 64  # of parentheses: a person never needs it, and what reads expressions may recurse
_COMPARISONS = frozenset(("==", "!=", "<", "<=", ">", ">="))
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
_RESERVED = frozenset(("in", "else"))
_MAX_DATA = 0xFFFF
_WORDY = {"and": "&&", "or": "||", "not": "!", "AND": "&&", "OR": "||", "NOT": "!"}

STRING_TEST = "a filter sees the address of this string, never the string: a test of it is refused"
STRING_HINT = (
    "what lies in memory can change after a look at it; decide by the call's other arguments, "
    "or leave paths to file permissions and Landlock"
)


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


class _Parser:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.words = source.words
        self.at = 0
        self.depth = self.const_depth = 0
        self.in_section = False
        self.unclosed = 0
        self.errors: list[PolicyError] = []

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

    def never_closed(self, brace: int) -> NoReturn:
        self.unclosed += 1
        self.fail("this `{` is never closed", brace)

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

    # ---- words

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
        if word in _WORDY:
            self.fail(f"`{word}` is written `{_WORDY[word]}`")
        if word in ("->", ";"):
            self.fail(f"`{word}` belongs in a block", hint="{ TEST -> ACTION; TEST -> ACTION; else ACTION }")
        if word == "}":
            self.fail("there is no `{` for this `}`")
        if word == ")":
            self.fail("there is no `(` for this `)`")
        self.expected("the end of the line")

    # ---- statements

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
        start = self.at
        self.at += 1
        self.take(":")
        answer = self.action()
        return ast.Default(start, self.at, answer)

    def deny(self) -> ast.Statement:
        start = self.at
        self.at += 1
        self.take(":")
        answer = self.action()
        return ast.Deny(start, self.at, answer)

    def let(self) -> ast.Statement:
        start = self.at
        self.at += 1
        name = self.words[self.at]
        if not is_name(name):
            self.expected("a name", "let STDIO = {0, 1, 2}")
        if name in _RESERVED:
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
        hint = self.source.near(self.words[start], lambda: _STATEMENTS) if self.at == start + 1 else ""
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

    # ---- tests

    # expr = and { "||" and } .
    def expr(self) -> ast.Expr:
        first = self.conjunction()
        words = self.words
        if words[self.at] != "||":
            return first
        parts = list(first.parts) if type(first) is ast.Any else [first]
        while words[self.at] == "||":
            self.at += 1
            part = self.conjunction()
            if type(part) is ast.Any:
                parts += part.parts
            else:
                parts.append(part)
        return ast.Any(tuple(parts))

    # and = unary { "&&" unary } .
    def conjunction(self) -> ast.Expr:
        first = self.unary()
        words = self.words
        if words[self.at] != "&&":
            return first
        parts = list(first.parts) if type(first) is ast.All else [first]
        while words[self.at] == "&&":
            self.at += 1
            part = self.unary()
            if type(part) is ast.All:
                parts += part.parts
            else:
                parts.append(part)
        return ast.All(tuple(parts))

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
        if not is_name(name) or name in _RESERVED:
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
        if word in OPERATORS or word in _RESERVED or word == "\n":
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
        if name in _WORDY:
            self.fail(f"`{name}` is written `{_WORDY[name]}`", self.at - 1)
        if name in ACTIONS:
            self.fail(
                f"`{name}` is an action, where a test is expected", self.at - 1, hint="actions follow `else` or `->`"
            )
        if name.isupper():
            self.expected(f"a comparison after {name}", "an argument stands left, constants right")
        self.expected(f"a comparison after {name}", "==  !=  <  <=  >  >=  &  in")

    # ---- constants

    def set_or_name(self) -> tuple[ast.Item, ...] | str:
        word = self.words[self.at]
        if word == "{":
            return self.set()
        if word[0] in "\"'":
            self.fail(STRING_TEST, hint=STRING_HINT)
        if not is_name(word):
            hint = "a range stands in braces too: fd in {0..2}" if number(word) is not None else ""
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
        elif is_name(word) and word not in _RESERVED:
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
        self.expected("a constant")

    # ---- actions

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
        other = {"deny": "kill", "refuse": "kill", "return": "errno(…)", "kill_program": "kill", "user_notif": "notify"}
        hint = f"did you mean {other[word]}?" if word in other else self.source.near(word, lambda: ACTIONS)
        self.fail(f"unknown action {word}", hint=hint or f"known: {', '.join(ACTIONS)}")


_STATEMENTS = {
    "include": _Parser.include,
    "since": _Parser.since,
    "default": _Parser.default,
    "deny": _Parser.deny,
    "let": _Parser.let,
    "on_next_syscall": _Parser.next_syscall,
    "[": _Parser.section,
}


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
