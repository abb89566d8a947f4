"""What a policy calls a register, and how it writes the numbers beside it."""

from __future__ import annotations

from sysgate.decode import value as decoded
from sysgate.facts import constants, prototypes, spelling
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_WORD = 64
# Constants that are masks of a field; decoding never shows a value so.
_FIELD_MASKS = ("O_ACCMODE", "S_IFMT", "MAP_TYPE", "SOCK_TYPE_MASK", "CSIGNAL", "FUTEX_CMD_MASK")
_HEX_KINDS = ("flags", "pointer", "address", "path", "string", "mode")
_NEAR_ZERO = 4096
_LEAST_ENUM_FLAG = 0x80


class View(Value):
    """A register under one name: a call's argument, or the raw word.

    name: as rules write it. bits: how many low bits it has; signed: how they are read. call, argument: whose
    constants stand beside it, "" where nothing is known. kind: of the argument (facts.prototypes).
    """

    name: str
    register: int
    bits: int
    signed: bool
    arch: str
    call: str
    argument: str
    kind: str

    @property
    def full(self) -> int:
        """All its bits."""
        return (1 << self.bits) - 1


_views: dict[tuple[str, str | None], dict[int, tuple[View, ...]]] = {}


def views(arch: str, call: str | None) -> Mapping[int, tuple[View, ...]]:
    """For each register (0 … 5) its views, the argument's first where the call has one there, the raw word last.

    call: None for a number without a name.
    """
    key = arch, call
    if key not in _views:
        _views[key] = _of_call(arch, call)
    return _views[key]


def _of_call(arch: str, call: str | None) -> dict[int, tuple[View, ...]]:
    found: dict[int, tuple[View, ...]] = {}
    declared = prototypes.prototype(call, arch) if call else None
    for register in range(6):
        argument = next((one for one in (declared.args if declared else None) or () if one.regs == (register,)), None)
        known = (call or "", argument.name, argument.kind) if argument else ("", "", "")
        raw = View(f"reg{register}", register, _WORD, False, arch, *known)
        if argument is None:
            found[register] = (raw,)
        else:
            typed = View(argument.name, register, argument.bits, argument.signed, arch, *known)
            found[register] = typed, raw
    return found


def signature(arch: str, call: str | None, registers: tuple[int, ...]) -> tuple[object, ...]:
    """Equal for calls whose registers are called and read alike: what is written of one holds for the other."""
    known = views(arch, call)
    return tuple(
        (view.name, view.bits, view.signed, view.kind, _families(view) if view.call else ())
        for register in registers
        for view in known[register]
    )


def number(view: View, value: int) -> tuple[str, float]:
    """A value to be compared as an integer, and its cost. value: as the view reads it (negative where signed)."""
    if view.kind == "mode" and value >= 8:
        return f"0{value:o}", 1.0
    if abs(value) < 10 or (abs(value) < 0x1_0000 and view.kind not in _HEX_KINDS):
        return str(value), 1.0 if value >= 0 else 1.1
    return hex(value), 1 + len(hex(value)) / 8


_equals: dict[tuple[object, ...], tuple[str, float]] = {}


def equal(view: View, value: int, mask: int | None = None) -> tuple[str, float]:
    """A value to be compared for equality, by its constant's name where it has one, and its cost.

    value: its bits, unsigned. mask: under which the argument is compared with it; None without.
    """
    key = view.name, view.bits, view.signed, view.arch, view.call, view.argument, value, mask
    if key not in _equals:
        _equals[key] = _equal(view, value, mask)
    return _equals[key]


def _equal(view: View, value: int, mask: int | None) -> tuple[str, float]:
    # A few bits of a value that is no sum of flags are no constant, even if one has their number.
    if view.call and (mask is None or mask.bit_count() * 2 > view.bits or _is_field(view, mask)):
        named = decoded(view.call, view.argument, view.arch, value)
        if any(map(str.isalpha, named.replace("0x", ""))) and _means(named, view, value) and not _forced(named, value):
            if mask is not None and "|" in named:
                named = _without_zeros(named, view.arch)
            return named, 1.0 + named.count("|") / 2
    if mask is not None:  # a masked value is unsigned
        return number(view, value)
    signed = value - view.full - 1 if value >> view.bits - 1 else value
    if view.signed or (-_NEAR_ZERO < signed < 0 and view.kind not in _HEX_KINDS):
        return number(view, signed)
    return number(view, value)


_masks: dict[tuple[object, ...], tuple[str, float]] = {}


def mask(view: View, bits: int) -> tuple[str, float]:
    """A mask, and its cost."""
    key = view.bits, view.arch, view.call, view.argument, bits
    if key not in _masks:
        _masks[key] = _mask(view, bits)
    return _masks[key]


