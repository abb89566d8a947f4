"""A program as text for people: one line an instruction, with names for numbers, arguments, actions and jumps.

What the accumulator holds, and for which architectures and calls a line runs, is followed through the jumps, so
that `jeq #0x101` can say openat and `ld [32]` can say flags.
"""

from __future__ import annotations

from sysgate.action import from_ret
from sysgate.bpf import flow, insn
from sysgate.bpf.program import compared_arches
from sysgate.decode import value as decoded
from sysgate.facts import arches, calls, constants, prototypes
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.bpf.program import Insn, Program

_X32 = 0x4000_0000

_OPERATORS = {
    insn.BPF_ADD: "+",
    insn.BPF_SUB: "-",
    insn.BPF_MUL: "×",
    insn.BPF_DIV: "÷",
    insn.BPF_OR: "|",
    insn.BPF_AND: "&",
    insn.BPF_LSH: "<<",
    insn.BPF_RSH: ">>",
    insn.BPF_XOR: "^",
}
_TESTS = {insn.BPF_JEQ: "==", insn.BPF_JGT: ">", insn.BPF_JGE: ">=", insn.BPF_JSET: "&"}


class Line(Value):
    """One instruction. at: its index. text: assembler. meaning: in words. reached: False where no way leads there."""

    at: int
    text: str
    meaning: str
    reached: bool


def listing(program: Program, names: Sequence[str] = ()) -> str:
    """The program, one instruction a line. names: architectures whose names to use; none: those it tests for."""
    return "\n".join(shown(line) for line in lines(program, names))


def shown(line: Line) -> str:
    """One line of a listing."""
    meaning = line.meaning if line.reached else f"{line.meaning} (never reached)"
    return f"{line.at:04d}  {line.text:<28}  {meaning}".rstrip()


def lines(program: Program, names: Sequence[str] = ()) -> tuple[Line, ...]:
    """The instructions of a valid program. names as in `listing`."""
    states = flow.states(program.insns)
    usual = _usual_arches(program, names)
    found = []
    for at, (one, state) in enumerate(zip(program.insns, states)):
        reader = _Reader(state or flow.START, usual, program.big_endian)
        found.append(Line(at, _text(at, one), reader.meaning(at, one), state is not None))
    return tuple(found)


def action_text(ret: int) -> str:
    """What a return value makes the kernel do, as a policy would write it."""
    action = from_ret(ret)
    kind = "kill" if action.kind == "kill_process" else action.kind
    if kind == "errno":
        return f"errno({_errno(action.data)})"
    known = {"kill": 0x8000_0000}.get(kind, action.ret & 0xFFFF_0000)
    if ret & 0xFFFF_0000 != known:
        return f"{kind} (unknown action {ret:#x})"
    return f"{kind}({action.data})" if kind in ("trap", "trace") and action.data else kind


def _errno(number: int) -> str:
    names = [name for name, value in constants.members("errno", "x86_64").items() if value == number]
    return names[0] if names else str(number)


def _usual_arches(program: Program, names: Sequence[str]) -> tuple[str, ...]:
    if names:
        return tuple(names)
    tested = [arch.name for audit in compared_arches(program.insns) for arch in arches.by_audit(audit)]
    native = arches.native()
    return tuple(dict.fromkeys(tested)) or ((native.name,) if native else ())


def _text(at: int, one: Insn) -> str:
    code, jt, jf, k = one
    name = insn.MNEMONICS.get(code, f"code {code:#06x}")
    if code == insn.JA:
        return f"ja   {at + 1 + k:04d}"
    if code in insn.JUMPS:
        operand = "x" if code & insn.BPF_X else f"#{k:#x}"
        return f"{name:<4} {operand}, {at + 1 + jt:04d}, {at + 1 + jf:04d}"
    return f"{name:<4} {_operand(code, k)}".rstrip()


def _operand(code: int, k: int) -> str:
    if code == insn.LD_ABS:
        return f"[{k}]"
    if code in (insn.LD_LEN, insn.LDX_LEN):
        return "len"
    if code in (insn.LD_MEM, insn.LDX_MEM, insn.ST, insn.STX):
        return f"M[{k}]"
    if code in (insn.TAX, insn.TXA, insn.NEG):
        return ""
    if code == insn.RET_A:
        return "a"
    if code & 7 == insn.BPF_ALU and code & insn.BPF_X:
        return "x"
    return f"#{k:#x}"


def _argument_name(arch: str, call: str, index: int) -> str | None:
    declared = prototypes.prototype(call, arch)
    for argument in (declared.args if declared else None) or ():
        if index in argument.regs:
            return argument.name
    return None


