"""A program as a diagram: what it answers to every call of one architecture, exactly.

Forward, the words that A, X and the scratch memory can hold before each instruction are found, every word as 32
functions of the call's bits; backward, each instruction's answer is put together from its followers'. Jumps only go
forward, so one pass each way is enough.
"""

from __future__ import annotations

from sysgate.action import KILL_THREAD, Action, from_ret
from sysgate.analyse import vector
from sysgate.analyse.forest import FALSE, TRUE, Overgrown
from sysgate.analyse.space import POINTER
from sysgate.bpf import insn
from sysgate.errors import BpfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.analyse.space import Space
    from sysgate.analyse.vector import Vector
    from sysgate.bpf.program import Insn, Program

    State = tuple[Vector | None, ...]  # A, X, M[0] … M[15]; None where it is not read any more
    Place = tuple[int, State]
    Step = tuple[int, Place, Place]  # a test, where it leads if it holds, and if not
    Ways = list[dict[State, Step | None]]  # by instruction

_A, _X, _M = 0, 1, 2
_NOTHING: State = (None,) * (_M + insn.BPF_MEMWORDS)
_MOST_STATES = 200_000
_MOST_ANSWERS = 1 << 13

_ALU = {
    insn.BPF_AND: vector.ands,
    insn.BPF_OR: vector.ors,
    insn.BPF_XOR: vector.xors,
    insn.BPF_ADD: vector.plus,
    insn.BPF_SUB: vector.minus,
    insn.BPF_MUL: vector.times,
    insn.BPF_DIV: vector.divided,
}


def diagram(forest: Space, program: Program, audit: int) -> int:
    """The node that answers every call of an architecture as the program does; its leaves are Actions.

    audit: the AUDIT_ARCH value. The program must be valid. Raises BpfError where what the program computes from the
    arguments is too intricate to be followed.
    """
    try:
        return Walk(forest, program, audit).answer()
    except Overgrown:
        raise BpfError("what the program computes from the call's words is too intricate to be followed") from None


def strictest(forest: Space, diagrams: Sequence[int]) -> int:
    """The diagram of a stack of programs, the first installed first: the strictest answer wins, of equals the later."""
    found = diagrams[0]
    try:
        for other in diagrams[1:]:
            found = forest.combined(found, other, _stricter)
    except Overgrown:
        raise BpfError("what the programs decide together is too intricate to be followed") from None
    return found


def _stricter(earlier: object, later: object) -> Action:
    assert isinstance(earlier, Action)
    assert isinstance(later, Action)
    return later if later.rank <= earlier.rank else earlier


