"""One test of a filter, and what it says about a record: kernel/trace/trace_events_filter.c, filter_pred_*."""

from __future__ import annotations

import operator

from sysgate.policy.ftrace.fields import Field
from sysgate.policy.ftrace.pattern import Pattern, padded
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_U64 = (1 << 64) - 1
_U32 = (1 << 32) - 1
# Where a task's addresses end at the latest, and where the kernel's begin at the earliest (x86_64, five levels).
_USER_END = 0x00FF_FFFF_FFFF_FFFF
_KERNEL_START = 0xFF00_0000_0000_0000
_USTRING = 1023  # USTRING_BUF_SIZE without its NUL


class Record(Value):
    """A call, and what is known around it; None: not known.

    words: six registers. nr: the call's number. comm, cpu: the task's name and processor. common: `common_type` and
    its like, by name. strings: what a string argument points at, by field name; None in it: unreadable memory.
    """

    words: tuple[int, ...]
    nr: int | None = None
    comm: bytes | None = None
    cpu: int | None = None
    common: Mapping[str, int] | None = None
    strings: Mapping[str, bytes | None] | None = None

    def number(self, field: Field) -> int | None:
        """A field's value, without a sign, as wide as the field; None where it is not known."""
        if field.register is not None:
            return self.words[field.register]
        value = self.cpu if field.kind == "cpu" else (self.common or {}).get(field.name)
        if value is None and field.name == "__syscall_nr":
            value = self.nr
        return None if value is None else value & ((1 << 8 * (field.size or 4)) - 1)


class Number(Value):
    """`field op value`; value as the kernel parsed it, cut to the field's size only here."""

    field: Field
    op: str
    value: int

    def holds(self, record: Record) -> bool | None:
        bits = 8 * (self.field.size or 4)
        found = record.number(self.field)
        if found is None:
            return None
        wanted = self.value & ((1 << bits) - 1)
        if self.op == "&":
            # filter_pred_cpu knows no &: never true.
            return self.field.kind != "cpu" and found & wanted != 0
        if self.field.signed:
            found, wanted = _signed(found, bits), _signed(wanted, bits)
        return _COMPARE[self.op](found, wanted)


class Cpus(Value):
    """`field op CPUS{…}` for a list that is not of one processor (that is a Number). cpus: how many there are."""

    field: Field
    op: str
    members: frozenset[int]
    cpus: int

    def holds(self, record: Record) -> bool | None:
        found = record.number(self.field)
        if found is None:
            return None
        cpu = found & _U32
        if self.field.kind != "cpu" and cpu >= self.cpus:
            return False
        # do_filter_scalar_cpumask: one processor never equals a list.
        return cpu in self.members if self.op == "&" else self.op == "!="


class Text(Value):
    """`field op "text"`. user: read from the task's memory (`.ustring`)."""

    field: Field
    pattern: Pattern
    user: bool

    def holds(self, record: Record) -> bool | None:
        if self.field.kind == "comm":
            return None if record.comm is None else self.pattern.holds(padded(record.comm))
        address = record.number(self.field) or 0
        # With .ustring only the task's memory is read, without it only the kernel's: access_ok,
        # copy_from_kernel_nofault_allowed (arch/x86/mm/maccess.c). What is not read is no match.
        if address >= _KERNEL_START if self.user else address <= _USER_END:
            return False
        if self.field.name not in (record.strings or {}):
            return None
        string = (record.strings or {})[self.field.name]
        return string is not None and self.pattern.holds(string.partition(b"\0")[0][:_USTRING])


class Function(Value):
    """`field.function == name`: whether the address lies inside. low, high: None where addresses are not shown."""

    field: Field
    op: str
    low: int | None
    high: int | None

    def holds(self, record: Record) -> bool | None:
        found = record.number(self.field)
        if found is None or self.low is None or self.high is None:
            return None
        return (self.low <= found < self.high) is (self.op == "==")


class Never(Value):
    """A number asked of `stacktrace`, which has none: false whatever the operator."""

    field: Field

    def holds(self, record: Record) -> bool | None:
        return False


Predicate = Number | Cpus | Text | Function | Never


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
