"""The sys_enter events of x86_64 and the names and C types of their arguments, as tracefs shows them.

Every argument is one unsigned 8-byte register in the record, whatever its C type
(kernel/trace/trace_syscalls.c, syscall_enter_define_fields). Data: tools/make_ftrace_formats.py.
"""

from __future__ import annotations

from sysgate.facts import table

PREFIX = "sys_enter_"

Argument = tuple[str, str]
"""Name and C type of one argument."""


def arguments(event: str) -> tuple[Argument, ...] | None:
    """The arguments of an event, in register order; None for an event the table does not have.

    event: with or without `sys_enter_`; so an entry point's name, `newfstat` not `fstat`.
    """
    row = table.row("ftrace_formats", event.removeprefix(PREFIX))
    return None if row is None else tuple(_argument(field) for field in row[1:])


def _argument(field: str) -> Argument:
    ctype, _, name = field.rpartition(" ")
    return name, ctype


def names() -> tuple[str, ...]:
    """Every event, without `sys_enter_`, sorted."""
    return tuple(row[0] for row in table.rows("ftrace_formats"))
