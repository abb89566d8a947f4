"""Return values as the kernel understands them: two that it treats alike are one answer.

An answer is the 32-bit return value that stands for its class: data the kernel ignores is gone, an errno above
MAX_ERRNO is MAX_ERRNO, and an unknown action is the one that kills the process (kernel/seccomp.c, __seccomp_filter).
"""

from __future__ import annotations

from sysgate.action import MAX_ERRNO, from_ret
from sysgate.proof.spans import WORD, Spans, complement, union

_DATA = 0xFFFF
_KILL, _TRAP, _ERRNO, _TRACE = 0x8000_0000, 0x0003_0000, 0x0005_0000, 0x7FF0_0000
_KINDS = (_KILL, 0x0000_0000, _TRAP, _ERRNO, 0x7FC0_0000, _TRACE, 0x7FFC_0000, 0x7FFF_0000)

ALLOW = 0x7FFF_0000
# What a return value that is none of the answers asked about is taken for: it equals nothing.
OTHER = 1 << 32


def answer(ret: int) -> int:
    """The answer that a return value gives."""
    return from_ret(ret).ret


def returning(wanted: int) -> Spans:
    """The return values that give an answer."""
    kind = wanted & ~_DATA
    if kind == _KILL:
        known = union((each, each | _DATA) for each in _KINDS)
        return union((*complement(known, WORD), (_KILL, _KILL | _DATA)))
    if kind in (_TRAP, _TRACE):
        return ((wanted, wanted),)
    if kind == _ERRNO:
        return ((wanted, wanted),) if wanted & _DATA < MAX_ERRNO else ((wanted, kind | _DATA),)
    return ((kind, kind | _DATA),)