class Walk:
    """One architecture's calls on their way through a program.

    loads: what each load of struct seccomp_data finds; whoever knows more of the call may put constants there.
    """

    def __init__(self, forest: Space, program: Program, audit: int) -> None:
        self.forest, self.insns = forest, program.insns
        self.loads = _loads(forest, audit, big_endian=program.big_endian)
        self.live = _live(program.insns)
        self.conditions: dict[tuple[int, Vector, Vector], int] = {}

    def answer(self) -> int:
        ways = self.forward()
        return self.backward(ways)

    def forward(self) -> Ways:
        """The states that can come before each instruction, and what follows each; None after a return."""
        zero = vector.constant(0)
        start: State = (zero, zero, *_NOTHING[_M:])
        ways: Ways = [{} for _ in self.insns]
        ways[0][self.kept(0, start)] = None
        total = 1
        for pc, one in enumerate(self.insns):
            for state in ways[pc]:
                step = self.step(pc, one, state)
                ways[pc][state] = step
                if step is None:
                    continue
                test, holds, fails = step
                for at, after in (holds, fails) if FALSE < test != TRUE else (holds if test else fails,):
                    if after not in ways[at]:
                        ways[at][after] = None
                        total += 1
            if total > _MOST_STATES:
                raise Overgrown
        return ways

    def backward(self, ways: Ways) -> int:
        """The answer of the first instruction."""
        forest = self.forest
        killed = forest.leaf(KILL_THREAD)
        answers: list[dict[State, int]] = [{} for _ in self.insns]
        for pc in reversed(range(len(self.insns))):
            code, _, _, k = self.insns[pc]
            for state, step in ways[pc].items():
                if step is None:
                    answers[pc][state] = self.returned(code, k, state)
                    continue
                test, (at, after), (other, otherwise) = step
                if test == TRUE:
                    found = answers[at][after]
                elif test == FALSE:
                    found = answers[other][otherwise]
                else:
                    found = forest.ite(test, answers[at][after], answers[other][otherwise])
                if code == insn.DIV_X:
                    # Division by an X of zero ends the program with 0, bpf_convert_filter.
                    divisor = state[_X]
                    assert divisor is not None
                    found = forest.ite(vector.equal(forest, divisor, vector.constant(0)), killed, found)
                answers[pc][state] = found
        return next(iter(answers[0].values()))

    def kept(self, pc: int, state: State) -> State:
        """The state without what no way from pc on reads."""
        live = self.live[pc]
        return tuple([word if live >> at & 1 else None for at, word in enumerate(state)])

    def step(self, pc: int, one: Insn, state: State) -> Step | None:
        code, jt, jf, k = one
        if code in (insn.RET_K, insn.RET_A):
            return None
        if code == insn.JA:
            after = pc + 1 + k, self.kept(pc + 1 + k, state)
            return TRUE, after, after
        if code in insn.JUMPS:
            holds, fails = pc + 1 + jt, pc + 1 + jf
            return self.test(code, k, state), (holds, self.kept(holds, state)), (fails, self.kept(fails, state))
        unread = code & 7 == insn.BPF_ALU and not self.live[pc + 1] >> _A & 1
        moved = state if unread else self.moved(code, k, state)
        after = pc + 1, self.kept(pc + 1, moved)
        return TRUE, after, after

    def test(self, code: int, k: int, state: State) -> int:
        a = state[_A]
        b = state[_X] if code & insn.BPF_X else vector.constant(k)
        assert a is not None
        assert b is not None
        operation = code & 0xF0
        key = operation, a, b
        found = self.conditions.get(key)
        if found is None:
            forest = self.forest
            if operation == insn.BPF_JEQ:
                found = vector.equal(forest, a, b)
            elif operation == insn.BPF_JGT:
                found = vector.above(forest, a, b)
            elif operation == insn.BPF_JGE:
                found = forest.negated(vector.above(forest, b, a))
            else:
                found = vector.shares(forest, a, b)
            self.conditions[key] = found
        return found

    def moved(self, code: int, k: int, state: State) -> State:
        words = list(state)
        if code == insn.LD_ABS:
            words[_A] = self.loads[k // 4]
        elif code in (insn.LD_IMM, insn.LDX_IMM):
            words[_X if code == insn.LDX_IMM else _A] = vector.constant(k)
        elif code in (insn.LD_LEN, insn.LDX_LEN):
            words[_X if code == insn.LDX_LEN else _A] = vector.constant(insn.SECCOMP_DATA_SIZE)
        elif code in (insn.LD_MEM, insn.LDX_MEM):
            words[_X if code == insn.LDX_MEM else _A] = state[_M + k]
        elif code in (insn.ST, insn.STX):
            words[_M + k] = state[_X if code == insn.STX else _A]
        elif code == insn.TAX:
            words[_X] = state[_A]
        elif code == insn.TXA:
            words[_A] = state[_X]
        else:
            words[_A] = self.computed(code, k, state)
        return tuple(words)

    def computed(self, code: int, k: int, state: State) -> Vector:
        forest, a = self.forest, state[_A]
        assert a is not None
        if code == insn.NEG:
            return vector.minus(forest, vector.constant(0), a)
        b = state[_X] if code & insn.BPF_X else vector.constant(k)
        assert b is not None
        operation = code & 0xF0
        if operation in (insn.BPF_LSH, insn.BPF_RSH):
            return vector.shifted_by(forest, a, b, left=operation == insn.BPF_LSH)
        if operation == insn.BPF_DIV and vector.known(b) == 0:
            return vector.constant(0)  # never seen: the program ends there
        return _ALU[operation](forest, a, b)

    def returned(self, code: int, k: int, state: State) -> int:
        if code == insn.RET_K:
            return self.forest.leaf(from_ret(k))
        word = state[_A]
        assert word is not None
        value = vector.known(word)
        if value is not None:
            return self.forest.leaf(from_ret(value))
        return _Returned(self.forest, word).node(31, 0, TRUE)


class _Returned:
    """Makes the answer of a return value that depends on the call."""

    def __init__(self, forest: Space, word: Vector) -> None:
        self.forest, self.word, self.left = forest, word, _MOST_ANSWERS

    def node(self, bit: int, prefix: int, care: int) -> int:
        """The answer for the calls in care, where the bits above `bit` are those of prefix."""
        forest = self.forest
        if bit < 0 or self.settled(bit, prefix):
            self.left -= 1
            if self.left < 0:
                raise BpfError("the program returns numbers computed from the call: too many different answers")
            return forest.leaf(from_ret(prefix))
        ones, zeros = forest.both(care, self.word[bit]), forest.minus(care, self.word[bit])
        if ones == FALSE:
            return self.node(bit - 1, prefix, zeros)
        if zeros == FALSE:
            return self.node(bit - 1, prefix | 1 << bit, ones)
        return forest.ite(
            self.word[bit], self.node(bit - 1, prefix | 1 << bit, ones), self.node(bit - 1, prefix, zeros)
        )

    def settled(self, bit: int, prefix: int) -> bool:
        # Data matters to errno, trap and trace alone; an errno above 4095 is 4095.
        if bit >= 16:
            return False
        kind = from_ret(prefix).kind
        return kind not in ("errno", "trap", "trace") or (kind == "errno" and prefix & 0xFFFF >= 4096)


def _loads(forest: Space, audit: int, *, big_endian: bool) -> tuple[Vector, ...]:
    words = [forest.number(), vector.constant(audit)]
    for register in (POINTER, 0, 1, 2, 3, 4, 5):
        halves = [forest.register(register, low, 32) for low in (0, 32)]
        words += reversed(halves) if big_endian else halves
    return tuple(words)


# For each instruction, as bits of A, X, M[0] …: what some way from there on reads before it writes it.
def _live(insns: Sequence[Insn]) -> list[int]:
    live = [0] * len(insns)
    for pc in reversed(range(len(insns))):
        code, jt, jf, k = insns[pc]
        if code in (insn.RET_K, insn.RET_A):
            live[pc] = 1 << _A if code == insn.RET_A else 0
        elif code == insn.JA:
            live[pc] = live[pc + 1 + k]
        elif code in insn.JUMPS:
            live[pc] = live[pc + 1 + jt] | live[pc + 1 + jf] | 1 << _A
            if code & insn.BPF_X:
                live[pc] |= 1 << _X
        else:
            reads, writes = _touched(code, k)
            # A division by X can end the program: what it reads matters even if the result does not.
            needed = live[pc + 1] & writes or code == insn.DIV_X
            live[pc] = live[pc + 1] & ~writes | (reads if needed else 0)
    return live


def _touched(code: int, k: int) -> tuple[int, int]:
    a, x = 1 << _A, 1 << _X
    if code in (insn.LD_ABS, insn.LD_IMM, insn.LD_LEN):
        return 0, a
    if code in (insn.LDX_IMM, insn.LDX_LEN):
        return 0, x
    if code in (insn.LD_MEM, insn.LDX_MEM):
        return 1 << _M + k, x if code == insn.LDX_MEM else a
    if code in (insn.ST, insn.STX):
        return x if code == insn.STX else a, 1 << _M + k
    if code == insn.TAX:
        return a, x
    if code == insn.TXA:
        return x, a
    return a | (x if code & insn.BPF_X else 0), a
