"""Programs come back as the policies a person would have written."""

from __future__ import annotations

import pytest

from sysgate.action import from_ret
from sysgate.analyse import decompile
from sysgate.bpf import insn
from sysgate.bpf.machine import run
from sysgate.bpf.program import Program
from sysgate.call import Call
from sysgate.compiler import compile
from sysgate.errors import BpfError, CompileError
from sysgate.policy import meaning, printer, resolve
from sysgate.policy.include import parse
from sysgate.proof import prove

X86_64, I386, AARCH64 = 0xC000_003E, 0x4000_0003, 0xC000_00B7
LD_NR, LD_ARCH = (insn.LD_ABS, 0, 0, insn.NR), (insn.LD_ABS, 0, 0, insn.ARCH)


def returns(value):
    return (insn.RET_K, 0, 0, value)


ALLOW, KILL, EPERM = returns(0x7FFF_0000), returns(0x8000_0000), returns(0x0005_0001)


def program_for(text, *arches):
    policy = parse(text, "x.policy")
    gate = resolve.gate([resolve.resolve(policy, arch) for arch in arches])
    made = compile(gate, optimize="fast")
    prove(gate, made)
    return made


def back(text, *arches):
    return decompile.to_text([program_for(text, *arches)])


@pytest.mark.parametrize(
    "text",
    [
        "[x86_64]\nexit_group: 1\nread: fd == 0\nwrite: fd in {1, 2}\n",
        "[x86_64]\ndefault: errno(EPERM)\nclose, read, write: 1\nioctl: cmd == TCGETS else errno(ENOTTY)\n",
        "[x86_64]\ndefault: kill_thread\n@default: 1\nopenat: (flags & O_ACCMODE) == O_RDONLY else errno(EROFS)\n",
        # a group with a member that narrows it, and one with a condition of its own
        "[x86_64]\ndefault: errno(EPERM)\n@file-system: 1\nopenat: !(flags & O_CREAT)\nfchmodat2, removexattr: 0\n",
        "[x86_64]\ndefault: allow\n0x40000000..0x7fffffff: 1\n",
        "[x86_64]\ndefault: allow\n@keyring, bpf, perf_event_open: 0 else errno(EPERM)\n",
        "[x86_64]\nsocket: { family == AF_UNIX -> allow; family == AF_INET -> notify; else errno(EAFNOSUPPORT) }\n",
        "[aarch64]\ndefault: trap\nclone: !(clone_flags & CLONE_NEWUSER)\n600..700: 1\n",
        "[s390x]\nread: fd == 0\nwrite: buf == 0\n",
        # what only one architecture has needs no section of its own
        "[x86_64, i386]\ndefault: errno(EPERM)\nread, write: fd <= 2\nsocketcall: call in {SYS_SOCKET, SYS_BIND}\n",
        "[x86_64, i386]\nread, write: 1\n\n[x86_64]\nmmap: !(prot & PROT_EXEC)\n\n[i386]\ndefault: errno(ENOSYS)\n",
        "[x86_64]\ndefault: errno(EPERM)\nexit, exit_group: 1\nread: reg0 == 0\n",
    ],
)
def test_a_policy_comes_back_as_it_was_written(text):
    arches = text[1 : text.index("]")].split(", ")
    assert back(text, *arches) == text


def test_a_denied_x32_is_not_spoken_of_where_the_policy_denies_it_anyway():
    assert "0x40000000" not in back("[x86_64]\ndefault: errno(EPERM)\nread: 1\n", "x86_64")
    assert "0x40000000..0x7fffffff: 1" in back("[x86_64]\ndefault: allow\n0x40000000..0x7fffffff: 1\n", "x86_64")


