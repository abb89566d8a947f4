"""The error for a difference that the prover found: a call, run on both sides before it is called wrong."""

from __future__ import annotations

from sysgate.action import ALLOW, Action, from_ret
from sysgate.bpf.insn import LD_ABS, XOR_K
from sysgate.bpf.machine import run, words
from sysgate.bpf.program import Program
from sysgate.call import Call
from sysgate.errors import CompileError, ProofError, SysgateError
from sysgate.facts.arches import by_audit
from sysgate.policy import meaning
from sysgate.proof.graph import ARCH, ARGS, IP, NR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.policy.ruleset import Gate
    from sysgate.proof.judge import Difference, Ticket
    from sysgate.proof.spec import Leaf


def of_policy(gate: Gate, program: Program, leaf: Leaf, ticket: Ticket | None, difference: Difference) -> SysgateError:
    """That a program does not answer a call as a gate does; the arguments are those of `prove`."""
    call = _call(difference, gate.entries[0][0] if gate.entries else 0)
    if ticket is not None:
        program = _with_ticket(program, call, carried=difference.ticket)
    if difference.ticket and ticket is not None and ticket[0] == call.arch and call.nr in ticket[1]:
        due: Action | tuple[Action, ...] = ALLOW
    else:
        due = leaf(meaning.decide(gate, call)[0])
    right = due if isinstance(due, tuple) else (due,)
    had = _run(program, call)
    if had in [from_ret(action.ret) for action in right]:
        return _mistaken(call)
    wanted = " or ".join(map(_said, right))
    return ProofError(f"the program answers {_said(had)} where the policy says {wanted}", _named(call))


def of_programs(one: Program, two: Program, difference: Difference) -> SysgateError:
    """That two programs answer a call differently."""
    call = _call(difference, 0)
    first, second = _run(one, call), _run(two, call)
    if first == second:
        return _mistaken(call)
    return ProofError(f"the first program answers {_said(first)}, the second {_said(second)}", _named(call))


def _mistaken(call: Call) -> CompileError:
    return CompileError(f"the prover calls the answer to {_named(call)} wrong, and it is not: please report this")


def _call(difference: Difference, audit: int) -> Call:
    words = difference.words

    def value(low: int) -> int:
        return words.get(low, 0) | words.get(low + 1, 0) << 32

    args = tuple([value(ARGS + 2 * index) for index in range(6)])
    return Call(words.get(ARCH, audit), words.get(NR, 0), args, value(IP))  # type: ignore[arg-type]


# The architecture by its name, where a table has one.
def _named(call: Call) -> Call:
    assert isinstance(call.arch, int)
    known = by_audit(call.arch)
    flagged = [arch for arch in known if arch.nr_flag and call.nr & 0xC000_0000 == arch.nr_flag]
    plain = [arch for arch in known if not arch.nr_flag]
    name = (flagged or plain or known)[0].name if known else call.arch
    return Call(name, call.nr, call.args, call.ip)


# The program with such secret words that the call carries the ticket, or does not.
def _with_ticket(program: Program, call: Call, *, carried: bool) -> Program:
    data = words(0, 0, call.args, 0, big_endian=program.big_endian)
    insns = []
    loaded = 0
    for code, jt, jf, k in program.insns:
        loaded = data[k >> 2] if code == LD_ABS else loaded
        insns.append((code, jt, jf, loaded if carried else loaded ^ 1) if code == XOR_K else (code, jt, jf, k))
    return Program(tuple(insns), program.big_endian)


def _run(program: Program, call: Call) -> Action:
    assert isinstance(call.arch, int)
    return from_ret(run(program, call.arch, call.nr, call.args, call.ip)[0])


def _said(action: Action) -> str:
    return f"{action.kind}({action.data})" if action.data or action.kind == "errno" else action.kind
