"""What people write who know another tool or language, and how it is said here: hints for mistakes.

Asked only when a mistake is told. Each function gives a hint, "" where it knows none.
"""

from __future__ import annotations

from sysgate.facts import calls, table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMENT = "`#` begins a comment"
_TRUE, _FALSE = ("true", "yes", "always", "True"), ("false", "no", "never", "False")
_ALLOWING, _REFUSING = ("allow", "permit"), ("block", "refuse", "kill")


def statement(words: Sequence[str], at: int) -> str:
    """For a line that begins with no statement."""
    if words[at] == ";" or words[at : at + 2] == ["/", "/"]:
        return _COMMENT
    return "`default: …` is for all calls without a rule" if words[at] == "*" else "CALL: TEST"


def after_call(words: Sequence[str], start: int, at: int) -> str:
    """For what stands where the colon after a call is expected."""
    if words[at] == "*":
        return "calls are named one by one, or by a group: `sysgate syscalls @` lists them"
    if words[start] in (*_ALLOWING, *_REFUSING) and at == start + 1 and words[at].isidentifier():
        return f"{words[at]}: {int(words[start] in _ALLOWING)}"
    if words[start : start + 2] == ["@", "include"]:
        return 'include "base.policy"'
    return ready(f"@{words[start + 1]}") if words[start] == "@" and at == start + 2 else ""


def ready(name: str) -> str:
    """For a ready policy where a group of calls is expected."""
    from sysgate.policy import files

    return f'include "{name}"' if name in files.ready_names() else ""


def after_test(words: Sequence[str], at: int) -> str:
    """For what follows a complete test."""
    if words[at : at + 2] == ["/", "/"]:
        return _COMMENT
    hints = {",": "`&&` joins tests that must all hold", "&": "`&&` joins tests", "?": "TEST else ACTION"}
    return hints.get(words[at], "")


def word_for_test(word: str) -> str:
    """For a word that stands alone where a test is expected."""
    if word in _TRUE:
        return "`1` holds always"
    if word in _FALSE:
        return "`0` holds never"
    return "an errno is said by `0 else errno(EPERM)`" if word == "return" else ""


def operator(first: str, second: str) -> str:
    """For two signs that are one elsewhere, or in another order."""
    return {"=>": "`>=` is at least", "=<": "`<=` is at most", "<>": "unequal is `!=`"}.get(first + second, "")


def action(word: str) -> str:
    """For a word that is no action."""
    if len(word) > 2 and word[0] == "E" and word.isupper() and word.isalnum():
        return f"an errno is said by errno({word})"
    other = {"deny": "kill", "refuse": "kill", "return": "errno(…)", "kill_program": "kill", "user_notif": "notify"}
    return f"did you mean {other[word]}?" if word in other else ""


def argument(word: str, known: Sequence[str]) -> str:
    """For an argument by its place, as minijail and libseccomp have it. known: the call's arguments."""
    place = word[3:] if word[:3] == "arg" else word[1:] if word[:1] in "aA" else ""
    return f"did you mean {known[int(place)]}?" if place in "012345" and place and int(place) < len(known) else ""


def call(word: str) -> str:
    """For a call's name with what C headers and tracers put before it."""
    for (prefix,) in table.rows("prefixes"):
        bare = word.removeprefix(prefix)
        if bare != word and calls.known(bare):
            return f"did you mean {bare}?"
    return ""