def test_many_rules_that_fail_alike_share_a_deny_line():
    rules = "".join(f"{call}: fd == 1\n" for call in ("read", "write", "close", "fstat", "lseek"))
    found = back(f"[x86_64]\ndeny: errno(EACCES)\n{rules}", "x86_64")
    assert found == "[x86_64]\nclose, fstat, lseek, read, write: fd == 1 else errno(EACCES)\n"
    different = "".join(f"{call}: fd == {at}\n" for at, call in enumerate(("read", "write", "close", "fstat", "lseek")))
    found = back(f"[x86_64]\ndeny: errno(EACCES)\n{different}", "x86_64")
    assert found.startswith("[x86_64]\ndeny: errno(EACCES)\n")
    assert "else" not in found


def test_other_architectures_are_killed_and_named_ones_are_not():
    made = program_for("[x86_64]\nread: 1\n", "x86_64")
    policy = decompile.to_policy([made])
    gate = resolve.gate([resolve.resolve(policy, "x86_64")])
    assert gate.foreign.kind == "kill_process"
    assert policy.named == ("x86_64",)


@pytest.mark.parametrize(
    ("insns", "arches", "text"),
    [
        # No test of the architecture at all.
        ((LD_NR, (insn.JEQ_K, 0, 1, 0), ALLOW, KILL), ["x86_64"], "[x86_64]\nread: 1\n"),
        ((LD_NR, (insn.JEQ_K, 0, 1, 3), ALLOW, KILL), ["i386"], "[i386]\nread: 1\n"),
        ((ALLOW,), ["aarch64"], "[aarch64]\ndefault: allow\n"),
        # Numbers without a name.
        ((LD_NR, (insn.JGE_K, 0, 1, 500), EPERM, ALLOW), ["aarch64"],
         "[aarch64]\ndefault: errno(EPERM)\n@known, 244..259, 295..402, 420..423: 1\n"),
        # The one number that has no name asks for an argument: its register.
        ((LD_NR, (insn.JEQ_K, 0, 3, 400), (insn.LD_ABS, 0, 0, 16), (insn.JEQ_K, 0, 1, 7), ALLOW, KILL), ["x86_64"],
         "[x86_64]\n400: (reg0 & 0xffffffff) == 7\n"),
        # x32's calls, when asked for, by name.
        ((LD_NR, (insn.JEQ_K, 0, 1, 0x4000_0001), ALLOW, KILL), ["x86_64"], "[x86_64]\n0x40000001: 1\n"),
        ((LD_NR, (insn.JEQ_K, 0, 1, 0x4000_0001), ALLOW, KILL), ["x32"], "[x32]\nwrite: 1\n"),
    ],
)  # fmt: skip
def test_foreign_programs_are_read_for_the_architecture_asked_for(insns, arches, text):
    found = decompile.to_text([Program(insns, False)], arches)
    if "@known" in text:
        assert found.startswith("[aarch64]\n")
    else:
        assert found == text
    decompile.to_policy([Program(insns, False)], arches)  # proves it


def test_the_answer_to_arguments_without_any_test_of_the_number_becomes_a_rule_for_all_numbers():
    insns = ((insn.LD_ABS, 0, 0, 16), (insn.JEQ_K, 0, 1, 7), ALLOW, KILL)
    policy = decompile.to_policy([Program(insns, False)], ["aarch64"])
    text = printer.text(policy)
    assert "reg0" in text
    gate = resolve.gate([resolve.resolve(policy, "aarch64")])
    for number in (0, 63, 450, 0x7FFF_FFFF, 0xFFFF_FFFF):
        for word in (7, 8, 7 | 1 << 32):
            action, _ = meaning.decide(gate, Call("aarch64", number, (word, 0, 0, 0, 0, 0)))
            assert action == from_ret(run(Program(insns, False), AARCH64, number, (word,))[0])


