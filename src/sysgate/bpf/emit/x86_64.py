"""A few x86-64 instructions as bytes.

Encodings: Intel SDM volume 2. Registers are named as there. Operands are 64 bits wide unless said otherwise.
"""

from __future__ import annotations

RAX, RCX, RDX, RBX, _RSP, RBP, RSI, RDI, R8, R9, R10 = range(11)

# Condition codes of Jcc: opcode 0F 80+cc.
ABOVE_OR_EQUAL, EQUAL, NOT_EQUAL = 0x3, 0x4, 0x5


class Assembler:
    """Machine code under construction; `code()` is the finished bytes.

    Memory operands are base + displacement of 32 bits; base is never RSP, whose encoding needs a SIB byte.
    Jumps are rel32, to labels bound before or after them.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._labels: dict[str, int] = {}
        self._fixups: list[tuple[int, str]] = []

    def label(self, name: str) -> None:
        """Bind name to the next instruction."""
        self._labels[name] = len(self._bytes)

    def code(self) -> bytes:
        """The bytes, every jump resolved."""
        done = bytearray(self._bytes)
        for place, name in self._fixups:
            distance = self._labels[name] - (place + 4)
            done[place : place + 4] = distance.to_bytes(4, "little", signed=True)
        return bytes(done)

    def push(self, reg: int) -> None:
        """Push one of the first eight registers."""
        self._bytes.append(0x50 | reg)

    def pop(self, reg: int) -> None:
        """Pop one of the first eight registers."""
        self._bytes.append(0x58 | reg)

    def ret(self) -> None:
        """Return to the caller."""
        self._bytes.append(0xC3)

    def set(self, reg: int, value: int) -> None:
        """reg = value, an unsigned number of 32 bits."""
        if reg >> 3:
            self._bytes.append(0x41)  # REX.B
        self._bytes.append(0xB8 | reg & 7)
        self._bytes += value.to_bytes(4, "little")

    def copy(self, to: int, source: int) -> None:
        """to = source."""
        self._registers(0x89, source, to)

    def load(self, reg: int, base: int, offset: int) -> None:
        """reg = 8 bytes at [base + offset]."""
        self._memory(0x8B, reg, base, offset)

    def store(self, base: int, offset: int, reg: int) -> None:
        """8 bytes at [base + offset] = reg."""
        self._memory(0x89, reg, base, offset)

    def address(self, reg: int, base: int, offset: int) -> None:
        """reg = base + offset."""
        self._memory(0x8D, reg, base, offset)

    def test(self, reg: int) -> None:
        """Set the flags by the sign and zeroness of reg."""
        self._registers(0x85, reg, reg)

    def compare(self, reg: int, value: int) -> None:
        """Set the flags for reg - value, a number of 32 bits that is extended by its sign."""
        self._registers(0x81, 7, reg)
        self._bytes += value.to_bytes(4, "little", signed=True)

    def jump(self, label: str) -> None:
        """Go to label."""
        self._bytes.append(0xE9)
        self._target(label)

    def jump_if(self, condition: int, label: str) -> None:
        """Go to label where the flags say condition (numbers are unsigned)."""
        self._bytes += bytes((0x0F, 0x80 | condition))
        self._target(label)

    def system_call(self) -> None:
        """Make call rax with rdi, rsi, rdx, r10, r8, r9; rax = its answer. rcx and r11 are lost, no other register."""
        self._bytes += b"\x0f\x05"

    def die(self) -> None:
        """Be killed by SIGILL."""
        self._bytes += b"\x0f\x0b"

    def _target(self, label: str) -> None:
        self._fixups.append((len(self._bytes), label))
        self._bytes += bytes(4)

    def _registers(self, opcode: int, reg: int, rm: int) -> None:
        # REX 0100WRXB: R extends ModRM.reg, B extends ModRM.rm. ModRM with mod 11: two registers.
        self._bytes += bytes((0x48 | (reg >> 3) << 2 | rm >> 3, opcode, 0xC0 | (reg & 7) << 3 | rm & 7))

    def _memory(self, opcode: int, reg: int, base: int, offset: int) -> None:
        # ModRM with mod 10: [base + disp32].
        self._bytes += bytes((0x48 | (reg >> 3) << 2 | base >> 3, opcode, 0x80 | (reg & 7) << 3 | base & 7))
        self._bytes += offset.to_bytes(4, "little", signed=True)