class _Reader:
    """Puts one instruction into words, knowing what leads to it."""

    def __init__(self, state: flow.State, usual: tuple[str, ...], big_endian: bool) -> None:
        self.state, self.big_endian = state, big_endian
        if state.audits is None:
            self.arches = usual
        else:
            self.arches = tuple(arch.name for audit in sorted(state.audits) for arch in arches.by_audit(audit))

    def meaning(self, at: int, one: Insn) -> str:
        code, jt, jf, k = one
        if code == insn.LD_ABS:
            return f"A = {self._word(k)}"
        if code in insn.JUMPS:
            return self._jump(code, k, at + 1 + jt, at + 1 + jf)
        if code == insn.RET_K:
            return action_text(k)
        if code & 7 == insn.BPF_ALU and code != insn.NEG:
            return f"A = A {_OPERATORS.get(code & 0xF0, '?')} {'X' if code & insn.BPF_X else f'{k:#x}'}"
        simple = {
            insn.RET_A: "return A",
            insn.JA: f"→ {at + 1 + k:04d}",
            insn.TAX: "X = A",
            insn.TXA: "A = X",
            insn.NEG: "A = -A",
            insn.LD_IMM: f"A = {k:#x}",
            insn.LDX_IMM: f"X = {k:#x}",
            insn.LD_LEN: f"A = {insn.SECCOMP_DATA_SIZE}, the size of struct seccomp_data",
            insn.LDX_LEN: f"X = {insn.SECCOMP_DATA_SIZE}, the size of struct seccomp_data",
            insn.LD_MEM: f"A = M[{k}]",
            insn.LDX_MEM: f"X = M[{k}]",
            insn.ST: f"M[{k}] = A",
            insn.STX: f"M[{k}] = X",
        }
        return simple.get(code, "")

    def _word(self, offset: int) -> str:
        if offset == insn.NR:
            return "call number"
        if offset == insn.ARCH:
            return "architecture"
        half = "high half" if (offset % 8 == 4) != self.big_endian else "low half"
        if offset < 16:
            return f"instruction pointer, {half}"
        index = (offset - 16) // 8
        return f"{self._argument(index)}, {half}"

    def _argument(self, index: int) -> str:
        return f"args[{index}]" + "".join(f" ({name})" for name in self._argument_names(index))

    def _argument_names(self, index: int) -> list[str]:
        # The name that all calls which come here give this register, if they agree on one.
        names = {_argument_name(arch, call, index) for arch, call in self._calls()}
        return [name for name in names if name is not None] if len(names) == 1 else []

    def _calls(self) -> list[tuple[str, str]]:
        numbers = sorted(self.state.numbers or ())
        return [(arch, call) for arch in self.arches for nr in numbers if (call := calls.name(arch, nr))]

    def _jump(self, code: int, k: int, holds: int, fails: int) -> str:
        test, word, mask = _TESTS[code & 0xF0], self.state.word, self.state.mask
        operand = "X" if code & insn.BPF_X else f"{k:#x}"
        name = ""
        if not code & insn.BPF_X:
            if word == insn.ARCH and mask is None:
                operand = self._arch(k)
            elif word == insn.NR and mask is None:
                operand, name = self._number(k, test)
            elif word is not None and word >= 16 and (word % 8 == 0) != self.big_endian:
                name = self._constant((word - 16) // 8, k)
        return f"if A {test} {operand}{name} → {holds:04d}, else {fails:04d}"

    def _constant(self, index: int, k: int) -> str:
        # What the number means as the low half of an argument, where all calls that come here agree.
        found = set()
        for arch, call in self._calls():
            name = _argument_name(arch, call, index)
            shown = decoded(call, name, arch, k) if name else ""
            found.add(shown if any(c.isalpha() for c in shown.replace("0x", "")) and not shown.startswith("0x") else "")
        return f" ({found.pop()})" if len(found) == 1 and "" not in found else ""

    def _arch(self, audit: int) -> str:
        found = [arch.name for arch in arches.by_audit(audit)]
        return found[0] if found else f"{audit:#x}"

    def _number(self, k: int, test: str) -> tuple[str, str]:
        if test == "&":
            return f"{k:#x}", ""
        if k & _X32 and not any(calls.name(arch, k) for arch in self.arches):
            return f"{k:#x}", " (x32)" if k == _X32 and "x86_64" in self.arches else ""
        names = list(dict.fromkeys(name for arch in self.arches if (name := calls.name(arch, k))))
        return (f"{k}", f" ({'/'.join(names)})") if names else (f"{k}", "")
