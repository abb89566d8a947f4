"""Policy text as words: fast where the text is plain, with columns where something is to be shown.

A parser sees only a list of words, "\\n" after each line; comments are gone. Where a word stands is worked out
again when an error needs it, so that a policy without mistakes pays nothing for places. No regular expressions:
importing `re` costs more than reading a policy.
"""

from __future__ import annotations

from _bisect import bisect_right

from sysgate.errors import PolicyError
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# Two characters that are one word. In this order, replacing each everywhere in turn finds the same words as reading
# from the left: no pair begins with the last character of one after it.
_PAIRS = ("->", "!=", "<=", ">=", "==", "&&", "||", "..")
_SINGLES = "=!<>&|-~(){}[],:;@"
_FOREIGN = "$%*+/?\\^`"  # no words of the language; each stands alone
# What stands for a pair while a line is taken apart: private use characters, which no plain line holds.
_STANDS = {pair: chr(0xE000 + at) for at, pair in enumerate(_PAIRS)}
_PAIR_OF = {stand: pair for pair, stand in _STANDS.items()}
_SPACED = tuple((pair, f" {stand} ") for pair, stand in _STANDS.items())
_SPACED_SINGLES = tuple((single, f" {single} ") for single in _SINGLES + _FOREIGN)

OPERATORS = frozenset(_PAIRS) | frozenset(_SINGLES)
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_DIGITS = {8: "01234567", 10: "0123456789", 16: "0123456789abcdefABCDEF"}
_WORD = _LETTERS | frozenset("0123456789")

MAX_CHARACTERS = 16 << 20
MAX_ERRORS = 5000


class Place(Value):
    """Where something stands: line and column from 1, how wide it is, and the whole line."""

    line: int
    column: int
    width: int
    text: str


class Source:
    """One text taken apart.

    name: of its file, as people typed it. lines: without their ends. words: every word, "\\n" after each line that
    does not end inside braces.
    """

    __slots__ = ("_hints", "_spans", "_starts", "lines", "name", "words")

    def __init__(self, text: str, name: str) -> None:
        """Raises PolicyError for a text too long to be a policy."""
        if len(text) > MAX_CHARACTERS:
            raise PolicyError(
                f"a text of {len(text) >> 20} million characters is no policy",
                file=name,
                hint=f"sysgate reads at most {MAX_CHARACTERS >> 20} million",
            )
        self.name = name
        self._hints = 20
        self._spans: tuple[int, list[tuple[int, int]]] = (0, [])  # of the line last asked for
        self.lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
        if self.lines[-1] == "":
            self.lines.pop()
        self.words: list[str] = []
        self._starts: list[int] = []  # of each line its first word
        self._take_apart()

    def _take_apart(self) -> None:
        open_braces = 0
        for line in self.lines:
            found = words_of(line) if line else ()
            if open_braces and _begins_statement(found):
                # A `{` was never closed. The statements after it are read all the same.
                self.words.append("\n")
                open_braces = 0
            self._starts.append(len(self.words))
            self.words += found
            if open_braces or "{" in found:
                for word in found:
                    open_braces += (word == "{") - (word == "}" and open_braces > 0)
            if not open_braces:
                self.words.append("\n")
        self.words += ("\n", "\n", "\n")  # so that a parser may look two words ahead

    def line_of(self, at: int) -> int:
        """The line, from 1, of the word with index `at`."""
        return max(1, bisect_right(self._starts, at))

    def start_of(self, line: int) -> int:
        """The index of a line's first word. line: from 1."""
        return self._starts[line - 1]

    def spans(self, line: int) -> list[tuple[int, int]]:
        """(start, end) of each word of a line, from 0. line: from 1."""
        if self._spans[0] != line:
            self._spans = line, spans_of(self.lines[line - 1])
        return self._spans[1]

    def place(self, at: int, until: int | None = None) -> Place:
        """Where the word with index `at` stands; with until, all from it to the word before `until` on its line."""
        if not self._starts:
            return Place(1, 1, 1, "")
        line = self.line_of(at)
        text, first = self.lines[line - 1], self._starts[line - 1]
        spans = self.spans(line)
        if at - first >= len(spans):  # the end of the line
            return Place(line, spans[-1][1] + 1 if spans else 1, 1, text)
        start, end = spans[at - first]
        if until is not None and until > at:
            end = spans[min(until - first, len(spans)) - 1][1]
        return Place(line, start + 1, end - start, text)

    def text_of(self, at: int, until: int) -> str:
        """The text from word `at` to the word before `until`: as written on one line, else its lines joined."""
        first, last = self.line_of(at), self.line_of(until - 1)
        if first == last and at == self.start_of(first) and self.words[until] == "\n":
            whole = self.lines[first - 1]
            if plain(whole) and '"' not in whole and "'" not in whole:
                return whole.partition("#")[0].strip(" \t")
        if first == last:
            place = self.place(at, until)
            return place.text[place.column - 1 : place.column - 1 + place.width]
        pieces = []
        for line in range(first, last + 1):
            spans, start = self.spans(line), self.start_of(line)
            inside = spans[max(0, at - start) : until - start]
            if inside:
                pieces.append(self.lines[line - 1][inside[0][0] : inside[-1][1]])
        return " ".join(pieces)

    def error(
        self, message: str, at: int, until: int | None = None, hint: str = "", kind: type[PolicyError] = PolicyError
    ) -> PolicyError:
        """An error at a word (or from it to the word before `until`)."""
        place = self.place(at, until)
        return kind(
            _short(message),
            file=self.name,
            line=place.line,
            column=place.column,
            hint=_short(hint),
            source=place.text,
            width=place.width,
        )

    def near(self, word: str, candidates: Callable[[], Iterable[str]]) -> str:
        """A hint with the nearest right spelling; "" where none is near.

        Only the first mistakes of a text get one: looking for it takes milliseconds, and a text may hold thousands.
        """
        if not self._hints:
            return ""
        from sysgate.facts.nearest import nearest

        self._hints -= 1
        close = nearest(word, candidates())
        return f"did you mean {close[0]}?" if close else ""


