"""A call as people write it, `openat(AT_FDCWD, _, O_RDWR|O_CREAT)`, into its number and register words."""

from __future__ import annotations

from sysgate.errors import PolicyError
from sysgate.facts import arches, calls, constants, prototypes
from sysgate.facts.nearest import nearest
from sysgate.policy.lexer import number
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn

_DEEPEST = 100
_ANY = ("_", "?", "...", "…")


class Asked(Value):
    """A call that is asked about. words: six, None for "any value"."""

    text: str
    arch: str
    nr: int
    words: tuple[int | None, ...]


def read(text: str, arch: str) -> Asked:
    """What text asks about, on arch unless it names another (`i386:socketcall(1)`).

    Arguments left out, `_` and strings (no filter sees what a pointer points at) are any value.
    Raises PolicyError with the place in text.
    """
    before, colon, _ = text.partition(":")
    named = arches.arch(before.strip()) if colon else None
    return _Reading(text, named.name if named else arch).call(len(before) + 1 if named else 0)


class _Reading:
    """Reads one text. Parts of it are told by where they start and end, so that a mistake is shown where it stands."""

    def __init__(self, text: str, arch: str) -> None:
        self.text, self.arch = text, arch

    def fail(self, part: tuple[int, int], message: str, hint: str = "") -> NoReturn:
        start, end = part
        raise PolicyError(
            message, file="<call>", line=1, column=start + 1, hint=hint, source=self.text, width=max(1, end - start)
        )

    def trimmed(self, start: int, end: int) -> tuple[int, int]:
        """A part without the spaces around it."""
        while start < end and self.text[start].isspace():
            start += 1
        while start < end and self.text[end - 1].isspace():
            end -= 1
        return start, end

    def near(self, word: str, candidates: Iterable[str]) -> str:
        close = nearest(word, candidates)
        return f"did you mean {close[0]}?" if close else ""

    def call(self, start: int) -> Asked:
        text, whole = self.text, (0, len(self.text))
        start, end = self.trimmed(start, len(text))
        while end > start and text[end - 1] == ";":
            start, end = self.trimmed(start, end - 1)
        opened = text.find("(", start, end)
        name = self.trimmed(start, end if opened < 0 else opened)
        if name[0] == name[1]:
            self.fail(whole, "there is no call's name", "a call is written `openat(AT_FDCWD, _, O_RDWR)`")
        if opened >= 0 and text[end - 1] != ")":
            self.fail((opened, opened + 1), "this parenthesis is not closed")
        if opened >= 0 and sum(text.count(sign, opened + 1, end) for sign in "(-~") > _DEEPEST:
            self.fail(whole, f"more than {_DEEPEST} parentheses and signs")
        nr = self.number(name)
        given = self.split(opened + 1, end - 1) if opened >= 0 else []
        return Asked(text, self.arch, nr, self.words(calls.name(self.arch, nr), given))

    def number(self, part: tuple[int, int]) -> int:
        name = self.text[part[0] : part[1]]
        digits = name.removeprefix("syscall_")
        negative = digits.startswith("-")
        plain = number(digits[negative:]) if digits[negative:] else None
        if plain is not None:
            plain = -plain if negative else plain
            if not -(1 << 31) <= plain < 1 << 32:
                self.fail(part, "a call's number has 32 bits")
            return plain & 0xFFFF_FFFF
        found = calls.resolve(self.arch, name)
        if found is None:
            hint = self.near(name, calls.table(self.arch)) or "`sysgate syscalls` lists them"
            self.fail(part, f"{self.arch} has no call {name!r}", hint)
        return calls.table(self.arch)[found] & 0xFFFF_FFFF

    def split(self, start: int, end: int) -> list[tuple[int, int]]:
        """The arguments between the parentheses; commas inside strings and parentheses do not part them."""
        text, parts, depth, quoted, began, at = self.text, [], 0, False, start, start
        while at < end:
            char = text[at]
            if quoted and char == "\\":
                at += 1
            elif char == '"':
                quoted = not quoted
            elif not quoted and char in "([{":
                depth += 1
            elif not quoted and char in ")]}":
                depth -= 1
                if depth < 0:
                    self.fail((at, at + 1), f"this `{char}` closes nothing")
            elif not quoted and depth == 0 and char == ",":
                parts.append(self.trimmed(began, at))
                began = at + 1
            at += 1
        if quoted or depth:
            self.fail(self.trimmed(began, end), "this quote is never closed" if quoted else "this is never closed")
        last = self.trimmed(began, end)
        return [*parts, last] if parts or last[0] < last[1] else []

    def value(self, start: int, end: int) -> int | None:
        """`A|B|0x10`, a name, a number, a complement; None for any value."""
        if self.text[start:end] in _ANY or self.text[start] in "\"'[{":
            return None
        value, depth, began = 0, 0, start
        for at in range(start, end + 1):
            char = self.text[at] if at < end else "|"
            depth += (char == "(") - (char == ")")
            if char == "|" and (depth == 0 or at == end):
                value |= self.atom(*self.trimmed(began, at))
                began = at + 1
        return value

    def atom(self, start: int, end: int) -> int:
        written = self.text[start:end]
        if written == "NULL":
            return 0
        if not written:
            self.fail((start, start + 1), "a constant is missing here")
        if written[0] in "-~":
            inner = self.atom(*self.trimmed(start + 1, end))
            return -inner if written[0] == "-" else ~inner
        if written[0] == "(" and written[-1] == ")":
            inside = self.trimmed(start + 1, end - 1)
            return (self.value(*inside) if inside[0] < inside[1] else None) or 0
        if written.startswith("htons(") and written.endswith(")"):
            inner = self.atom(*self.trimmed(start + len("htons("), end - 1))
            return inner if arches.named(self.arch).big_endian else (inner & 0xFF) << 8 | inner >> 8 & 0xFF
        plain = number(written)
        if plain is None:
            plain = constants.value(written, self.arch)
        if plain is None:
            self.fail((start, end), f"unknown constant {written!r}", self.near(written, constants.spellings()))
        return plain

    def words(self, call: str | None, given: list[tuple[int, int]]) -> tuple[int | None, ...]:
        """Each argument in the registers that hold it; a value split over two goes into both, low half first."""
        mask = (1 << arches.named(self.arch).register_bits) - 1
        declared = prototypes.prototype(call, self.arch) if call is not None else None
        places = declared.args if declared is not None and declared.args is not None else None
        most = 6 if places is None else len(places)
        if len(given) > most:
            part = given[most][0], given[-1][1]
            self.fail(part, f"{call or 'a call'} has at most {most} argument{'s' * (most != 1)}")
        words: list[int | None] = [None] * 6
        for place, part in enumerate(given):
            value = self.value(*part) if part[0] < part[1] else None
            registers = (place,) if places is None else places[place].regs
            if value is None:
                continue
            if not -(1 << 63) <= value < 1 << 64:
                self.fail(part, "an argument has 64 bits")
            for half, register in enumerate(registers):
                words[register] = value >> 32 * half & (0xFFFF_FFFF if len(registers) > 1 else mask)
        return tuple(words)
