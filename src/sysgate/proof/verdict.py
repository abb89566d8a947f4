"""Proves that a program gives the answers that a policy, or another program, asks for.

Ways through the program first: milliseconds for what the compiler makes. What they cannot hold, expressions that mix
words or too many ways, is decided on single bits, or by a search. All are exact. What none can decide within its
budget is an error that says so, never a proof.
"""

from __future__ import annotations

import gc
import sys

from sysgate.bpf.insn import RET_A, RET_K
from sysgate.bpf.program import Program, validate
from sysgate.proof.answers import answer
from sysgate.proof.budget import BUDGETS, Spent
from sysgate.proof.graph import ARCH, build
from sysgate.proof.judge import Difference, Other, Policy
from sysgate.proof.space import ARCH_SLOT, Space
from sysgate.proof.spans import WORD, union
from sysgate.proof.spec import laws
from sysgate.proof.symbols import Symbols
from sysgate.proof.walk import Roads, Unsupported
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sysgate.action import Action
    from sysgate.policy.ruleset import Gate
    from sysgate.proof.budget import Budget
    from sysgate.proof.graph import Graph
    from sysgate.proof.judge import Ticket
    from sysgate.proof.spec import Law, Leaf

# Forks a walk may take: some for every test, and then it is left to the bit level.
_FORKS, _FORKS_PER_TEST = 5_000, 20
# Limits that the exact search may try where a box mixes masks of a word: some for every test, too.
_EFFORT, _EFFORT_PER_TEST = 2_000, 200
# Policies nest as deeply as their parser lets them, diagrams as deeply as a call has bits; Python's own limit is 1000
# frames altogether. Frames of Python code do not use the C stack.
_FRAMES = 6_000


class Proof(Value):
    """That a program gives the right answer to every call there can be.

    instructions: its length. method: the way it was proved: "boxes", "tests", "bits" or "search" (docs/proof.md).
    cases: the ways through the program that were looked at; 0 unless by boxes.
    """

    instructions: int
    method: str
    cases: int


def _same(action: Action) -> Action:
    return action


def prove(
    gate: Gate,
    program: Program,
    *,
    leaf: Leaf = _same,
    ticket: Ticket | None = None,
    audits: Sequence[int] | None = None,
) -> Proof:
    """Proves that a program answers every call as a gate does: the same action, and data where the kernel reads it.

    leaf: what is right instead of the answer that won, one action or a tuple of them.
    ticket: (AUDIT_ARCH value, numbers): these calls pass when they carry the launch ticket, whose words are unknown;
    the program's own words do not count. audits: the only AUDIT_ARCH values that count; None for all 2**32.
    Raises ProofError with a counterexample that was run; BpfError for a program that is not valid; CompileError where
    it cannot be decided within budget.
    """
    validate(program.insns)
    # In the byte order of the architectures it is to decide: nobody else runs it.
    program = Program(program.insns, gate.big_endian)
    with _Room():
        due = laws(gate, leaf)
        try:
            method, cases = _judged(program, due, ticket, audits)
        except Difference as difference:
            from sysgate.proof import counterexample

            raise counterexample.of_policy(gate, program, leaf, ticket, difference) from None
    return Proof(len(program.insns), method, cases)


def prove_equal(one: Program, two: Program, audits: Sequence[int] | None = None) -> Proof:
    """Proves that two programs answer every call alike. audits, and errors: as `prove`.

    Where they are for machines of different byte order, on both.
    """
    validate(one.insns)
    validate(two.insns)
    methods, cases = [], 0
    for big_endian in sorted({one.big_endian, two.big_endian}):
        first, second = Program(one.insns, big_endian), Program(two.insns, big_endian)
        with _Room():
            try:
                method, count = _compared(first, second, audits)
            except Difference as difference:
                from sysgate.proof import counterexample

                raise counterexample.of_programs(first, second, difference) from None
        methods.append(method)
        cases += count
    return Proof(len(two.insns), methods[-1], cases)


def _judged(
    program: Program, due: Sequence[Law], ticket: Ticket | None, audits: Sequence[int] | None
) -> tuple[str, int]:
    def searched(steps: int) -> None:
        from sysgate.proof import circuit

        circuit.judge(program, due, ticket, audits, steps)

    answers = sorted({right for law in due for _, _, goal in law.parts for _, rights in goal for right in rights})
    try:
        graph = build(program, Symbols(), ticket=ticket is not None, answers=answers)
    except Spent:
        return _settled(searched), 0
    try:
        space = Space()
        judge = Policy(space, due, ticket, _effort(graph))
        return "boxes", _walked(Roads(graph, space), judge, audits)
    except Unsupported:
        from sysgate.proof import exact

        return _settled(searched, lambda budget: exact.judge(graph, due, ticket, audits, budget)), 0


def _compared(one: Program, two: Program, audits: Sequence[int] | None) -> tuple[str, int]:
    def searched(steps: int) -> None:
        from sysgate.proof import circuit

        circuit.compare(one, two, audits, steps)

    # What one program computes can be told apart by what the other has in its text, unless both compute.
    texts = [_answers(program) for program in (two, one)]
    symbols = Symbols()
    try:
        graph, other = (build(program, symbols, answers=text) for program, text in zip((one, two), texts))
    except Spent:
        return _settled(searched), 0
    try:
        space = Space()
        first, second = Roads(graph, space), Roads(other, space)
        return "boxes", _walked(first, Other(second, _budget(second), _effort(graph)), audits)
    except Unsupported:
        from sysgate.proof import exact

        return _settled(searched, lambda budget: exact.compare(graph, other, audits, budget)), 0


# How it is settled that nothing is wrong: seen on diagrams, where there is a graph for these, or searched for, in turn.
def _settled(searched: Callable[[int], None], seen: Callable[[Budget], str] | None = None) -> str:
    last: Spent
    for budget in BUDGETS:
        try:
            if seen is not None:
                return seen(budget)
        except Spent:
            pass
        try:
            searched(budget.search)
        except Spent as spent:
            last = spent
        else:
            return "search"
    raise last


def _walked(roads: Roads, judge: Policy | Other, audits: Sequence[int] | None) -> int:
    space = roads.space
    asked = None if audits is None else union((audit, audit) for audit in audits)
    if asked is not None:
        space.marked(ARCH, WORD, asked)
    space.cut()
    roads.lay()
    judge.lay()
    everything = space.full.copy()
    if asked is not None:
        everything[ARCH_SLOT] = space.bits(ARCH_SLOT, asked)
    cases = 0
    for given, box, ticket in roads.walked(everything, _budget(roads)):
        cases += 1
        judge.check(given, box, ticket)
    return cases


def _budget(roads: Roads) -> int:
    return _FORKS + _FORKS_PER_TEST * len(roads.graph.nodes)


def _effort(graph: Graph) -> int:
    return _EFFORT + _EFFORT_PER_TEST * len(graph.nodes)


# The answers that stand in a program's returns; None where it also computes one.
def _answers(program: Program) -> list[int] | None:
    if any(code == RET_A for code, _, _, _ in program.insns):
        return None
    return sorted({answer(k) for code, _, _, k in program.insns if code == RET_K})


class _Room:
    """Frames enough for deep recursion, and no garbage collector: it would find nothing, for nothing here is cyclic."""

    def __enter__(self) -> None:
        self._limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(self._limit, _FRAMES))
        self._collects = gc.isenabled()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        if self._collects:
            gc.enable()
        sys.setrecursionlimit(self._limit)
