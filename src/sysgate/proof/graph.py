"""A program as a graph of tests: its instructions run on unknown words, from the first to each return.

A node is a conditional jump together with what the registers hold there; moves and arithmetic have become part of
what is tested. Jumps only lead forward, so there is no cycle, and a node's successors come after it in the program.
"""

from __future__ import annotations

from sysgate.bpf import insn
from sysgate.errors import BpfError, CompileError
from sysgate.proof.answers import OTHER, answer, returning
from sysgate.proof.budget import Spent
from sysgate.proof.spans import NONZERO, WORD, ZERO, Spans, widened
from sysgate.proof.symbols import DATA, Symbols
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sysgate.bpf.program import Insn, Program

# struct seccomp_data as the words of a call, whatever the byte order: number, architecture, then the low and the
# high half of the instruction pointer and of each argument.
NR, ARCH, IP, ARGS = 0, 1, 2, 4
WORDS = 16
# No words of a call: what A and X hold after the launch ticket's test, which nobody but the launcher knows.
_SECRETS = (16, 17)

# What a node tests, in place of a word's index: an expression (its name in the store stands in place of the mask),
# or the launch ticket (spans has its place in Graph.tickets).
EXPRESSION = -1
TICKET = -2
COMPUTED = 1 << 33  # above all answers

# A program whose registers depend on the way taken has a node for each way. More than this is given up.
MAX_NODES = 50_000

Node = tuple[int, int, Spans, int, int, int]
_Memory = tuple[int, ...]

_NO_MEMORY: _Memory = (0,) * insn.BPF_MEMWORDS
_ALL: Spans = ((0, WORD),)
_RETURN_0 = -1  # in place of an instruction's index


class Graph(Value):
    """nodes: (word, mask, spans, yes, no, pc): where word & mask lies in spans go on with yes, else with no.

    Successors, and root: from 0 up the index of a node, below 0 an answer's complement (~answer), or that of
    COMPUTED + a place in symbols: what stands there is returned.
    word may also be EXPRESSION or TICKET. tickets: the six secret words in each test of the launch ticket.
    """

    nodes: tuple[Node, ...]
    root: int
    symbols: Symbols
    tickets: tuple[tuple[int, ...], ...]


def build(program: Program, symbols: Symbols, *, ticket: bool = False, answers: Iterable[int] | None = ()) -> Graph:
    """The graph of a program. ticket: take the launch ticket's test for one node.

    answers: what a computed return value (`ret a`) is told apart by, all else is OTHER; None leaves it COMPUTED.
    Raises BpfError where the program is not valid, Spent where its registers take too many states.
    """
    return _Builder(program, symbols, ticket, None if answers is None else tuple(answers)).graph()


