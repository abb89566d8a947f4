"""What a launch adds to a program is taken away again without a trace, and nothing else is."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from policies import policies
from sysgate.action import NOTIFY, Action
from sysgate.api import Policy
from sysgate.bpf import ticket
from sysgate.compiler import compile
from sysgate.facts import arches
from sysgate.launch import plan
from sysgate.life.additions import without
from sysgate.policy import resolve
from sysgate.proof import prove, prove_equal
from sysgate.supervise import leaf

X86_64 = arches.arch("x86_64")
WORDS = st.lists(st.integers(1, (1 << 32) - 1), min_size=6, max_size=6)


def notified(action: Action) -> Action:
    return NOTIFY if action.kind == "errno" else action


@settings(max_examples=60, deadline=None)
@given(text=policies(("x86_64",)), words=WORDS)
def test_a_loaded_program_is_the_policys_again(text: str, words: list[int]) -> None:
    assert X86_64 is not None
    gate = resolve.gate([resolve.resolve(Policy.parse(text), "x86_64")])
    passes = X86_64.audit, plan.TICKETED
    native = ticket.patch(compile(gate, optimize="fast", ticket=passes), words)
    prove(gate, without(native))
    explained = leaf.guard(compile(gate, optimize="fast", leaf=leaf.explained, ticket=passes))
    prove(gate, without(ticket.patch(explained, words)), leaf=notified)


@settings(max_examples=30, deadline=None)
@given(text=policies(("x86_64",)))
def test_a_program_without_additions_stays_as_it_is(text: str) -> None:
    made = compile(resolve.gate([resolve.resolve(Policy.parse(text), "x86_64")]), optimize="fast")
    assert without(made) == made
    prove_equal(without(made), made)
