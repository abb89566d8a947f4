"""The narrowest test, in the policy language, that a person would write to let a call through.

A `Box` says per argument what is let through: descriptors by whether they are standard ones, flags as the most that may
be set, other constants one by one. What a filter cannot judge (strings, structures) or that changes from run to run
(sizes, addresses, process numbers) is left out. Boxes of one call can be joined.
"""

from __future__ import annotations

from sysgate import decode
from sysgate.facts import constants, prototypes
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sysgate.call import Call
    from sysgate.facts.prototypes import Argument

_STANDARD = 3  # descriptors below are standard streams; others are numbered as it happens
_WRITES = ("O_WRONLY", "O_RDWR", "O_ACCMODE", "O_CREAT", "O_TRUNC", "O_TMPFILE", "__O_TMPFILE", "O_APPEND")


class Clause(Value):
    """What one argument may be.

    form: "fd" (values below 3, and 3 for any other), "flags" (the bits that may be set), "open" (likewise, but while
    nothing is written or made all that only reads) or "enum" (values). names: value → how it is written.
    """

    argument: str
    form: str
    values: frozenset[int]
    names: tuple[tuple[int, str], ...]

    def text(self) -> str:
        """The test."""
        written = dict(self.names)
        spelled = [written.get(value, hex(value)) for value in sorted(self.values)]
        if self.form == "open" and not any(name in _WRITES for name in spelled):
            return f"({self.argument} & O_ACCMODE) == O_RDONLY"
        if self.form in ("flags", "open"):
            return _flags_text(self.argument, [name for name in spelled if name != "0"])
        if self.form == "fd":
            return self._fd_text()
        if len(spelled) > 1:
            return f"{self.argument} in {{{', '.join(spelled)}}}"
        return f"{self.argument} == ({spelled[0]})" if "|" in spelled[0] else f"{self.argument} == {spelled[0]}"

    def _fd_text(self) -> str:
        low = sorted(value for value in self.values if value < _STANDARD)
        if len(low) == len(self.values):
            listed = ", ".join(map(str, low))
            return f"{self.argument} == {listed}" if len(low) == 1 else f"{self.argument} in {{{listed}}}"
        if not low:
            return f"{self.argument} >= {_STANDARD}"
        tests = [f"{self.argument} == {value}" for value in low]
        return f"({' || '.join(tests)} || {self.argument} >= {_STANDARD})"


class Box(Value):
    """A call and what its arguments may be; without clauses it is let through always."""

    call: str
    clauses: tuple[Clause, ...]

    def text(self) -> str:
        """The test: `1` where there is nothing to test."""
        return " && ".join(clause.text() for clause in self.clauses) or "1"


def box(call: Call) -> Box | None:
    """The box of one call; None for a call that no table names."""
    name = call.name
    if name is None or not isinstance(call.arch, str):
        return None
    declared = prototypes.prototype(name, call.arch)
    arguments = enumerate(declared.args or () if declared else ())
    clauses = (_clause(name, call, at, argument) for at, argument in arguments if argument.regs)
    return Box(name, tuple(clause for clause in clauses if clause))


def joined(boxes: Iterable[Box]) -> tuple[Box, ...]:
    """One box a call, in order of first sight, that lets through all that its boxes do."""
    found: dict[str, Box] = {}
    for each in boxes:
        known = found.get(each.call)
        found[each.call] = each if known is None else _join(known, each)
    return tuple(found.values())


def _join(one: Box, other: Box) -> Box:
    theirs = {(clause.argument, clause.form): clause for clause in other.clauses}
    clauses = []
    for mine in one.clauses:
        their = theirs.get((mine.argument, mine.form))
        # What only one of them tests, the join cannot.
        if their:
            names = tuple(sorted({**dict(mine.names), **dict(their.names)}.items()))
            clauses.append(Clause(mine.argument, mine.form, mine.values | their.values, names))
    return Box(one.call, tuple(clauses))


def _clause(name: str, call: Call, place: int, argument: Argument) -> Clause | None:
    assert isinstance(call.arch, str)
    value = _value(argument, call.args)
    if argument.kind == "fd":
        # A directory's descriptor says little, and -1 stands for none.
        if place > 0 or value > 1 << 30 or "dfd" in argument.name or "dirfd" in argument.name:
            return None
        return Clause(argument.name, "fd", frozenset((min(value, _STANDARD),)), ())
    if argument.kind not in ("flags", "enum", "cmd", "signal", "int"):
        return None
    families = [each for each in constants.families(name, argument.name) if each.form != "zero"]
    if not families or any(each.when and not each.when.startswith("arch:") for each in families):
        return None
    family = families[0]
    spelled = _spelled(name, argument, call.arch, value)
    if family.form == "flags":
        if value == (1 << argument.bits) - 1 or family.families == ("file_mode",):
            return None
        form = "open" if "open_accmode" in family.families else "flags"
        return _flags_clause(form, argument.name, value, spelled, call.arch)
    return Clause(argument.name, "enum", frozenset((value,)), ((value, spelled),))


def _flags_clause(form: str, argument: str, value: int, spelled: str, arch: str) -> Clause:
    names: dict[int, str] = {}
    for word in spelled.split("|"):
        bits = _number(word) if word[0].isdigit() else constants.value(word, arch)
        if bits:
            names[bits] = word
    total = 0
    for bits in names:
        total |= bits
    if total != value:  # O_ACCMODE's 3, which has no name; what is spelled in a way that is not the language's
        names = {value: hex(value)}
    if form == "open" and value & 3 == 3:
        form = "flags"
    return Clause(argument, form, frozenset(names), tuple(sorted(names.items())))


def _number(word: str) -> int:
    return int(word, 8) if word.isdigit() else int(word, 16)


def _flags_text(argument: str, names: list[str]) -> str:
    if not names:
        return f"{argument} == 0"
    return f"!({argument} & ~{names[0]})" if len(names) == 1 else f"!({argument} & ~({'|'.join(names)}))"


def _spelled(name: str, argument: Argument, arch: str, value: int) -> str:
    text = decode.value(name, argument.name, arch, value)
    return text if all(letter.isalnum() or letter in "_|" for letter in text) else hex(value)


def _value(argument: Argument, words: tuple[int, ...]) -> int:
    word = words[argument.regs[0]]
    if len(argument.regs) == 2:
        word = word & 0xFFFF_FFFF | words[argument.regs[1]] << 32
    return word & ((1 << argument.bits) - 1)
