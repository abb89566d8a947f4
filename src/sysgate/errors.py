"""What can go wrong, each with its own type, all under SysgateError."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from sysgate.call import Call


_LONGEST = 160  # characters of a line that an error shows
_BEFORE = 60  # of which so many stand before a mistake far to the right


class SysgateError(Exception):
    """Anything sysgate refuses or fails at."""


class PolicyError(SysgateError):
    """A policy that is wrong, said so that it can be put right.

    file, line, column: where (line and column from 1; None where there is no place in a text).
    message: what is wrong. hint: what to do, "" if nothing helps. source: the line of text;
    width: how many characters of it the caret underlines.
    errors: every mistake of the text in file order, this one first. `str()` shows them all.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        hint: str = "",
        source: str = "",
        width: int = 1,
        errors: Sequence[PolicyError] = (),
    ) -> None:
        super().__init__(message)
        self.message, self.hint, self.source, self.width = message, hint, source, width
        self.file, self.line, self.column = file, line, column
        self.errors: tuple[PolicyError, ...] = tuple(errors) or (self,)

    @classmethod
    def of(cls, errors: Sequence[PolicyError]) -> Self:
        """One error that is the first of these and carries them all. errors: at least one, in file order."""
        first = errors[0]
        return cls(
            first.message,
            file=first.file,
            line=first.line,
            column=first.column,
            hint=first.hint,
            source=first.source,
            width=first.width,
            errors=errors,
        )

    def __str__(self) -> str:
        return "\n".join(error._shown() for error in self.errors)

    def _shown(self) -> str:
        from sysgate.decode import escaped

        file = None if self.file is None else escaped(self.file) or "''"
        where = ":".join(str(part) for part in (file, self.line, self.column) if part is not None)
        message = "".join(map(_visible, self.message))
        lines = [f"{where}: {message}" if where else message]
        if self.source and self.column is not None:
            # Of a very long line only what stands around the mistake.
            start = self.column - 1 - _BEFORE if self.column > _LONGEST else 0
            shown = "".join(map(_visible, self.source[start : start + _LONGEST]))
            before = shown[: self.column - 1 - start]
            width = max(1, min(self.width, len(shown) - len(before)))
            lines += [f"    {shown}", f"    {''.join(map(_blank, before))}{'^' * width}"]
        if self.hint:
            lines.append(f"    {''.join(map(_visible, self.hint))}")
        return "\n".join(lines)


def _visible(char: str) -> str:
    """A character of a policy as a terminal may be shown it: never one that acts on the terminal."""
    if char.isprintable() or char == "\t":
        return char
    return chr(0x2400 + ord(char)) if ord(char) < 0x20 else "\ufffd"  # ␀ … ␟


def _blank(char: str) -> str:
    """As much room as a character takes. Tabs stay tabs, so that the caret stands right at any tab width."""
    if char.isascii():
        return "\t" if char == "\t" else " "
    from unicodedata import combining, east_asian_width

    return "" if combining(char) else "  " if east_asian_width(char) in ("W", "F") else " "


class CompileError(SysgateError):
    """A policy that cannot become a program for the architectures asked for."""


class UnfitError(PolicyError, CompileError):
    """A policy that says something which one of the architectures asked for lacks, with the place that says it."""


class BpfError(SysgateError):
    """Bytes that are no seccomp-BPF program: the kernel would refuse them."""


class ProofError(SysgateError):
    """A program that does not mean what its policy says.

    counterexample: a Call on which the two differ.
    """

    def __init__(self, message: str, counterexample: Call) -> None:
        super().__init__(message)
        self.counterexample = counterexample

    def __reduce__(self) -> tuple[type[ProofError], tuple[str, Call]]:
        return type(self), (str(self), self.counterexample)


class KernelError(SysgateError, OSError):
    """The kernel said no. errno: its error number; str() says what was asked and why it failed."""

    def __init__(self, errno: int, message: str) -> None:
        OSError.__init__(self, errno, message)
        self.message = message

    def __str__(self) -> str:
        return self.message
