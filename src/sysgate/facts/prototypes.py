"""What each call takes: its arguments as the kernel of each architecture uses them."""

from __future__ import annotations

from sysgate.facts import table
from sysgate.facts.arches import arch as arch_named
from sysgate.facts.arches import letter, lettered
from sysgate.value import Value


class Argument(Value):
    """One argument of a call on one architecture.

    name, ctype: as in the kernel's SYSCALL_DEFINE, without __user.
    bits: how many low bits of the value the kernel uses there: 64, 32, or 16 (umode_t, the old 16-bit ids).
    signed: how it reads them. kind: fd, path, string, flags, mode, enum, pointer, size, offset, pid, uid, gid,
    signal, address, time, int, cmd or unused. regs: the registers (0 … 5) that hold it, the low word first;
    empty where a filter cannot see it. cast_bits: what the definition's own type keeps; more than `bits` where the
    code behind it drops the rest (mmap's fd).
    """

    name: str
    ctype: str
    bits: int
    signed: bool
    kind: str
    regs: tuple[int, ...]
    cast_bits: int


class Prototype(Value):
    """A call's declaration on one architecture.

    args: None where the call was never implemented and its arguments are not known.
    ret: int, fd, size, address, offset, pid, uid, gid, time, or none (it does not return).
    status: "" or "removed" (the kernel had it) or "unimplemented" (it never had). implemented: False where this
    architecture has the number and answers ENOSYS.
    """

    name: str
    args: tuple[Argument, ...] | None
    ret: str
    status: str
    implemented: bool

    def argument(self, name: str) -> Argument | None:
        """The argument of that name; None where the call has none, or its arguments are not known."""
        return next((known for known in self.args or () if known.name == name), None)


_parsed: dict[tuple[str, str], Prototype | None] = {}


def prototype(call: str, arch: str) -> Prototype | None:
    """What a call takes on an architecture; None for an unknown call or architecture.

    A call the architecture lacks has a prototype nevertheless: that of the architectures that have it.
    """
    key = call, arch
    if key not in _parsed:
        _parsed[key] = _prototype(call, arch)
    return _parsed[key]


def overridden(call: str) -> tuple[str, ...]:
    """The architectures whose arguments differ from the call's usual ones, in table order."""
    return lettered("".join(sorted("".join(fields[1] for fields in table.rows_of("prototypes", f"{call}+")))))


def _prototype(call: str, arch: str) -> Prototype | None:
    # `call+` are the architectures that differ; no name has a character that sorts before "+".
    (fields, overrides), where = table.row_and_next("prototypes", call, "+"), arch_named(arch)
    if fields is None or where is None or call.endswith("+"):
        return None
    here = letter(where.name)
    name, _, ret, status, _, unimplemented, *args = fields
    for _, letters, *others in overrides:
        if here in letters:
            args = others
    # x32 and n32 count as 64-bit here: their registers are, and where compat code keeps 32 bits an override says so.
    narrow = where.register_bits == 32
    parsed = None if args == ["?"] else tuple(_argument(text, at, narrow) for at, text in enumerate(args))
    return Prototype(name, parsed, ret, status, not status and here not in unimplemented)


def _argument(text: str, position: int, narrow: bool) -> Argument:
    # The form is that of tools/make_facts.py, argument(): name,ctype,kind,size[,registers]
    name, ctype, kind, size, *registers = text.split(",")
    cast, _, used = size.partition(">")
    wide, _, small = cast.partition("/")
    bits = int(small) if narrow and small else int(wide[1:])
    regs = (position,) if not registers else tuple(map(int, registers[0].split("+"))) if registers[0] else ()
    exact = used or f"{wide[0]}{bits}"
    return Argument(name, ctype, int(exact[1:]), exact[0] == "s", kind, regs, bits)
