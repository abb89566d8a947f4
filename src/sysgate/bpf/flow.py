"""What is known before each instruction of a program: what A was loaded from, and for whom the line runs."""

from __future__ import annotations

from sysgate.bpf import insn
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.bpf.program import Insn

_MANY = 4  # calls that one line may still be said to be about


class State(Value):
    """What is known before an instruction runs.

    word: the offset in struct seccomp_data of what A was loaded from, None for anything else; mask: what it was
    and-ed with since. audits, numbers: the architectures and call numbers that can come here; None for any.
    """

    word: int | None
    mask: int | None
    audits: frozenset[int] | None
    numbers: frozenset[int] | None


START = State(None, None, None, None)


def states(insns: Sequence[Insn]) -> list[State | None]:
    """One State an instruction of a valid program; None where no way leads there."""
    # Jumps only go forward, so every way to an instruction has been seen when it is reached.
    known: list[State | None] = [None] * len(insns)
    known[0] = START
    for at, (code, jt, jf, k) in enumerate(insns):
        state = known[at]
        if state is None or code in (insn.RET_K, insn.RET_A):
            continue
        if code == insn.JA:
            _join(known, at + 1 + k, state)
        elif code in insn.JUMPS:
            _join(known, at + 1 + jt, _after_equal(state, k) if code == insn.JEQ_K else state)
            _join(known, at + 1 + jf, state)
        else:
            _join(known, at + 1, _after(state, code, k))
    return known


def _after(state: State, code: int, k: int) -> State:
    if code == insn.LD_ABS:
        return State(k, None, state.audits, state.numbers)
    if code == insn.AND_K and state.word is not None:
        return State(state.word, k if state.mask is None else state.mask & k, state.audits, state.numbers)
    if code & 7 in (insn.BPF_LD, insn.BPF_ALU) or code == insn.TXA:
        return State(None, None, state.audits, state.numbers)
    return state


def _after_equal(state: State, k: int) -> State:
    if state.mask is None and state.word == insn.ARCH:
        return State(state.word, None, frozenset({k}), state.numbers)
    if state.mask is None and state.word == insn.NR:
        return State(state.word, None, state.audits, frozenset({k}))
    return state


def _join(known: list[State | None], at: int, new: State) -> None:
    old = known[at]
    if old is None or old == new:
        known[at] = new
        return
    same = (old.word, old.mask) == (new.word, new.mask)
    numbers = _either(old.numbers, new.numbers)
    if numbers is not None and len(numbers) > _MANY:
        numbers = None
    known[at] = State(old.word if same else None, old.mask if same else None, _either(old.audits, new.audits), numbers)


def _either(a: frozenset[int] | None, b: frozenset[int] | None) -> frozenset[int] | None:
    return None if a is None or b is None else a | b