def _short(message: str) -> str:
    # A name of a megabyte is said by its beginning.
    return message if len(message) <= 600 else f"{message[:400]} … {message[-100:]}"


def words_of(line: str) -> Sequence[str]:
    """The words of one line, without comment."""
    if not plain(line) or '"' in line or "'" in line:
        return [line[start:end] for start, end in spans_of(line)]
    code = line.partition("#")[0]
    for pair, spaced in _SPACED:
        if pair in code:
            code = code.replace(pair, spaced)
    if "." in code:  # of a version: rare
        return [line[start:end] for start, end in spans_of(line)]
    for single, spaced in _SPACED_SINGLES:
        if single in code:
            code = code.replace(single, spaced)
    words = code.split()
    for at, word in enumerate(words):
        if word in _PAIR_OF:
            words[at] = _PAIR_OF[word]
    return words


def spans_of(line: str) -> list[tuple[int, int]]:
    """(start, end) of each word of a line, from 0. What is no word of the language is one word a character."""
    spans: list[tuple[int, int]] = []
    at, end = 0, len(line)
    while at < end:
        char = line[at]
        if char in " \t":
            at += 1
            continue
        if char == "#":
            break
        start = at
        if char in _WORD:
            at = _word_end(line, at)
        elif char in "\"'":
            close = line.find(char, at + 1)
            at = close + 1 if close >= 0 else end
        elif line[at : at + 2] in _STANDS:
            at += 2
        else:
            at += 1
        spans.append((start, at))
    return spans


def _begins_statement(words: Sequence[str]) -> bool:
    # Inside braces no line says `:`, and none begins with these words.
    if not words:
        return False
    if ":" in words:
        before = words[: words.index(":")]
        return all(word in ",@-.." or word[0] in _WORD for word in before)
    return words[0] in ("let", "include", "[")


def comment_of(line: str) -> str | None:
    """The comment at the end of a line, `#` and all; None without one."""
    if "#" not in line:
        return None
    spans = spans_of(line)
    at = line.find("#", spans[-1][1] if spans else 0)
    return line[at:].rstrip() if at >= 0 else None


def _word_end(line: str, at: int) -> int:
    # Letters and digits, and single dots between digits: 6.12 is one word, 0..3 three.
    end = len(line)
    while at < end:
        dot = line[at] == "." and line[at + 1 : at + 2] not in ("", ".") and line[at - 1] != "."
        if not dot and line[at] not in _WORD:
            break
        at += 1
    return at


def plain(line: str) -> bool:
    """Whether a line holds nothing but printable ASCII and tabs."""
    return line.isascii() and (line.isprintable() or line.replace("\t", " ").isprintable())


def is_name(word: str) -> bool:
    """Whether a word can name a call, an argument, a constant or a set."""
    return word[0] in _LETTERS and word.isidentifier() and word.isascii()


def number(word: str) -> int | None:
    """The value of decimal, 0x or leading-0 octal digits; None for anything else. 2**64 for whatever is too large."""
    digits, base = word, 10
    if word[:2] in ("0x", "0X"):
        digits, base = word[2:], 16
    elif word[0] == "0" and len(word) > 1:
        digits, base = word[1:], 8
    if not digits or digits.strip(_DIGITS[base]):
        return None
    # Long digits are never converted: decimal conversion takes quadratic time, and Python refuses 4,300 digits.
    return int(digits, base) if len(digits.lstrip("0")) <= 22 else 1 << 64
