"""What stands on the right of things: constants, sets and actions.

set    = "{" item { "," item } "}" .   item = const [ ".." const ] .
const  = atom { "|" atom } .   atom = [ "-" | "~" ] ( NUMBER | NAME | "(" const ")" ) .
"""

from __future__ import annotations

from sysgate.policy import ast
from sysgate.policy.lexer import is_name, number
from sysgate.policy.parser.words import MAX_DEPTH, RESERVED, Words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

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


class Values(Words):
    """Reads constants, sets and actions."""

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
        other = {"deny": "kill", "refuse": "kill", "return": "errno(…)", "kill_program": "kill", "user_notif": "notify"}
        hint = f"did you mean {other[word]}?" if word in other else self.source.near(word, lambda: ACTIONS)
        self.fail(f"unknown action {word}", hint=hint or f"known: {', '.join(ACTIONS)}")
