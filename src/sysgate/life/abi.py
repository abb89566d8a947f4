"""How a thread of this machine asks its kernel: of 64 bits or of 32."""

from __future__ import annotations

from sysgate.kernel import ptrace
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Abi(Value):
    """instruction: the bytes of the one that makes a call. words: the registers of the arguments."""

    name: str
    audit: int
    instruction: bytes
    words: tuple[int, ...]
    numbers: Mapping[str, int]


X86_64 = Abi(
    "x86_64",
    0xC000_003E,
    b"\x0f\x05",
    (ptrace.RDI, ptrace.RSI, ptrace.RDX, ptrace.R10, ptrace.R8, ptrace.R9),
    {"mmap": 9, "munmap": 11, "prctl": 157, "restart_syscall": 219, "seccomp": 317},
)
# mmap with six arguments is mmap2 there: arch/x86/entry/syscalls/syscall_32.tbl
I386 = Abi(
    "i386",
    0x4000_0003,
    b"\xcd\x80",
    (ptrace.RBX, ptrace.RCX, ptrace.RDX, ptrace.RSI, ptrace.RDI, ptrace.RBP),
    {"mmap": 192, "munmap": 91, "prctl": 172, "restart_syscall": 0, "seccomp": 354},
)


def abi_of(registers: Sequence[int]) -> Abi:
    """What a stopped thread's code segment says it speaks."""
    return I386 if registers[ptrace.CS] == ptrace.CS_32 else X86_64
