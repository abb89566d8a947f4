"""A seccomp-BPF program as a value."""

from __future__ import annotations

from sysgate.value import Value

Insn = tuple[int, int, int, int]
"""One instruction: code, jt, jf, k, as in struct sock_filter (include/uapi/linux/filter.h)."""


class Program(Value):
    """Classic BPF instructions for seccomp. big_endian: the byte order of the machine it is for."""

    insns: tuple[Insn, ...]
    big_endian: bool