def _mask(view: View, bits: int) -> tuple[str, float]:
    straight = _flags(view, bits)
    if bits.bit_count() * 2 <= view.bits:
        return straight
    text, cost = _flags(view, view.full ^ bits)
    flipped = f"~({text})" if "|" in text else f"~{text}"
    return min(straight, (flipped, cost + 0.2), key=lambda spelled: (spelled[1], len(spelled[0])))


def _flags(view: View, bits: int) -> tuple[str, float]:
    found = _named_flags(view, bits)
    if found:
        return found
    text = str(bits) if bits < 10 else f"0{bits:o}" if view.kind == "mode" and bits < 1 << 16 else hex(bits)
    return text, 1 + len(text) / 12


def _named_flags(view: View, bits: int) -> tuple[str, float] | None:
    families = _families(view)
    if not families:
        return None
    if bits.bit_count() > 1:
        for name in _FIELD_MASKS:
            if constants.value(name, view.arch) == bits and any(map(families.__contains__, _in_families(name))):
                return name, 1.0
    kinds = [one for one in families if constants.kind(one) == "flags" and one != "file_mode"]
    if kinds and bits:
        text = _without_zeros(spelling.flags(bits, kinds, view.arch, view.call), view.arch)
    else:
        text = _or_ed(families, bits, view.arch)
    if not text or text.startswith("0x") or not _means(text, view, bits):
        return None
    return None if _forced(text, bits) else (text, 1 + text.count("|") / 2 + _unnamed(text) / 4)


# Flags that are or-ed to an enum's values: FUTEX_PRIVATE_FLAG, SCHED_RESET_ON_FORK. "" where a bit is none of them.
def _or_ed(families: tuple[str, ...], bits: int, arch: str) -> str:
    known = {name: value for family in families for name, value in constants.members(family, arch).items()}
    names = []
    for bit in (1 << at for at in range(bits.bit_length()) if bits >> at & 1):
        found = [name for name, value in known.items() if value == bit >= _LEAST_ENUM_FLAG]
        if not found:
            return ""
        names.append(min(found, key=lambda name: (not ("FLAG" in name or "_F_" in name), name)))
    return "|".join(names)


def _without_zeros(text: str, arch: str) -> str:
    """A mask without the constants that are 0 (O_RDONLY), which are values and no bits."""
    return "|".join(part for part in text.split("|") if constants.value(part, arch) != 0)


# Bits that are spelled as a number behind the names of others.
def _unnamed(text: str) -> int:
    return int(text.rpartition("|")[2], 16).bit_count() if "0x" in text else 0


# Whether names were forced on a value that is mostly something else.
def _forced(text: str, value: int) -> bool:
    return _unnamed(text) * 3 > value.bit_count()


_fields: dict[tuple[object, ...], bool] = {}
_families_of: dict[str, tuple[str, ...]] = {}
_known_families: dict[tuple[str, str, str], tuple[str, ...]] = {}


def _is_field(view: View, mask: int) -> bool:
    """Whether a mask is of flags, or cuts a field out of them."""
    key = view.bits, view.arch, view.call, view.argument, mask
    if key not in _fields:
        _fields[key] = _named_flags(view, mask) is not None
    return _fields[key]


def is_field(view: View, mask: int) -> bool:
    """Whether a mask is that of a field of several bits whose zero has a name: O_ACCMODE, with O_RDONLY."""
    return _mask(view, mask)[0] in _FIELD_MASKS and equal(view, 0, mask)[0][0].isalpha()


def _in_families(name: str) -> tuple[str, ...]:
    if name not in _families_of:
        _families_of[name] = constants.families_with(name)
    return _families_of[name]


def _families(view: View) -> tuple[str, ...]:
    """The families that the argument takes whatever the others are."""
    key = view.call, view.argument, view.arch
    if key not in _known_families:
        taken = constants.families(view.call, view.argument) if view.call else ()
        always = [name for family in taken if not family.when for name in family.families]
        _known_families[key] = tuple(always)
    return _known_families[key]


# Whether a policy that says `text` here says this value: decoding also shows what no policy takes (NULL, htons(…)).
def _means(text: str, view: View, value: int) -> bool:
    total = 0
    for part in text.split("|"):
        if part.isidentifier():
            known = constants.value(part, view.arch)
            if known is None:
                return False
        elif part.startswith("0x") or part.removeprefix("-").isdecimal():
            known = int(part, 16 if part.startswith("0x") else 8 if part[0] == "0" else 10)
        else:
            return False
        total |= known
    # A constant stands for its bits where it fits into as many (DESIGN, Arguments).
    return -(1 << view.bits - 1) <= total <= view.full and total & view.full == value & view.full
