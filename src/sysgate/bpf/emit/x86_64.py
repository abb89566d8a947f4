"""A few x86-64 instructions as bytes: what the launcher is written in.

Encodings: Intel SDM volume 2. Registers are named as there; every operand is 64 bits wide unless the name of the
method ends in 32 (which, as the processor has it, clears the upper half of its destination).
"""

from __future__ import annotations

RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 = range(16)

# Condition codes of Jcc: opcode 0F 80+cc.
BELOW, EQUAL, NOT_EQUAL, NEGATIVE, POSITIVE_OR_ZERO = 0x2, 0x4, 0x5, 0x8, 0x9


class Assembler:
    """Machine code under construction; `code()` is the finished bytes.

    Memory operands are base + displacement, with a displacement of 32 bits; base is never RSP or R12, whose
    encodings need a SIB byte (except in `load_indexed`). Jumps are rel32, to labels bound before or after them.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._labels: dict[str, int] = {}
        self._fixups: list[tuple[int, str]] = []

    def label(self, name: str) -> None:
        """Bind name to the next instruction."""
        assert name not in self._labels
        self._labels[name] = len(self._bytes)

    def code(self) -> bytes:
        """The bytes, every jump resolved."""
        done = bytearray(self._bytes)
        for place, name in self._fixups:
            distance = self._labels[name] - (place + 4)
            done[place : place + 4] = distance.to_bytes(4, "little", signed=True)
        return bytes(done)

    def _op(self, *opcode: int, reg: int, rm: int, wide: bool) -> None:
        # REX: 0100WRXB; R extends ModRM.reg, B extends ModRM.rm.
        rex = 0x40 | wide << 3 | (reg >> 3) << 2 | rm >> 3
        if rex != 0x40:
            self._bytes.append(rex)
        self._bytes += bytes(opcode)

    def _registers(self, *opcode: int, reg: int, rm: int, wide: bool) -> None:
        self._op(*opcode, reg=reg, rm=rm, wide=wide)
        self._bytes.append(0xC0 | (reg & 7) << 3 | rm & 7)

    def _memory(self, *opcode: int, reg: int, base: int, offset: int, wide: bool) -> None:
        assert base & 7 != RSP
        self._op(*opcode, reg=reg, rm=base, wide=wide)
        self._bytes.append(0x80 | (reg & 7) << 3 | base & 7)
        self._bytes += offset.to_bytes(4, "little", signed=True)

    def _indexed32(self, opcode: int, *, reg: int, base: int, index: int, scale: int, offset: int) -> None:
        # [base + index * scale + disp8]: ModRM.rm = 100 announces a SIB byte.
        rex = 0x40 | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3
        self._bytes += bytes((rex, opcode, 0x44 | (reg & 7) << 3))
        self._bytes += bytes((scale.bit_length() - 1 << 6 | (index & 7) << 3 | base & 7, offset))

    def set32(self, reg: int, value: int) -> None:
        """reg = value, an unsigned number of 32 bits (shorter where it is 0)."""
        if value == 0:
            self._registers(0x31, reg=reg, rm=reg, wide=False)
            return
        if reg >> 3:
            self._bytes.append(0x41)
        self._bytes.append(0xB8 | reg & 7)
        self._bytes += value.to_bytes(4, "little")

    def copy(self, to: int, source: int) -> None:
        """to = source."""
        self._registers(0x89, reg=source, rm=to, wide=True)

    def load(self, reg: int, base: int, offset: int) -> None:
        """reg = 8 bytes at [base + offset]."""
        self._memory(0x8B, reg=reg, base=base, offset=offset, wide=True)

    def load32(self, reg: int, base: int, offset: int) -> None:
        """reg = 4 bytes at [base + offset], the upper half zero."""
        self._memory(0x8B, reg=reg, base=base, offset=offset, wide=False)

    def load_indexed32(self, reg: int, base: int, index: int) -> None:
        """reg = 4 bytes at [base + index * 4], the upper half zero."""
        self._indexed32(0x8B, reg=reg, base=base, index=index, scale=4, offset=0)

    def store_indexed32(self, base: int, index: int, offset: int, reg: int) -> None:
        """4 bytes at [base + index * 8 + offset] = the low half of reg; offset of 8 bits."""
        self._indexed32(0x89, reg=reg, base=base, index=index, scale=8, offset=offset)

    def address(self, reg: int, base: int, offset: int) -> None:
        """reg = base + offset (LEA)."""
        self._memory(0x8D, reg=reg, base=base, offset=offset, wide=True)

    def address_after(self, reg: int, index: int, offset: int) -> None:
        """reg = rsp + index * 8 + offset, offset of 8 bits (LEA)."""
        rex = 0x48 | (reg >> 3) << 2 | (index >> 3) << 1
        self._bytes += bytes((rex, 0x8D, 0x44 | (reg & 7) << 3, 0xC0 | (index & 7) << 3 | RSP, offset))

    def store32(self, base: int, offset: int, reg: int) -> None:
        """4 bytes at [base + offset] = the low half of reg."""
        self._memory(0x89, reg=reg, base=base, offset=offset, wide=False)

    def store(self, base: int, offset: int, reg: int) -> None:
        """8 bytes at [base + offset] = reg."""
        self._memory(0x89, reg=reg, base=base, offset=offset, wide=True)

    def add(self, reg: int, value: int) -> None:
        """reg += value, a signed number of 32 bits."""
        self._registers(0x81, reg=0, rm=reg, wide=True)
        self._bytes += value.to_bytes(4, "little", signed=True)

    def negate32(self, reg: int) -> None:
        """reg = -reg."""
        self._registers(0xF7, reg=3, rm=reg, wide=False)

    def compare32(self, reg: int, value: int) -> None:
        """Set the flags for reg - value, a signed number of 32 bits."""
        self._registers(0x81, reg=7, rm=reg, wide=False)
        self._bytes += value.to_bytes(4, "little", signed=True)

    def compare_registers32(self, left: int, right: int) -> None:
        """Set the flags for left - right."""
        self._registers(0x39, reg=right, rm=left, wide=False)

    def test_bits32(self, reg: int, bits: int) -> None:
        """Set the flags for reg & bits, an unsigned number of 32 bits."""
        self._registers(0xF7, reg=0, rm=reg, wide=False)
        self._bytes += bits.to_bytes(4, "little")

    def test32(self, reg: int) -> None:
        """Set the flags by the sign and zeroness of reg's low half."""
        self._registers(0x85, reg=reg, rm=reg, wide=False)

    def test(self, reg: int) -> None:
        """Set the flags by the sign and zeroness of reg."""
        self._registers(0x85, reg=reg, rm=reg, wide=True)

    def jump(self, label: str) -> None:
        """Go to label."""
        self._bytes.append(0xE9)
        self._target(label)

    def jump_if(self, condition: int, label: str) -> None:
        """Go to label where the flags say condition."""
        self._bytes += bytes((0x0F, 0x80 | condition))
        self._target(label)

    def _target(self, label: str) -> None:
        self._fixups.append((len(self._bytes), label))
        self._bytes += bytes(4)

    def system_call(self, number: int) -> None:
        """rax = the call's answer; rcx and r11 are lost (the other registers stay, as the x86-64 ABI says)."""
        self.set32(RAX, number)
        self._bytes += b"\x0f\x05"
