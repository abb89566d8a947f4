"""Drawn policies: what is printed reads back as the same, and means the same; so does the flat text of two together."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from policies import calls, policies
from sysgate import Call, Policy, PolicyError
from sysgate.action import strictest
from sysgate.facts import calls as call_facts
from sysgate.policy import layout, meaning, resolve
from sysgate.policy.lexer import comment_of
from sysgate.policy.ruleset import Gate

ARCHES = ("x86_64", "i386", "x32", "s390x", "aarch64")
QUICK = settings(max_examples=60, deadline=None)


def gate(policy: Policy, arch: str) -> Gate:
    return resolve.gate([resolve.resolve(policy, arch)])


@QUICK
@given(st.data())
def test_a_policy_equals_what_its_text_reads_as(data: st.DataObject) -> None:
    text = data.draw(policies(ARCHES), label="policy")
    policy = Policy.parse(text)
    printed = str(policy)
    again = Policy.parse(printed)
    assert again == policy
    assert hash(again) == hash(policy)
    assert str(again) == printed
    for arch in ARCHES:
        call = data.draw(calls(text, arch))
        assert meaning.decide(gate(policy, arch), call)[0] == meaning.decide(gate(again, arch), call)[0]


@QUICK
@given(st.data())
def test_both_answer_as_the_kernel_does_for_a_stack_of_two(data: st.DataObject) -> None:
    texts = [data.draw(policies(ARCHES), label=label) for label in ("first", "second")]
    first, second = map(Policy.parse, texts)
    both = first & second
    flat = Policy.parse(str(both))
    assert flat == both
    assert str(flat) == str(both)
    for arch in ARCHES:
        gates = [gate(policy, arch) for policy in (first, second, both, flat)]
        asked = data.draw(calls("".join(texts), arch))
        assert gates[2].foreign == gates[3].foreign == strictest([gates[0].foreign, gates[1].foreign])
        edges = {edge for one in gates for _, found in one.entries for part in found for edge in (part.low, part.high)}
        for nr in sorted(edges | {asked.nr}):
            call = Call(arch, nr, asked.args)
            answers = [meaning.decide(one, call)[0] for one in gates]
            stacked = strictest(answers[:2])
            assert answers[2] == stacked, f"A & B: {nr:#x}"
            assert answers[3] == stacked, f"its flat text: {nr:#x}"


@st.composite
def commented(draw: st.DrawFn, text: str) -> str:
    """A text with comments, blank lines and other white space put in where the language allows them."""
    out: list[str] = []
    for number, line in enumerate(text.splitlines()):
        for _ in range(draw(st.integers(0, 2)) if draw(st.booleans()) else 0):
            out.append(draw(st.sampled_from(["", f"# above {number}", f"\t#above {number}", "   "])))
        changed = line.replace(" ", draw(st.sampled_from([" ", "  ", "\t"]))) if '"' not in line else line
        if "#" not in changed and draw(st.integers(0, 3)) == 0:
            changed += draw(st.sampled_from([f"  # beside {number}", f"#{number} 'quote\" {{ ("]))
        out.append(changed)
    return "\n".join(out) + "\n"


@QUICK
@given(st.data())
def test_fmt_keeps_meaning_and_comments_and_changes_nothing_twice(data: st.DataObject) -> None:
    text = data.draw(policies(ARCHES).flatmap(commented), label="policy")
    printed = layout.formatted(text)
    assert layout.formatted(printed) == printed
    assert Policy.parse(printed) == Policy.parse(text)
    before, after = ([comment for line in one.splitlines() if (comment := comment_of(line))] for one in (text, printed))
    assert sorted(before) == sorted(after)


RAW = {"read": ("fd", "count"), "mkdir": ("mode",), "lseek": ("offset", "whence"), "kill": ("pid", "sig")}
DEFAULTS = ("errno(1)", "errno(2)", "allow", "log", "kill", "kill_thread", "trap(3)")
EDGES = (0, 1, 3, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 32, 1 << 63, (1 << 64) - 1)


@st.composite
def raw_policies(draw: st.DrawFn) -> str:
    """Lines of dialect "ftrace"."""
    lines = [f"default: {draw(st.sampled_from(DEFAULTS))}"] if draw(st.booleans()) else []
    for call in draw(st.lists(st.sampled_from(sorted(RAW)), max_size=5)):
        tests = [
            f"{draw(st.sampled_from(('', '!')))}{draw(st.sampled_from(RAW[call]))} "
            f"{draw(st.sampled_from(('==', '!=', '<', '<=', '>', '>=', '&')))} {draw(st.sampled_from(EDGES))}"
            for _ in range(draw(st.integers(1, 3)))
        ]
        lines.append(f"{call}: {draw(st.sampled_from((' && ', ' || '))).join(tests)}")
        lines += draw(st.sampled_from(([], [f"{call}: 1"], [f"{call}: 0"])))
    return "".join(f"{line}\n" for line in lines)


@QUICK
@given(st.data())
def test_policies_of_either_dialect_together_answer_as_a_stack_of_two(data: st.DataObject) -> None:
    raw = Policy.parse(data.draw(raw_policies(), label="raw"), dialect="ftrace")
    text = data.draw(raw_policies() | policies(("x86_64", "aarch64")), label="other")
    try:
        other = Policy.parse(text, dialect="ftrace")
    except PolicyError:
        other = Policy.parse(text)
    first, second = data.draw(st.sampled_from(((raw, other), (other, raw))))
    both = first & second
    again = Policy.parse(str(both), dialect=both.dialect)
    assert again == both
    assert hash(again) == hash(both)
    for arch in ("x86_64", "aarch64"):
        gates = [gate(policy, arch) for policy in (first, second, both, again)]
        assert gates[2].foreign == gates[3].foreign == strictest([gates[0].foreign, gates[1].foreign])
        for name in (*RAW, "getpid", "openat2"):
            nr = call_facts.number(arch, name)
            words = tuple(data.draw(st.lists(st.sampled_from(EDGES), min_size=6, max_size=6)))
            if nr is not None:
                answers = [meaning.decide(one, Call(arch, nr, words))[0] for one in gates]
                assert answers[2] == answers[3] == strictest(answers[:2]), (name, words)
