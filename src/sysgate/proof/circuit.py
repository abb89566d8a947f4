"""Programs as circuits: run once from the top on wires, states joined where ways meet. The last resort.

A circuit is never much larger than its program, whatever the ways through it; whether a wire can be TRUE is then a
matter of search.
"""

from __future__ import annotations

from sysgate.bpf import insn
from sysgate.proof.answers import ALLOW, returning
from sysgate.proof.arithmetic import FALSE, TRUE
from sysgate.proof.computed import answered
from sysgate.proof.gates import Gates
from sysgate.proof.graph import ARCH, NR, TICKET_LENGTH, WORDS, offset, tickets
from sysgate.proof.judge import Difference
from sysgate.proof.sat import Solver
from sysgate.proof.spans import WORD, union
from sysgate.proof.spec import NO_WORD, Both, Test
from sysgate.proof.symbols import GREATER
from sysgate.proof.views import CARRIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sysgate.bpf.program import Program
    from sysgate.proof.arithmetic import Word
    from sysgate.proof.judge import Ticket
    from sysgate.proof.spec import Formula, Law

    # When a place is reached, and then A, X and the words of memory.
    State = tuple[int, Word, Word, tuple[Word, ...]]

_ZERO = [FALSE] * 32


def compare(one: Program, two: Program, audits: Sequence[int] | None, steps: int) -> None:
    """Raises Difference where two programs answer some call differently, Spent where steps do not decide it."""
    gates = Gates()
    differ = FALSE
    for left, right in zip(*(answered(gates, returned(gates, program, ticket=False)) for program in (one, two))):
        differ = gates.either(differ, gates.differ(left, right))
    _refute(gates, differ, audits, steps)


def judge(
    program: Program, laws: Sequence[Law], ticket: Ticket | None, audits: Sequence[int] | None, steps: int
) -> None:
    """As compare, for a program and what a policy asks of it."""
    gates = Gates()
    ret = returned(gates, program, ticket=ticket is not None)
    number, arch = gates.data(NR, WORD), gates.data(ARCH, WORD)
    right: dict[tuple[int, ...], int] = {}

    def wrong(answers: tuple[int, ...]) -> int:
        if answers not in right:
            right[answers] = gates.member(ret, union(span for each in answers for span in returning(each)))
        return gates.negation(right[answers])

    found = FALSE
    for law in reversed(laws):
        here = FALSE
        for low, high, goal in law.parts:
            unmet = wrong(goal[-1][1])
            for formula, answers in reversed(goal[:-1]):
                unmet = gates.choose(_formula(gates, formula), wrong(answers), unmet)
            here = gates.either(here, gates.both(gates.member(number, ((low, high),)), unmet))
        found = here if law.audit is None else gates.choose(gates.member(arch, ((law.audit, law.audit),)), here, found)
    if ticket is not None:
        passes = gates.both(gates.variable(CARRIES, 0), gates.member(arch, ((ticket[0], ticket[0]),)))
        passes = gates.both(passes, gates.member(number, union((each, each) for each in ticket[1])))
        found = gates.choose(passes, wrong((ALLOW,)), found)
    _refute(gates, found, audits, steps)


def returned(gates: Gates, program: Program, *, ticket: bool) -> Word:
    """What a program returns, bit by bit. ticket: whether the call carries the launch ticket is a wire of its own."""
    return _Run(gates, program, ticket).returned


