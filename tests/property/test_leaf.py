"""What is loaded to be explained is the policy, but for who is asked about a refusal."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies import calls, policies
from sysgate.action import ALLOW, KILL_PROCESS, KILL_THREAD, NOTIFY, Action, from_ret
from sysgate.api import Policy
from sysgate.bpf import machine
from sysgate.bpf.program import Program
from sysgate.compiler import compile
from sysgate.errors import ProofError
from sysgate.facts import arches
from sysgate.policy import meaning, resolve
from sysgate.policy.ruleset import Gate
from sysgate.proof import prove
from sysgate.supervise import leaf

KERNEL_IPS = (1 << 63, (1 << 64) - 1, 0xFFFF_FFFF_8000_0000)
USER_IPS = (0, 0x7FFF_FFFF_FFFF, (1 << 63) - 1, 0x8000_0000)


def gate_of(text: str, arch: str = "x86_64") -> Gate:
    return resolve.gate([resolve.resolve(Policy.parse(text), arch)])


def loaded(gate: Gate) -> Program:
    return leaf.guard(compile(gate, optimize="fast", leaf=leaf.explained))


POLICY = """
default: kill
deny: errno(EACCES)
read: 1
write: fd == 1
close: 0 else kill_thread
dup: 0 else trap(7)
getpid: 0 else kill
fsync: 0 else log
"""


@pytest.mark.parametrize(("call", "args", "asked", "from_the_kernel"), [
    ("read", (0,), ALLOW, ALLOW),
    ("write", (1,), ALLOW, ALLOW),
    ("write", (2,), NOTIFY, NOTIFY),  # an errno is answered as well by a supervisor as by the kernel
    ("close", (2,), NOTIFY, KILL_THREAD),
    ("dup", (2,), Action("trap", 7), Action("trap", 7)),  # a trap's siginfo cannot be imitated
    ("getpid", (), NOTIFY, KILL_PROCESS),
    ("fsync", (2,), Action("log"), Action("log")),
    ("mkdir", (), NOTIFY, KILL_PROCESS),
])  # fmt: skip
@pytest.mark.parametrize("arch", ["x86_64", "s390x"])
def test_refusals_ask_but_a_kill_stays_the_kernels_for_calls_from_its_half(
    call: str, args: tuple[int, ...], asked: Action, from_the_kernel: Action, arch: str
) -> None:
    from sysgate.facts import calls as numbers

    program = loaded(gate_of(POLICY, arch))
    where, nr = arches.arch(arch), numbers.number(arch, call)
    assert where is not None
    assert nr is not None
    words = (*args, *[0] * (6 - len(args)))
    for ips, wanted in ((USER_IPS, asked), (KERNEL_IPS, from_the_kernel)):
        for ip in ips:
            assert from_ret(machine.run(program, where.audit, nr, words, ip)[0]) == wanted, hex(ip)


def test_a_program_without_kills_is_not_guarded() -> None:
    gate = gate_of("default: allow\nmkdir: 0 else errno(EPERM)")
    plain = compile(gate, optimize="fast", leaf=leaf.explained)
    # the answer to foreign architectures is a kill all the same
    assert len(leaf.guard(plain).insns) == len(plain.insns) + 4
    only_errno = Program(((0x06, 0, 0, NOTIFY.ret),), False)
    assert leaf.guard(only_errno) == only_errno


def test_instructions_keep_their_places() -> None:
    plain = compile(gate_of(POLICY), optimize="fast", leaf=leaf.explained)
    guarded = leaf.guard(plain)
    changed = [old for old, new in zip(plain.insns, guarded.insns, strict=False) if old != new]
    assert {insn[0] for insn in changed} == {0x06}
    assert {insn[3] & 0xFFFF_0000 for insn in changed} == {NOTIFY.ret}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_loaded_is_proved_to_be_the_policy(data: st.DataObject) -> None:
    text = data.draw(policies(("x86_64",)))
    gate = gate_of(text)
    program = loaded(gate)
    prove(gate, program, leaf=leaf.accepted)
    call = data.draw(calls(text, "x86_64"))
    where = arches.arch("x86_64")
    assert where is not None
    action = meaning.decide(gate, call)[0]
    for ip, wanted in ((call.ip & (1 << 63) - 1, leaf.explained(action).kind), (call.ip | 1 << 63, None)):
        got = from_ret(machine.run(program, where.audit, call.nr, call.args, ip)[0])
        if wanted is None:
            assert got == (NOTIFY if action.kind == "errno" else action)
        else:
            assert got.kind == wanted


def test_the_proof_fails_where_a_refusal_would_pass() -> None:
    gate = gate_of(POLICY)
    program = loaded(gate)
    asking = [at for at, insn in enumerate(program.insns) if insn == (0x06, 0, 0, NOTIFY.ret)]
    for at in asking:
        insns = (*program.insns[:at], (0x06, 0, 0, ALLOW.ret), *program.insns[at + 1 :])
        with pytest.raises(ProofError):
            prove(gate, Program(insns, False), leaf=leaf.accepted)