@pytest.mark.parametrize(
    ("insns", "arches", "reason"),
    [
        ((ALLOW,), None, "tests for no architecture: say which"),
        ((LD_ARCH, (insn.JEQ_K, 0, 1, 0x8000_0008), ALLOW, KILL), None, "only for 0x80000008, which no table has"),
        ((ALLOW,), ["x86_46"], "unknown architecture 'x86_46'"),
        (((insn.LD_ABS, 0, 0, 8), (insn.JEQ_K, 0, 1, 5), ALLOW, KILL), ["x86_64"], "instruction pointer"),
        ((LD_NR, (insn.JSET_K, 0, 1, 1), ALLOW, KILL), ["x86_64"], "more ranges of call numbers"),
    ],
)  # fmt: skip
def test_what_no_policy_can_say_is_refused_in_words(insns, arches, reason):
    with pytest.raises((BpfError, CompileError), match=reason):
        decompile.to_policy([Program(insns, False)], arches)


def test_an_instruction_pointer_that_does_not_matter_is_no_obstacle():
    insns = (LD_ARCH, (insn.JEQ_K, 0, 4, X86_64), (insn.LD_ABS, 0, 0, 8), (insn.JEQ_K, 0, 1, 5), ALLOW, ALLOW, KILL)
    assert decompile.to_text([Program(insns, False)]) == "[x86_64]\ndefault: allow\n0x40000000..0x7fffffff: 1\n"


def test_a_call_that_one_architecture_alone_has_stands_beside_its_others():
    text = "[x86_64]\ndefault: errno(EPERM)\nread, accept, newfstatat: 1\n[i386]\ndefault: kill\nexit_group: 1\n"
    written = back(text, "x86_64", "i386")
    assert "[x86_64]\ndefault: errno(EPERM)\naccept, newfstatat, read: 1\n" in written
    assert "[x86_64, i386]" not in written


def test_a_stack_becomes_one_policy():
    first = program_for("[x86_64]\ndefault: errno(EPERM)\nread, write, openat: 1\n", "x86_64")
    second = program_for("[x86_64]\ndefault: allow\nopenat: !(flags & O_CREAT) else errno(EROFS)\n"
                         "0x40000000..0x7fffffff: 1\n", "x86_64")  # fmt: skip
    assert decompile.to_text([first, second]) == (
        "[x86_64]\ndefault: errno(EPERM)\nread, write: 1\nopenat: !(flags & O_CREAT) else errno(EROFS)\n"
    )
    decompile.to_policy([first, second])


def test_a_stack_answers_as_the_strictest_of_its_programs():
    texts = [
        "[x86_64]\ndefault: errno(EPERM)\n@io-event, @basic-io, mmap: 1\n",
        "[x86_64]\ndefault: allow\nmmap: !(prot & PROT_EXEC) else errno(EACCES)\nread: fd != 5 else trap\n",
        "[x86_64]\ndefault: allow\nmmap: !(prot & PROT_WRITE) else errno(ENOMEM)\n",
    ]
    stack = [program_for(text, "x86_64") for text in texts]
    policy = decompile.to_policy(stack)
    gate = resolve.gate([resolve.resolve(policy, "x86_64")])
    for number in (0, 1, 9, 257, 500):
        for args in ((0, 0, 0), (5, 0, 4), (5, 0, 6), (1, 0, 2)):
            from sysgate.action import strictest

            meant = strictest(from_ret(run(program, X86_64, number, args)[0]) for program in stack)
            action, _ = meaning.decide(gate, Call("x86_64", number, (*args, 0, 0, 0)))
            assert action == meant, (number, args)


def test_what_comes_back_is_canonical():
    made = program_for("[x86_64]\ndefault: errno(EPERM)\nread: fd == 0\n@default: 1\n", "x86_64")
    policy = decompile.to_policy([made])
    assert parse(printer.text(policy), "again") == policy


def test_the_same_program_comes_back_as_the_same_text_every_time():
    made = program_for(
        "[x86_64]\ndefault: errno(EPERM)\n@system-service: 1\nclone: !(clone_flags & CLONE_NEWUSER)\n", "x86_64"
    )
    assert len({decompile.to_text([made]) for _ in range(3)}) == 1