class _Run:
    def __init__(self, gates: Gates, program: Program, ticket: bool) -> None:
        self.gates = gates
        self.insns = program.insns
        self.data = {offset(word, program.big_endian): gates.data(word, WORD) for word in range(WORDS)}
        self.tickets = tickets(self.insns, program.big_endian) if ticket else {}
        self.returned = list(_ZERO)
        self.states: dict[int, State] = {0: (TRUE, _ZERO, _ZERO, (_ZERO,) * insn.BPF_MEMWORDS)}
        for pc in range(len(self.insns)):
            if pc in self.states:
                self._step(pc, *self.states.pop(pc))

    def _step(self, pc: int, reached: int, a: Word, x: Word, memory: tuple[Word, ...]) -> None:
        gates = self.gates
        code, jt, jf, k = self.insns[pc]
        operand = x if code & insn.BPF_X else _constant(k)
        if pc in self.tickets:
            end = pc + TICKET_LENGTH
            _, jt, jf, _ = self.insns[end - 1]
            unknown = gates.data(WORDS, WORD), gates.data(WORDS + 1, WORD)
            self._fork(gates.variable(CARRIES, 0), end + jt, end + jf, (reached, *unknown, memory))
        elif code in insn.JUMPS:
            self._fork(self._tested(code & 0xF0, a, operand), pc + 1 + jt, pc + 1 + jf, (reached, a, x, memory))
        elif code == insn.JA:
            self._reach(pc + 1 + k, (reached, a, x, memory))
        elif code & 7 == insn.BPF_RET:
            ret = a if code == insn.RET_A else operand
            self.returned = [gates.either(had, gates.both(reached, bit)) for had, bit in zip(self.returned, ret)]
        else:
            if code & 7 == insn.BPF_ALU:
                if code & 0xF0 == insn.BPF_DIV:  # by 0 it ends the program with 0, which is what nobody returned
                    reached = gates.both(reached, gates.negation(gates.member(operand, ((0, 0),))))
                a, operation, operand = (_ZERO, insn.BPF_SUB, a) if code == insn.NEG else (a, code & 0xF0, operand)
                a = gates.alu(operation, a, operand)
            elif code in (insn.ST, insn.STX):
                memory = (*memory[:k], a if code == insn.ST else x, *memory[k + 1 :])
            elif code == insn.TAX:
                x = a
            elif code & 7 == insn.BPF_LDX:
                x = self._loaded(code & ~7 | insn.BPF_LD, k, memory)
            else:
                a = x if code == insn.TXA else self._loaded(code, k, memory)
            self._reach(pc + 1, (reached, a, x, memory))

    def _loaded(self, code: int, k: int, memory: tuple[Word, ...]) -> Word:
        if code == insn.LD_ABS:
            return self.data[k]
        if code == insn.LD_MEM:
            return memory[k]
        return _constant(insn.SECCOMP_DATA_SIZE if code == insn.LD_LEN else k)

    def _tested(self, operation: int, a: Word, operand: Word) -> int:
        gates = self.gates
        if operation == insn.BPF_JSET:
            return gates.negation(gates.member(gates.alu(insn.BPF_AND, a, operand), ((0, 0),)))
        if operation == insn.BPF_JEQ:
            return gates.member(gates.alu(insn.BPF_XOR, a, operand), ((0, 0),))
        if operation == insn.BPF_JGT:
            return gates.alu(GREATER, a, operand)[0]
        return gates.negation(gates.alu(GREATER, operand, a)[0])

    def _fork(self, test: int, yes: int, no: int, state: State) -> None:
        reached, *rest = state
        self._reach(yes, (self.gates.both(reached, test), *rest))  # type: ignore[arg-type]
        self._reach(no, (self.gates.both(reached, self.gates.negation(test)), *rest))  # type: ignore[arg-type]

    def _reach(self, pc: int, state: State) -> None:
        if state[0] == FALSE:
            return
        if pc in self.states:
            reached, a, x, memory = self.states[pc]
            here, b, y, kept = state
            words = tuple([self._joined(here, new, old) for new, old in zip(kept, memory)])
            state = (self.gates.either(reached, here), self._joined(here, b, a), self._joined(here, y, x), words)
        self.states[pc] = state

    def _joined(self, here: int, new: Word, old: Word) -> Word:
        return old if new is old else [self.gates.choose(here, one, two) for one, two in zip(new, old)]


def _constant(k: int) -> Word:
    return [k >> bit & 1 for bit in range(32)]


def _formula(gates: Gates, formula: Formula) -> int:
    if isinstance(formula, bool):
        return TRUE if formula else FALSE
    if isinstance(formula, Test):
        low, low_mask, high, high_mask = formula.key
        word = gates.data(low, low_mask)
        return gates.member(word if high == NO_WORD else word + gates.data(high, high_mask), formula.spans)
    both = isinstance(formula, Both)
    found = TRUE if both else FALSE
    for part in formula.parts:
        found = (gates.both if both else gates.either)(found, _formula(gates, part))
    return found


def _refute(gates: Gates, wrong: int, audits: Iterable[int] | None, steps: int) -> None:
    if audits is not None:
        asked = gates.member(gates.data(ARCH, WORD), union((audit, audit) for audit in audits))
        wrong = gates.both(wrong, asked)
    if wrong == FALSE:
        return
    clauses = gates.clauses if wrong == TRUE else [*gates.clauses, (wrong,)]
    model = Solver(clauses, gates.variables, steps).solve()
    if model is None:
        return
    true = set(model)
    words: dict[int, int] = {}
    for (word, bit), wire in gates.inputs.items():
        if wire in true:
            words[word] = words.get(word, 0) | 1 << bit
    call = {word: value for word, value in words.items() if word < WORDS}
    raise Difference(call, ticket=bool(words.get(CARRIES)))
