"""String tests as the kernel makes them: filter_parse_regex, regex_match_* and lib/glob.c, glob_match.

Bytes are compared, case counts, and the quirks are the kernel's: a glob that begins with a digit is no
glob; `*x` asks the end of the *buffer*, which for comm is 15 bytes filled up with NULs.
"""

from __future__ import annotations

from sysgate.policy.ftrace.chars import DIGIT
from sysgate.value import Value

COMM_LEN = 16  # TASK_COMM_LEN, include/linux/sched.h


class Pattern(Value):
    """How a string is compared.

    how: "full", "front", "middle", "end" or "glob". text: what with. negated: the answer is turned round.
    """

    how: str
    text: bytes
    negated: bool

    def holds(self, buffer: bytes) -> bool:
        """Whether a string passes. buffer: its bytes without the NUL at the end; for comm `padded(comm)`."""
        return self._found(buffer) is not self.negated

    def _found(self, buffer: bytes) -> bool:
        string = buffer.partition(b"\0")[0]
        if self.how == "full":
            return string == self.text
        if self.how == "front":
            return string.startswith(self.text)
        if self.how == "middle":
            return self.text in buffer
        if self.how == "end":
            return buffer.endswith(self.text)
        return glob(self.text, string)


def equal(text: bytes, *, negated: bool) -> Pattern:
    """The pattern of `== "text"` and `!= "text"`."""
    return Pattern("full", text, negated)


def match(text: bytes) -> Pattern:
    """The pattern of `~ "text"` (filter_parse_regex): a `!` in front negates."""
    negated = text.startswith(b"!")
    text = text[1:] if negated else text
    if text and text[0] in DIGIT:
        return Pattern("full", text, negated)
    how = _kind(text)
    if how in ("end", "middle"):
        text = text[1:]
    if how in ("front", "middle"):
        text = text[:-1]
    return Pattern(how, text, negated)


def _kind(text: bytes) -> str:
    how = "full"
    for at, byte in enumerate(text):
        if byte == ord("*"):
            if at == 0:
                how = "end"
            elif at == len(text) - 1:
                return "middle" if how == "end" else "front"
            else:
                return "glob"
        elif byte in b"[?\\":
            return "glob"
    return how


def padded(comm: bytes) -> bytes:
    """A task's name as the kernel keeps it: 15 bytes and a NUL, filled up with NULs."""
    return comm.partition(b"\0")[0][: COMM_LEN - 1].ljust(COMM_LEN - 1, b"\0")


def glob(pattern: bytes, string: bytes) -> bool:
    """Whether the whole string matches: `*`, `?`, `[a-z]`, `[!a-z]`, `\\` before a literal; no byte is special else."""
    at, seen = 0, 0
    retry: tuple[int, int] | None = None  # after the last `*`: where the pattern goes on, where to try next
    while True:
        if at < len(pattern) and pattern[at] == ord("*"):
            at += 1
            if at == len(pattern):
                return True
            retry = (at, seen)
            continue
        step = _one(pattern, at, string[seen] if seen < len(string) else None)
        if step is not None:
            if seen == len(string):
                return True  # both ended
            at, seen = step, seen + 1
            continue
        if retry is None or seen >= len(string):
            return False
        at, seen = retry[0], retry[1] + 1
        retry = (at, seen)


def _one(pattern: bytes, at: int, byte: int | None) -> int | None:
    """Where the pattern goes on after it took this byte (None: the string's end); None where it does not take it."""
    if at >= len(pattern):
        return at if byte is None else None
    head = pattern[at]
    if head == ord("?"):
        return None if byte is None else at + 1
    if head == ord("["):
        if byte is None:
            return None
        span = _class(pattern, at + 1, byte)
        if span is not None:
            taken, end = span
            return end if taken else None
    if head == ord("\\"):
        at += 1
        if at >= len(pattern):
            return at if byte is None else None
    return at + 1 if pattern[at] == byte else None


def _class(pattern: bytes, at: int, byte: int) -> tuple[bool, int] | None:
    """Whether a `[…]` takes the byte, and where it ends; None where it does not end (then `[` is a literal)."""
    inverted = pattern[at : at + 1] == b"!"
    at += inverted
    first, taken = at, False
    while at < len(pattern):
        low = pattern[at]
        if low == ord("]") and at > first:
            return taken is not inverted, at + 1
        at += 1
        high = low
        if pattern[at : at + 1] == b"-" and pattern[at + 1 : at + 2] != b"]":
            if at + 1 >= len(pattern):
                return None
            high = pattern[at + 1]
            at += 2
        taken = taken or low <= byte <= high
    return None
