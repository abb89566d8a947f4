"""Actions.

action = "allow" | "log" | "notify" | "kill" | "kill_thread" | "errno" "(" atom ")"
       | ( "trap" | "trace" ) [ "(" NUMBER ")" ] .           (* kill_process reads as kill *)
"""

from __future__ import annotations

from sysgate.policy import ast
from sysgate.policy.lexer import is_name, number
from sysgate.policy.parser.constants import Constants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

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


class Actions(Constants):
    """Reads actions."""

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
