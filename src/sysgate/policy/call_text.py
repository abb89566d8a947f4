"""A call as people write it, `openat(AT_FDCWD, _, O_RDWR|O_CREAT)`, into its number and register words."""

from __future__ import annotations

from sysgate.errors import PolicyError
from sysgate.facts import arches, calls, constants, prototypes
from sysgate.facts.nearest import nearest
from sysgate.policy.lexer import number
from sysgate.value import Value

_DEEPEST = 100
_ANY = ("", "_", "?", "...", "…")


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
    rest = text
    before, colon, after = text.partition(":")
    if colon and arches.arch(before.strip()):
        arch, rest = arches.arch(before.strip()).name, after  # type: ignore[union-attr]
    name, parenthesis, inside = rest.partition("(")
    name, inside = name.strip(), inside.rstrip().removesuffix(";").rstrip()
    if not name:
        raise _error(text, text, "there is no call's name", "a call is written `openat(AT_FDCWD, _, O_RDWR)`")
    if parenthesis and not inside.endswith(")"):
        raise _error(text, text, "the parenthesis is not closed", "")
    if sum(map(inside.count, "(-~")) > _DEEPEST:
        raise _error(text, text, f"more than {_DEEPEST} parentheses and signs", "")
    nr = _number(text, name, arch)
    given = _split(inside[:-1]) if parenthesis else []
    values = [_value(text, one, arch) for one in given]
    return Asked(text, arch, nr, _words(text, calls.name(arch, nr), arch, values))


def _number(text: str, name: str, arch: str) -> int:
    digits = name.removeprefix("syscall_")
    negative = digits.startswith("-")
    plain = number(digits[negative:]) if digits[negative:] else None
    if plain is not None and negative:
        plain = -plain
    if plain is not None:
        if not -(1 << 31) <= plain < 1 << 32:
            raise _error(text, name, "a call's number has 32 bits", "")
        return plain & 0xFFFF_FFFF
    found = calls.resolve(arch, name)
    if found is None:
        near = nearest(name, calls.table(arch))
        hint = f"did you mean {near[0]}?" if near else "`sysgate syscalls` lists them"
        raise _error(text, name or text, f"{arch} has no call {name!r}", hint)
    return calls.table(arch)[found] & 0xFFFF_FFFF


def _split(inside: str) -> list[str]:
    """The arguments between the parentheses; commas inside strings and parentheses do not part them."""
    parts, depth, quoted, start, at = [], 0, False, 0, 0
    while at < len(inside):
        char = inside[at]
        if quoted and char == "\\":
            at += 1
        elif char == '"':
            quoted = not quoted
        elif not quoted and char in "([{":
            depth += 1
        elif not quoted and char in ")]}":
            depth -= 1
        elif not quoted and depth == 0 and char == ",":
            parts.append(inside[start:at])
            start = at + 1
        at += 1
    last = inside[start:]
    return [part.strip() for part in ([*parts, last] if parts or last.strip() else [])]


def _value(text: str, written: str, arch: str) -> int | None:
    """`A|B|0x10`, a name, a number, a complement; None for any value."""
    if written in _ANY or written[:1] in "\"'[{":
        return None
    value = 0
    for part in written.split("|"):
        value |= _atom(text, part.strip(), arch)
    return value


def _atom(text: str, written: str, arch: str) -> int:
    if written == "NULL":
        return 0
    if written.startswith("-"):
        return -_atom(text, written[1:].strip(), arch)
    if written.startswith("~"):
        return ~_atom(text, written[1:].strip(), arch)
    if written.startswith("(") and written.endswith(")"):
        return _value(text, written[1:-1].strip(), arch) or 0
    if written.startswith("htons(") and written.endswith(")"):
        inner = _atom(text, written[6:-1].strip(), arch)
        known = arches.arch(arch)
        return inner if known is not None and known.big_endian else (inner & 0xFF) << 8 | inner >> 8 & 0xFF
    plain = number(written) if written else None
    if plain is None and written:
        plain = constants.value(written, arch)
    if plain is None:
        near = nearest(written, constants.spellings())
        raise _error(text, written, f"unknown constant {written!r}", f"did you mean {near[0]}?" if near else "")
    return plain


def _words(text: str, call: str | None, arch: str, values: list[int | None]) -> tuple[int | None, ...]:
    """Each argument in the registers that hold it; a value split over two goes into both, low half first."""
    known = arches.arch(arch)
    assert known is not None
    mask = (1 << known.register_bits) - 1
    prototype = prototypes.prototype(call, arch) if call is not None else None
    places = prototype.args if prototype is not None and prototype.args is not None else None
    if len(values) > (6 if places is None else len(places)):
        most = 6 if places is None else len(places)
        raise _error(text, text, f"{call or 'a call'} has at most {most} argument{'s' * (most != 1)}", "")
    words: list[int | None] = [None] * 6
    for place, value in enumerate(values):
        registers = (place,) if places is None else places[place].regs
        if value is None:
            continue
        if not -(1 << 63) <= value < 1 << 64:
            raise _error(text, text, "an argument has 64 bits", "")
        for half, register in enumerate(registers):
            words[register] = value >> 32 * half & (0xFFFF_FFFF if len(registers) > 1 else mask)
    return tuple(words)


def _error(text: str, part: str, message: str, hint: str) -> PolicyError:
    at = max(0, text.find(part))
    return PolicyError(message, file="<call>", line=1, column=at + 1, hint=hint, source=text, width=max(1, len(part)))