class _Builder:
    def __init__(self, program: Program, symbols: Symbols, ticket: bool, answers: tuple[int, ...] | None) -> None:
        self.insns = program.insns
        self.symbols = symbols
        self.answers = answers
        self.data = {offset(word, program.big_endian): symbols.data(word) for word in range(WORDS)}
        self.tickets = tickets(self.insns, program.big_endian) if ticket else {}
        # Where A is the only register used, it alone tells states apart.
        self.live = None if {code for code, _, _, _ in self.insns} <= _ONLY_A else _live(self.insns)
        self.nodes: list[Node] = []
        self.names: dict[tuple[int, ...], int] = {}
        # Nodes whose successors are still to be made: index, then where to go on, and with which A, on yes and on no.
        self.todo: list[tuple[int, int, int, int, int, int, _Memory]] = []
        self.returns: dict[int, int] = {}

    def graph(self) -> Graph:
        try:
            root = self._land(0, 0, 0, _NO_MEMORY)
            nodes, todo, land = self.nodes, self.todo, self._land
            while todo:
                index, yes, yes_a, no, no_a, x, memory = todo.pop()
                word, mask, spans, _, _, pc = nodes[index]
                there = ~answer(0) if yes == _RETURN_0 else land(yes, yes_a, x, memory)
                nodes[index] = (word, mask, spans, there, land(no, no_a, x, memory), pc)
        except (IndexError, KeyError):
            raise BpfError("no valid program: it runs past its end, its data or its scratch memory") from None
        return Graph(tuple(nodes), root, self.symbols, tuple(self.tickets.values()))

    # The node, or answer, that is reached from a state without a test.
    def _land(self, pc: int, a: int, x: int, memory: _Memory) -> int:
        insns, data, live = self.insns, self.data, self.live
        while True:
            code, jt, jf, k = insns[pc]
            if code == insn.LD_ABS:
                a = data[k]
                if pc in self.tickets:
                    return self._ticket(pc, memory)
            elif code in insn.JUMPS:
                if live is None:
                    key: tuple[int, ...] = (pc, a)
                else:
                    x, memory = _lived(live[pc], x, memory)
                    key = (pc, a, x, *memory)
                if key in self.names:
                    return self.names[key]
                value, spans = self._test(code, a, x if code & insn.BPF_X else k)
                if value < 0 and spans and spans != _ALL:
                    return self._node(key, value, spans, (pc + 1 + jt, a, pc + 1 + jf, a, x, memory))
                pc += 1 + (jt if _within(value, spans) else jf)
                continue
            elif code == insn.RET_K:
                if k not in self.returns:
                    self.returns[k] = ~answer(k)
                return self.returns[k]
            elif code == insn.JA:
                pc += k
            elif code == insn.RET_A:
                return self._returned(pc, a)
            elif code & 0xF7 == insn.DIV_K and (x if code & insn.BPF_X else k) <= 0:
                if x == 0 or code == insn.DIV_K:
                    return ~answer(0)  # as bpf/machine has it
                return self._division(pc, a, x, memory)
            else:
                a, x, memory = self._moved(pc, a, x, memory)
            pc += 1

    # A, X and memory after an instruction that neither jumps nor returns.
    def _moved(self, pc: int, a: int, x: int, memory: _Memory) -> tuple[int, int, _Memory]:
        code, _, _, k = self.insns[pc]
        if code not in insn.MNEMONICS:
            raise BpfError(f"instruction {pc}: seccomp has no instruction with code {code:#06x}")
        if code & 7 == insn.BPF_ALU:
            return self.symbols.alu(code & 0xF0, a, x if code & insn.BPF_X else k), x, memory
        if code == insn.TAX:
            return a, a, memory
        if code == insn.TXA:
            return x, x, memory
        if code == insn.LD_IMM:
            return k, x, memory
        if code == insn.LDX_IMM:
            return a, k, memory
        if code == insn.LD_MEM:
            return memory[k], x, memory
        if code == insn.LDX_MEM:
            return a, memory[k], memory
        if code == insn.LD_LEN:
            return insn.SECCOMP_DATA_SIZE, x, memory
        if code == insn.LDX_LEN:
            return a, insn.SECCOMP_DATA_SIZE, memory
        return a, x, (*memory[:k], a if code == insn.ST else x, *memory[k + 1 :])

    # What a conditional jump asks: that a value lie in spans.
    def _test(self, code: int, a: int, operand: int) -> tuple[int, Spans]:
        symbols = self.symbols
        operation = code & 0xF0
        if operand < 0 and a >= 0:  # turned round, so that the expression stands left
            if operation == insn.BPF_JGT:
                return symbols.solved(operand, ((0, a - 1),) if a else ())
            if operation == insn.BPF_JGE:
                return symbols.solved(operand, ((0, a),))
            a, operand = operand, a
        if operation == insn.BPF_JSET:
            return symbols.solved(symbols.alu(insn.BPF_AND, a, operand), NONZERO)
        if operand < 0:
            if operation == insn.BPF_JEQ:
                return symbols.solved(symbols.alu(insn.BPF_XOR, a, operand), ZERO)
            if operation == insn.BPF_JGT:
                return symbols.greater(a, operand), NONZERO
            return symbols.greater(operand, a), ZERO
        spans: Spans
        if operation == insn.BPF_JEQ:
            spans = ((operand, operand),)
        elif operation == insn.BPF_JGE:
            spans = ((operand, WORD),)
        else:
            spans = ((operand + 1, WORD),) if operand < WORD else ()
        return symbols.solved(a, spans)

    def _node(
        self, key: tuple[int, ...], value: int, spans: Spans, onward: tuple[int, int, int, int, int, _Memory]
    ) -> int:
        index = len(self.nodes)
        if index >= MAX_NODES:
            raise Spent(f"the program's registers take more than {MAX_NODES} states")
        self.nodes.append((*self._where(value, spans), 0, 0, key[0]))
        self.names[key] = index
        self.todo.append((index, *onward))
        return index

    # By an X that may be 0: a test of its own.
    def _division(self, pc: int, a: int, x: int, memory: _Memory) -> int:
        if self.live is not None:
            x, memory = _lived(self.live[pc], x, memory)
        key = (pc, a, x, *memory)
        if key in self.names:
            return self.names[key]
        quotient = self.symbols.alu(insn.BPF_DIV, a, x)
        value, spans = self.symbols.solved(x, ZERO)
        if value < 0 and spans:
            return self._node(key, value, spans, (_RETURN_0, 0, pc + 1, quotient, x, memory))
        return ~answer(0) if _within(value, spans) else self._land(pc + 1, quotient, x, memory)

    def _ticket(self, pc: int, memory: _Memory) -> int:
        if self.live is not None:
            _, memory = _lived(self.live[pc], 0, memory)
        key = (pc, 0, 0, *memory)
        if key not in self.names:
            place = tuple(self.tickets).index(pc)
            a, x = map(self.symbols.data, _SECRETS)
            end = pc + TICKET_LENGTH
            _, jt, jf, _ = self.insns[end - 1]
            self.names[key] = len(self.nodes)
            self.todo.append((len(self.nodes), end + jt, 0, end + jf, a, x, memory))
            self.nodes.append((TICKET, 0, ((place, place),), 0, 0, pc))
        return self.names[key]

    # A computed return value: asked for one answer after the other.
    def _returned(self, pc: int, a: int) -> int:
        if a >= 0:
            return ~answer(a)
        if self.answers is None:
            return ~(COMPUTED + ~a)
        key = (pc, a)
        if key in self.names:
            return self.names[key]
        asked = []
        last = ~OTHER
        for wanted in self.answers:
            value, spans = self.symbols.solved(a, returning(wanted))
            if value < 0 and spans:
                asked.append((wanted, value, spans))
            elif _within(value, spans):
                last = ~wanted
                break
        start = len(self.nodes)
        for place, (wanted, value, spans) in enumerate(asked, start + 1):
            following = place if place < start + len(asked) else last
            self.nodes.append((*self._where(value, spans), ~wanted, following, pc))
        self.names[key] = start if asked else last
        return self.names[key]

    # What a node tests: a masked word, or an expression.
    def _where(self, value: int, spans: Spans) -> tuple[int, int, Spans]:
        kind, word, mask = self.symbols.kinds[~value]
        return (word, *widened(mask, spans)) if kind == DATA else (EXPRESSION, value, spans)


