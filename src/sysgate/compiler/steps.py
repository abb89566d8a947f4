"""Hash-consed instructions: a program before it has an order.

A step is (code, k, then, else): a BPF instruction with its successors by index instead of distance. `else` is -1
unless it is a conditional jump, `then` is -1 for a return. Equal steps are one, so whatever two paths have in common
to their end is shared.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    Step = tuple[int, int, int, int]

# The opcodes the compiler emits (include/uapi/linux/bpf_common.h), spelled as numbers: this module is on the way of
# `sysgate run`, and bpf.insn names fifty more.
LD, LDX, RET = 0x20, 0x01, 0x06
JA, JEQ, JGT, JGE, JSET, JEQ_X = 0x05, 0x15, 0x25, 0x35, 0x45, 0x1D
AND, XOR, OR_X, TAX = 0x54, 0xA4, 0x4C, 0x07


class Steps:
    """A store of steps."""

    def __init__(self) -> None:
        self.all: list[Step] = []
        self._index: dict[Step, int] = {}

    def add(self, code: int, k: int, then: int = -1, otherwise: int = -1) -> int:
        """The index of a step. A jump whose two ways are the same is no step at all."""
        if then == otherwise != -1:
            return then
        step = (code, k, then, otherwise)
        found = self._index.get(step)
        if found is None:
            found = self._index[step] = len(self.all)
            self.all.append(step)
        return found
