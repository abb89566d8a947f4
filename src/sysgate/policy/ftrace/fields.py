"""What a filter can ask about: an event's own arguments, then the fields every event has.

The order of the search is kernel/trace/trace_events.c, trace_find_event_field; which tests a field allows
follows from its C type (kernel/trace/trace_events_filter.c, filter_assign_type).
"""

from __future__ import annotations

from sysgate.errors import PolicyError
from sysgate.facts import calls, ftrace_events, prototypes
from sysgate.facts.nearest import nearest
from sysgate.value import Value

MAX_REGISTERS = 6


class Field(Value):
    """A field of an event's record.

    kind: "number", "string" (a pointer to text), "comm", "cpu" or "stacktrace". size: bytes, 0 where the field is
    not in the record. signed: how < and > read it. register: which argument register it is; None for other fields.
    """

    name: str
    kind: str
    size: int
    signed: bool
    register: int | None = None

    @property
    def is_text(self) -> bool:
        """Whether it is compared with a quoted string, and with nothing else."""
        return self.kind in ("string", "comm")


class Event(Value):
    """A system call's enter event.

    name: with `sys_enter_`. call, arch: the call it fires for, and the architecture whose registers are meant.
    arguments: one field a register; nr: the call's number, None where the architecture lacks the call.
    split: arguments that no single register holds there.
    """

    name: str
    call: str
    arch: str
    nr: int | None
    arguments: tuple[Field, ...]
    split: tuple[str, ...] = ()

    def field(self, name: str) -> Field | None:
        """The field of that name, as the kernel looks it up; None where there is none."""
        return next((field for field in self.arguments if field.name == name), _SHARED.get(name))

    def names(self) -> tuple[str, ...]:
        """Every field, the event's own first."""
        own = [field.name for field in self.arguments]
        return (*own, *(name for name in _SHARED if name not in own))


# trace_define_generic_fields, trace_define_common_fields; __syscall_nr is of every sys_enter event.
_SHARED = {
    field.name: field
    for field in (
        Field("CPU", "cpu", 0, True),
        Field("cpu", "cpu", 0, True),
        Field("common_cpu", "cpu", 0, True),
        Field("COMM", "comm", 0, False),
        Field("comm", "comm", 0, False),
        Field("stacktrace", "stacktrace", 0, False),
        Field("STACKTRACE", "stacktrace", 0, False),
        Field("common_type", "number", 2, False),
        Field("common_flags", "number", 1, False),
        Field("common_preempt_count", "number", 1, False),
        Field("common_pid", "number", 4, True),
        Field("__syscall_nr", "number", 4, True),
    )
}


def event(name: str, arch: str) -> Event:
    """The event of that name on an architecture.

    name: `sys_enter_openat`, or an entry point's or a call's own name, with or without `sys_`. The kernel's table of
    events decides (x86_64); a call without an event there, or on another architecture, has its prototype's fields.
    Raises PolicyError for an unknown call, and for one whose arguments nobody knows.
    """
    key = name, arch
    if key not in _events:
        _events[key] = _event(name, arch)
    return _events[key]


_events: dict[tuple[str, str], Event] = {}


def _event(name: str, arch: str) -> Event:
    bare = name.removeprefix(ftrace_events.PREFIX)
    call = calls.resolve(arch, bare)
    listed = _listed(bare, arch)
    if listed is None and call is None and not calls.known(bare):
        near = nearest(bare, (*ftrace_events.names(), *calls.spellings()))
        hint = f"did you mean {near[0]}?" if near else "`sysgate syscalls` lists the calls"
        raise PolicyError(f"unknown event {name}", hint=hint)
    call = call or bare.removeprefix("sys_")
    if listed is None:
        return _from_prototype(call, arch)
    fields = tuple(_argument(own, ctype, register) for register, (own, ctype) in enumerate(listed))
    return Event(ftrace_events.PREFIX + bare, call, arch, calls.number(arch, call), fields)


def _listed(bare: str, arch: str) -> tuple[ftrace_events.Argument, ...] | None:
    if arch != "x86_64":
        return None
    found = ftrace_events.arguments(bare)
    return ftrace_events.arguments(bare[4:]) if found is None and bare.startswith("sys_") else found


def _from_prototype(call: str, arch: str) -> Event:
    known = prototypes.prototype(call, arch)
    if known is None or known.args is None:
        raise PolicyError(f"the arguments of {call} are not known", hint="only `1` and `0` can be said about it")
    single = [argument for argument in known.args if len(argument.regs) == 1]
    fields = tuple(_argument(argument.name, argument.ctype, argument.regs[0]) for argument in single)
    split = tuple(argument.name for argument in known.args if len(argument.regs) != 1)
    return Event(ftrace_events.PREFIX + call, call, arch, calls.number(arch, call), fields, split)


def _argument(name: str, ctype: str, register: int) -> Field:
    kind = "string" if ctype in ("char *", "const char *") else "number"
    return Field(name, kind, 8, False, register)
