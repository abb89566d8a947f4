"""Named constants: the kernel's own values on each architecture, and which argument takes which."""

from __future__ import annotations

from sysgate.facts import table
from sysgate.facts.arches import ARCHES, letter
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Family(Value):
    """Constants an argument takes, all of one kind.

    families: names to give to `members`; empty for form "zero". form: "flags" (a bit mask), "enum" (one value),
    "enum+flags" (one value with flag bits or-ed in) or "zero" (reserved, must be 0).
    when: the condition on other arguments under which it takes them, as the tables word it; "" is always.
    """

    families: tuple[str, ...]
    form: str
    when: str

    @property
    def conditions(self) -> tuple[tuple[str, str], ...]:
        """The alternatives of `when` as (argument, constant): one must be equal. Empty where `when` is none such."""
        pairs = [part.partition("(")[0].split("==") for part in self.when.split("||")]
        if not all(len(pair) == 2 and pair[0].isidentifier() and pair[1].isidentifier() for pair in pairs):
            return ()
        return tuple((argument, constant) for argument, constant in pairs)


def value(name: str, arch: str) -> int | None:
    """A constant's value on an architecture; None where that lacks it, or nobody has it.

    Kernel values, not those of a C library (O_LARGEFILE is not 0). ioctl requests are unsigned 32-bit numbers.
    """
    key = name, arch
    if key not in _values:
        _values[key] = _value(name, arch) if arch in ARCHES else None
    return _values[key]


_values: dict[tuple[str, str], int | None] = {}


def _value(name: str, arch: str) -> int | None:
    found = table.row(f"constants_{arch}", name)
    if found is None:
        found, is_request = _shared(name)
        if found and is_request:
            return _request(found, letter(arch))
    return None if found is None or found[1] == "-" else int(found[1])


_rows: dict[str, tuple[list[str] | None, bool]] = {}


def _shared(name: str) -> tuple[list[str] | None, bool]:
    """The row that is for all architectures, and whether it is an ioctl request's."""
    if name not in _rows:
        constant = table.row("constants", name)
        _rows[name] = (constant, False) if constant else (table.row("ioctls", name), True)
    return _rows[name]


def _request(fields: list[str], here: str) -> int | None:
    spelled = fields[1]
    for exception in fields[2].split():
        letters, _, other = exception.partition("=")
        if here in letters:
            spelled = other
    return None if spelled == "-" else int(spelled, 16)


def exists(name: str) -> bool:
    """Whether some architecture has a constant or ioctl request of this name."""
    return _shared(name)[0] is not None


def families(call: str, argument: str) -> tuple[Family, ...]:
    """What an argument of a call takes, in table order; empty where the tables know no constants for it."""
    return tuple(
        Family(tuple(listed.split(",")) if listed else (), form, when)
        for _, taking, listed, form, when in table.rows_of("arguments", call)
        if taking == argument
    )


def kind(family: str) -> str | None:
    """ "flags" or "enum"; None for an unknown family."""
    found = table.row("families", family)
    return found[1] if found else None


def names(family: str) -> tuple[str, ...]:
    """The constants of a family on any architecture, sorted; empty for an unknown family."""
    found = table.row("families", family)
    return tuple(found[2].split()) if found else ()


_members: dict[tuple[str, str], Mapping[str, int]] = {}


def members(family: str, arch: str) -> Mapping[str, int]:
    """Name → value of a family on an architecture, sorted by name; empty for a family nobody knows."""
    key = family, arch
    if key not in _members:
        values = ((name, value(name, arch)) for name in names(family))
        _members[key] = {name: known for name, known in values if known is not None}
    return _members[key]


def families_with(name: str) -> tuple[str, ...]:
    """The families that list a constant, sorted."""
    return tuple(family for family, _, listed in table.rows("families") if name in listed.split())


def arguments_with(family: str) -> tuple[tuple[str, str], ...]:
    """The arguments that take a family, as (call, argument), sorted."""
    return tuple(
        (call, argument) for call, argument, listed, _, _ in table.rows("arguments") if family in listed.split(",")
    )


def header(name: str) -> str | None:
    """The kernel header that defines an ioctl request; None for other names."""
    found = table.row("ioctls", name)
    return found[3] if found else None


def ioctl_names(arch: str, request: int) -> tuple[str, ...]:
    """Every name an architecture has for an ioctl request number, sorted. request: unsigned 32 bits."""
    if arch not in ARCHES:
        return ()
    here, spelled, body, found = letter(arch), b"0x%08x" % (request & 0xFFFF_FFFF), table.body("ioctls"), []
    at = body.find(spelled)
    while at >= 0:
        fields = table.fields(body, body.rfind(b"\n", 0, at) + 1)
        if _request(fields, here) == request & 0xFFFF_FFFF:
            found.append(fields[0])
        at = body.find(spelled, body.index(b"\n", at))
    return tuple(found)


def spellings() -> tuple[str, ...]:
    """Every constant and ioctl request of any architecture, sorted: what to suggest a nearest spelling from."""
    return tuple(sorted(fields[0] for file in ("constants", "ioctls") for fields in table.rows(file)))
