"""The instructions of classic BPF as seccomp takes them: codes by the kernel's names.

Fields: include/uapi/linux/bpf_common.h and filter.h. A code is class | size or operation | mode or source.
"""

from __future__ import annotations

# classes
BPF_LD, BPF_LDX, BPF_ST, BPF_STX, BPF_ALU, BPF_JMP, BPF_RET, BPF_MISC = range(8)
# size of a load: the only one seccomp allows
BPF_W = 0x00
# mode of a load
BPF_IMM, BPF_ABS, BPF_MEM, BPF_LEN = 0x00, 0x20, 0x60, 0x80
# operations
BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR, BPF_AND, BPF_LSH, BPF_RSH = range(0x00, 0x80, 0x10)
BPF_NEG, BPF_MOD, BPF_XOR = 0x80, 0x90, 0xA0
BPF_JA, BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET = range(0x00, 0x50, 0x10)
# source of the second operand; BPF_A only for returns
BPF_K, BPF_X, BPF_A = 0x00, 0x08, 0x10
BPF_TAX, BPF_TXA = 0x00, 0x80

BPF_MAXINSNS = 4096  # include/uapi/linux/bpf_common.h
BPF_MEMWORDS = 16  # scratch words M[0] … M[15], include/uapi/linux/filter.h

# Whole codes, for those who emit or read programs.
LD_ABS = BPF_LD | BPF_W | BPF_ABS
LD_LEN = BPF_LD | BPF_W | BPF_LEN
LD_IMM = BPF_LD | BPF_IMM
LD_MEM = BPF_LD | BPF_MEM
LDX_LEN = BPF_LDX | BPF_W | BPF_LEN
LDX_IMM = BPF_LDX | BPF_IMM
LDX_MEM = BPF_LDX | BPF_MEM
ST = BPF_ST
STX = BPF_STX
RET_K = BPF_RET | BPF_K
RET_A = BPF_RET | BPF_A
TAX = BPF_MISC | BPF_TAX
TXA = BPF_MISC | BPF_TXA
JA = BPF_JMP | BPF_JA
JEQ_K, JEQ_X = BPF_JMP | BPF_JEQ | BPF_K, BPF_JMP | BPF_JEQ | BPF_X
JGT_K, JGT_X = BPF_JMP | BPF_JGT | BPF_K, BPF_JMP | BPF_JGT | BPF_X
JGE_K, JGE_X = BPF_JMP | BPF_JGE | BPF_K, BPF_JMP | BPF_JGE | BPF_X
JSET_K, JSET_X = BPF_JMP | BPF_JSET | BPF_K, BPF_JMP | BPF_JSET | BPF_X
ADD_K, ADD_X = BPF_ALU | BPF_ADD | BPF_K, BPF_ALU | BPF_ADD | BPF_X
SUB_K, SUB_X = BPF_ALU | BPF_SUB | BPF_K, BPF_ALU | BPF_SUB | BPF_X
MUL_K, MUL_X = BPF_ALU | BPF_MUL | BPF_K, BPF_ALU | BPF_MUL | BPF_X
DIV_K, DIV_X = BPF_ALU | BPF_DIV | BPF_K, BPF_ALU | BPF_DIV | BPF_X
AND_K, AND_X = BPF_ALU | BPF_AND | BPF_K, BPF_ALU | BPF_AND | BPF_X
OR_K, OR_X = BPF_ALU | BPF_OR | BPF_K, BPF_ALU | BPF_OR | BPF_X
XOR_K, XOR_X = BPF_ALU | BPF_XOR | BPF_K, BPF_ALU | BPF_XOR | BPF_X
LSH_K, LSH_X = BPF_ALU | BPF_LSH | BPF_K, BPF_ALU | BPF_LSH | BPF_X
RSH_K, RSH_X = BPF_ALU | BPF_RSH | BPF_K, BPF_ALU | BPF_RSH | BPF_X
NEG = BPF_ALU | BPF_NEG

JUMPS = frozenset({JEQ_K, JEQ_X, JGT_K, JGT_X, JGE_K, JGE_X, JSET_K, JSET_X})
"""The conditional jumps. JA is not among them: its distance is k."""

MNEMONICS = {
    LD_ABS: "ld",
    LD_LEN: "ld",
    LD_IMM: "ld",
    LD_MEM: "ld",
    LDX_LEN: "ldx",
    LDX_IMM: "ldx",
    LDX_MEM: "ldx",
    ST: "st",
    STX: "stx",
    RET_K: "ret",
    RET_A: "ret",
    TAX: "tax",
    TXA: "txa",
    JA: "ja",
    JEQ_K: "jeq",
    JEQ_X: "jeq",
    JGT_K: "jgt",
    JGT_X: "jgt",
    JGE_K: "jge",
    JGE_X: "jge",
    JSET_K: "jset",
    JSET_X: "jset",
    ADD_K: "add",
    ADD_X: "add",
    SUB_K: "sub",
    SUB_X: "sub",
    MUL_K: "mul",
    MUL_X: "mul",
    DIV_K: "div",
    DIV_X: "div",
    AND_K: "and",
    AND_X: "and",
    OR_K: "or",
    OR_X: "or",
    XOR_K: "xor",
    XOR_X: "xor",
    LSH_K: "lsh",
    LSH_X: "lsh",
    RSH_K: "rsh",
    RSH_X: "rsh",
    NEG: "neg",
}
"""Every code that seccomp accepts (kernel/seccomp.c, seccomp_check_filter), with its assembler name.

BPF_MOD passes bpf_check_classic but is missing in seccomp_check_filter: refused.
"""

# struct seccomp_data, include/uapi/linux/seccomp.h: int nr; u32 arch; u64 instruction_pointer; u64 args[6].
SECCOMP_DATA_SIZE = 64
NR, ARCH = 0, 4


def word_offset(index: int, *, high: bool, big_endian: bool) -> int:
    """Where half of args[index] lies in struct seccomp_data, in bytes. Index -1 is the instruction pointer."""
    return 16 + 8 * index + 4 * (high != big_endian)
