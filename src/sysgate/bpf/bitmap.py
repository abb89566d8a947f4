"""Which calls the kernel answers from its constant-allow bitmap, without running the program.

Since Linux 5.11 (kernel/seccomp.c, seccomp_cache_prepare) the kernel emulates a program once for every call
number of the machine's own architecture and its compat one when it is installed, and marks those that reach
RET ALLOW by nothing but number and architecture.

Not counted here: uretprobe and uprobe (x86_64, 335 and 336), which kernels since 6.14 let through whatever
the program says (seccomp_uprobe_exception); a Decision tells what the program means.
"""

from __future__ import annotations

from sysgate.bpf import insn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.bpf.program import Program

_RET_ALLOW = 0x7FFF_0000

# SECCOMP_ARCH_NATIVE or SECCOMP_ARCH_COMPAT in some arch/*/include/asm/seccomp.h, by AUDIT_ARCH value:
# x86_64, i386, aarch64, arm, riscv64, s390x, ppc64le, loongarch64. No mips defines them.
_SERVED = {
    0xC000_003E: "x86_64",
    0x4000_0003: "i386",
    0xC000_00B7: "aarch64",
    0x4000_0028: "arm",
    0xC000_00F3: "riscv64",
    0x8000_0016: "s390x",
    0xC000_0015: "ppc64le",
    0xC000_0102: "loongarch64",
}
# arm's private calls (__ARM_NR_BASE) lie far above NR_syscalls.
_PRIVATE = 0xF_0000

_sizes: dict[int, int] = {}


def size(audit: int) -> int:
    """How many numbers, from 0 on, the bitmap has for an architecture; 0 where the kernel keeps none.

    NR_syscalls of the newest kernel that the tables know. x32 numbers are never among them: "treated as out
    of range" (arch/x86/include/asm/seccomp.h).
    """
    known = _sizes.get(audit)
    if known is None:
        name = _SERVED.get(audit)
        known = 0
        if name is not None:
            from sysgate.facts import calls

            known = 1 + max(number for number in calls.table(name).values() if number < _PRIVATE)
        _sizes[audit] = known
    return known


def served(program: Program, audit: int, nr: int) -> bool:
    """True where the kernel lets this call pass without running the program."""
    nr &= 0xFFFF_FFFF
    return nr < size(audit) and constant_allow(program, audit, nr)


def constant_allow(program: Program, audit: int, nr: int) -> bool:
    """What kernel/seccomp.c, seccomp_is_const_allow says: allowed, whatever the arguments, and simply enough."""
    insns = program.insns
    register = pc = 0
    while pc < len(insns):
        code, jt, jf, k = insns[pc]
        pc += 1
        if code == insn.JEQ_K:
            pc += jt if register == k else jf
        elif code == insn.JGE_K:
            pc += jt if register >= k else jf
        elif code == insn.JGT_K:
            pc += jt if register > k else jf
        elif code == insn.JSET_K:
            pc += jt if register & k else jf
        elif code == insn.JA:
            pc += k
        elif code == insn.LD_ABS:
            if k == insn.NR:
                register = nr
            elif k == insn.ARCH:
                register = audit
            else:
                return False
        elif code == insn.AND_K:
            register &= k
        else:
            return code == insn.RET_K and k == _RET_ALLOW
    return False
