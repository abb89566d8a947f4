"""One system call as a filter sees it: 2011's record, today's struct seccomp_data."""

from __future__ import annotations

from sysgate.value import Value

WORD = (1 << 64) - 1


class Call(Value):
    """A system call at the gate.

    arch: the architecture's name, or the AUDIT_ARCH number where no table has a name for it.
    nr: the number as `seccomp_data.nr` shows it, 0 … 2**32-1. args: six words, 0 … 2**64-1.
    ip: the instruction pointer. Layout: struct seccomp_data, include/uapi/linux/seccomp.h.
    """

    arch: str | int
    nr: int
    args: tuple[int, int, int, int, int, int] = (0, 0, 0, 0, 0, 0)
    ip: int = 0

    @property
    def name(self) -> str | None:
        """The call's name on its architecture; None where no table has one."""
        from sysgate.facts import calls

        return None if isinstance(self.arch, int) else calls.name(self.arch, self.nr)

    def __str__(self) -> str:
        from sysgate.decode import shown

        return shown(self)