# Does a known value (or, below 0, any value at all) lie in spans that are empty or everything where it is not known?
def _within(value: int, spans: Spans) -> bool:
    return bool(spans) if value < 0 else any(first <= value <= last for first, last in spans)


def offset(word: int, big_endian: bool) -> int:
    """Where a word of the call lies in struct seccomp_data, in bytes."""
    if word < IP:
        return 4 * word
    return insn.word_offset((word - ARGS) // 2, high=word % 2 == 1, big_endian=big_endian)


# What the registers beside A are used for, from the end of the program: a bit for X, then one for each word of memory.
def _live(insns: Sequence[Insn]) -> list[int]:
    live = [0] * len(insns)
    following = 0
    for pc in range(len(insns) - 1, -1, -1):
        code, jt, jf, k = insns[pc]
        if code in insn.JUMPS:
            used = live[pc + 1 + jt] | live[pc + 1 + jf]
        elif code == insn.JA:
            used = live[pc + 1 + k]
        elif code & 7 == insn.BPF_RET:
            used = 0
        elif code in (insn.ST, insn.STX):
            used = following & ~(2 << k)
        elif code in _SETS_X:
            used = following & ~1
        else:
            used = following
        if code in (insn.LD_MEM, insn.LDX_MEM):
            used |= 2 << k
        elif code in _USES_X:
            used |= 1
        live[pc] = following = used
    return live


def _lived(live: int, x: int, memory: _Memory) -> tuple[int, _Memory]:
    if live >> 1:
        memory = tuple([value if live >> place & 1 else 0 for place, value in enumerate(memory, 1)])
    else:
        memory = _NO_MEMORY
    return x if live & 1 else 0, memory


_ONLY_A = {
    code
    for code in insn.MNEMONICS
    if code in (insn.LD_ABS, insn.LD_IMM, insn.LD_LEN, insn.JA, insn.NEG, insn.RET_K, insn.RET_A)
    or (code & 7 in (insn.BPF_ALU, insn.BPF_JMP) and not code & insn.BPF_X)
}
_SETS_X = frozenset((insn.TAX, insn.LDX_IMM, insn.LDX_MEM, insn.LDX_LEN))
_USES_X = frozenset(
    code
    for code in insn.MNEMONICS
    if code in (insn.STX, insn.TXA) or (code & 7 in (insn.BPF_ALU, insn.BPF_JMP) and code & insn.BPF_X)
)

TICKET_LENGTH = 23


def tickets(insns: Sequence[Insn], big_endian: bool) -> dict[int, tuple[int, ...]]:
    """Where a test of the launch ticket begins, and its six words.

    For the halves of args[3], args[4] and args[5] in turn: `ld [half]; xor #word`, from the second on `or x`, after
    each but the last `tax`; then `jeq #0`. Raises CompileError where a word could be told apart from the others.
    """
    shape: list[tuple[int, int | None]] = []
    for word in range(ARGS + 6, ARGS + 12):
        shape += [(insn.LD_ABS, offset(word, big_endian)), (insn.XOR_K, None)]
        if word > ARGS + 6:
            shape.append((insn.OR_X, None))
        shape.append((insn.TAX, None))
    shape[-1] = (insn.JEQ_K, 0)
    found = {}
    for pc in range(len(insns) - TICKET_LENGTH + 1):
        if insns[pc][0] == insn.LD_ABS and insns[pc][3] == shape[0][1]:
            block = insns[pc : pc + TICKET_LENGTH]
            if all(code == one[0] and k in (None, one[3]) for (code, k), one in zip(shape, block)):
                found[pc] = tuple(k for code, _, _, k in block if code == insn.XOR_K)
    _entered_at_the_top(insns, found)
    return found


# The words are unknown only together: a way into the middle of the test, or another XOR, could tell about some.
def _entered_at_the_top(insns: Sequence[Insn], tickets: dict[int, tuple[int, ...]]) -> None:
    # Its last jump is one like any other, and may be shared: whoever jumps there has not looked at the words.
    inside = {pc for start in tickets for pc in range(start + 1, start + TICKET_LENGTH - 1)}
    for pc, (code, jt, jf, k) in enumerate(insns):
        if code == insn.XOR_K and pc not in inside:
            raise CompileError(f"instruction {pc}: an XOR outside the launch ticket's test")
        onward = (pc + 1 + jt, pc + 1 + jf) if code in insn.JUMPS else (pc + 1 + k,) if code == insn.JA else ()
        if not inside.isdisjoint(onward):
            raise CompileError(f"instruction {pc}: a jump into the launch ticket's test")
