"""DESIGN's table of meaning, the rows about names, groups, sections and numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from deciding import answer

from sysgate import Policy, PolicyError
from sysgate.facts import calls
from sysgate.policy import resolve

KILL = "kill_process"


@pytest.mark.parametrize(
    ("written", "arch", "call"),
    [
        ("read", "x86_64", "read"),
        ("sys_read", "x86_64", "read"),  # as written, then without sys_
        ("sys_newuname", "x86_64", "uname"),  # a kernel entry point
        ("newfstat", "x86_64", "fstat"),
        ("sys_newfstat", "x86_64", "fstat"),
        ("umount", "x86_64", "umount2"),  # the event's name where there is no such call
        ("umount", "i386", "umount"),  # the call's own name goes first
        ("sys_old_mmap", "i386", "mmap"),
        ("old_select", "i386", "select"),
        ("sys_olduname", "i386", "olduname"),
        ("sys_uname", "x86_64", "uname"),
        ("_llseek", "i386", "_llseek"),
    ],
)
def test_a_call_goes_by_its_name_its_entry_point_or_an_alias(written: str, arch: str, call: str) -> None:
    number = calls.number(arch, call)
    assert number is not None
    assert answer(f"{written}: 1", number, arch=arch) == "allow"


def test_calls_long_gone_are_known_by_name_and_never_matched() -> None:
    assert answer("sys_vm: 1\nsys_idle: 1\nread: 1", "read") == "allow"
    assert answer("[x86_64]\nsys_vm: 1\nread: 1", "read") == "allow"


def test_a_2011_file_is_a_sysgate_file() -> None:
    text = (
        "on_next_syscall: 1\nsys_read: fd == 0\nsys_write: fd == 1 || fd == 2\nsys_exit: 1\nsys_brk:0\nexit_group :1\n"
    )
    assert answer(text, "read", 0) == "allow"
    assert answer(text, "read", 1) == KILL
    assert answer(text, "write", 2) == "allow"
    assert answer(text, "exit", 9) == "allow"
    assert answer(text, "exit_group", 9) == "allow"
    assert answer(text, "brk") == KILL
    assert answer(text, "execve") == KILL  # on_next_syscall has no effect


def test_a_call_an_architecture_lacks_has_no_effect_there() -> None:
    text = "open: 1\nread: 1\n"
    assert answer(text, "read", arch="aarch64") == "allow"
    assert answer(text, "open", arch="x86_64") == "allow"
    text = "[aarch64, x86_64]\nopen: 1\nread: 1\n"
    assert answer(text, "read", arch="aarch64") == "allow"
    assert answer("[aarch64, riscv64]\nopen: 1\nread: 1\n", "read", arch="aarch64") == "allow"


def test_in_a_section_naming_only_one_architecture_a_call_it_lacks_is_an_error() -> None:
    with pytest.raises(PolicyError, match="aarch64 has no call open") as caught:
        Policy.parse("[arm64]\nread: 1\nopen: 1\n")
    assert (caught.value.line, caught.value.column) == (3, 1)
    assert "x86_64" in caught.value.hint  # who has it


def test_a_group_is_its_members_and_their_own_rules_narrow_it() -> None:
    text = "@file-system: 1\nopenat: (flags & O_ACCMODE) == O_RDONLY\nunlink: 0 else errno(EROFS)\n"
    assert answer(text, "mkdir") == "allow"
    assert answer(text, "openat", 0, 0, 0) == "allow"
    assert answer(text, "openat", 0, 0, 1) == KILL
    assert answer(text, "unlink") == "errno 30"
    assert answer(text, "socket") == KILL
    assert answer("@file-system, socket: 1", "socket") == "allow"
    assert answer("@known: 1", "bpf") == "allow"
    assert answer("@known: 1", 3000) == KILL
    assert answer("@aio: reg0 == 1", "io_setup", 1) == "allow"


def test_a_group_with_a_member_that_lacks_the_argument_is_an_error() -> None:
    with pytest.raises(PolicyError, match="not every call of @aio has an argument nr_events") as caught:
        Policy.parse("@aio: nr_events == 1\n")
    assert "lack it" in caught.value.hint
    # One whose members all have it is fine.
    assert answer("@reboot: reg0 == 1", "reboot", 1) == "allow"


@pytest.mark.parametrize(
    ("text", "call", "arch", "expected"),
    [
        ("[aarch64]\nread: 1", "read", "x86_64", KILL),
        ("[aarch64]\nread: 1", "read", "aarch64", "allow"),
        ("[arm64, amd64]\nread: 1", "read", "x86_64", "allow"),  # aliases
        ("[aarch64]\nread: 1\n[all]\nwrite: 1", "write", "x86_64", "allow"),  # [all] ends it
        ("write: 1\n[aarch64]\nread: 1", "write", "aarch64", "allow"),  # beside the neutral ones
        ("read: fd == 1\n[x86_64]\nread: fd == 0", "read", "x86_64", KILL),  # both are asked
        ("[x86_64]\nread: 1\n[aarch64]\nwrite: 1\n[x86_64]\nwrite: 1", "write", "x86_64", "allow"),
        # its own default and deny replace the neutral ones there, for every rule
        ("default: errno(1)\n[x86_64]\ndefault: errno(2)", "read", "x86_64", "errno 2"),
        ("default: errno(1)\n[x86_64]\ndefault: errno(2)", "read", "aarch64", "errno 1"),
        ("read: 0\n[x86_64]\ndefault: errno(2)", "read", "x86_64", "errno 2"),
        ("deny: errno(1)\nread: 0\n[x86_64]\ndeny: errno(2)", "read", "x86_64", "errno 2"),
        ("deny: errno(1)\nread: 0\n[x86_64]\ndeny: errno(2)", "read", "aarch64", "errno 1"),
        ("deny: errno(1)\n[x86_64]\ndeny: errno(2)\nread: 0", "read", "x86_64", "errno 2"),
        ("[x86_64]\ndefault: allow\n[all]\ndefault: errno(3)", "read", "x86_64", "allow"),
        ("[x86_64]\ndefault: allow\nread: 0\n[all]\ndefault: errno(3)", "read", "x86_64", KILL),
        ("[not aarch64]\nread: 1", "read", "x86_64", "allow"),
        ("[not aarch64]\nread: 1", "read", "aarch64", KILL),
        ("[not x86_64, x32]\nread: 1", "read", "x86_64", KILL),
    ],
)
def test_a_section_holds_on_its_architectures(text: str, call: str, arch: str, expected: str) -> None:
    assert answer(text, call, arch=arch) == expected


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("default: kill\ndefault: kill", 2, "`default` stands twice"),
        ("deny: kill\nread: 1\ndeny: kill", 3, "`deny` stands twice"),
        ("[x86_64]\ndefault: kill\n[x86_64, i386]\ndefault: kill", 4, "`default` stands twice for x86_64"),
        ("[x86_64]\ndeny: kill\ndeny: kill", 3, "`deny` stands twice for x86_64"),
        ("since: 6.1\nsince: 6.1", 2, "`since` stands twice"),
        ("[x86_64]\nlet A = 1", 2, "`let` cannot stand in a section"),
        ('[x86_64]\ninclude "@startup"', 2, "`include` cannot stand in a section"),
        ("[x86_64]\nsince: 6.1", 2, "`since` cannot stand in a section"),
        ("451: 1", 1, "calls go by number only inside a section"),
        ("[x86_64]\n1: 1\n[all]\n1: 1", 4, "calls go by number only inside a section"),
        ("[x86_64]\n1: fd == 1", 2, "a call by number has no argument fd"),
        ("[x86_64]\n0x100000000: 1", 2, "does not fit the 32 bits"),
        ("[x86_64]\n3..1: 1", 2, "this range ends below its start"),
    ],
)
def test_what_cannot_stand_there_is_an_error(text: str, line: int, message: str) -> None:
    with pytest.raises(PolicyError, match=message) as caught:
        Policy.parse(text)
    assert caught.value.line == line
    assert len(caught.value.errors) == 1


@pytest.mark.parametrize(
    ("rule", "nr", "args", "expected"),
    [
        ("0: 1", 0, (), "allow"),
        ("0x1: reg0 == 1", 1, (1,), "allow"),
        ("0x1: reg0 == 1", 1, (0x1_0000_0001,), KILL),
        ("010: 1", 8, (), "allow"),
        ("5..9: reg1 == 2", 7, (0, 2), "allow"),
        ("5..9: 1", 10, (), KILL),
        ("0xffffffff: 0 else errno(5)", 0xFFFF_FFFF, (), "errno 5"),  # -1, as a tracer leaves it
        ("0x80000000..0xffffffff: 1", 0x8000_0001, (), "allow"),
        ("0..0xffffffff: 1", 0x7FFF_FFFF, (), "allow"),
        ("1, 3..4, 6: 1", 4, (), "allow"),
        ("1, 3..4, 6: 1", 5, (), KILL),
        ("read, 1: reg0 == 1", 1, (1,), "allow"),
    ],
)
def test_a_section_may_give_calls_by_number(rule: str, nr: int, args: tuple[int, ...], expected: str) -> None:
    assert answer(f"[x86_64]\n{rule}\n", nr, *args) == expected


X32_READ = 0x4000_0000


@pytest.mark.parametrize(
    ("text", "nr", "expected"),
    [
        ("read: 1", X32_READ, KILL),
        ("default: allow", X32_READ, KILL),  # the refusal, not the default
        ("default: errno(EPERM)", X32_READ, "errno 1"),
        ("default: errno(EPERM)\n[x86_64]\ndefault: errno(2)", X32_READ, "errno 2"),
        ("default: log", 0x7FFF_FFFF, KILL),
        ("default: allow", 0x3FFF_FFFF, "allow"),
        ("default: allow", 0x8000_0000, "allow"),  # bit 31 set: an unknown number like others
        ("default: allow", 0xC000_0000, "allow"),
        ("since: 6.1\ndefault: errno(EPERM)", X32_READ, "errno 1"),  # the x32 row goes before `since`
        ("since: 6.1\ndefault: allow", X32_READ, KILL),
        ("[x86_64]\n0x40000000: 1", X32_READ, "allow"),  # a number rule names it
        ("[x86_64]\n0x40000000: 0 else errno(5)", X32_READ + 1, KILL),
        ("[x86_64]\n0x40000000..0x7fffffff: 0 else errno(ENOSYS)\n[all]\ndefault: allow", X32_READ, "errno 38"),
        ("@known: 1", X32_READ, KILL),
    ],
)
def test_x32_numbers_get_the_refusal_where_x32_is_not_compiled(text: str, nr: int, expected: str) -> None:
    assert answer(text, nr) == expected


def test_x32_compiled_beside_decides_its_own_numbers() -> None:
    text = "read: fd == 1\n[x86_64]\n0x40000000: 0 else errno(7)\n"
    assert answer(text, X32_READ, 1, arch="x86_64", beside=("x32",)) == "allow"
    assert answer(text, "read", 1, arch="x32", beside=("x86_64",)) == "allow"
    assert answer(text, "read", 1, arch="x86_64", beside=("x32",)) == "allow"
    assert answer("[x32]\nread: 1", "read", arch="x86_64", beside=("x32",)) == KILL
    assert answer("[x32]\nread: 1", "read", arch="x32", beside=("x86_64",)) == "allow"
    assert answer("[x32]\n0x40000005: 1\n5: 1", 0x4000_0005, arch="x32") == "allow"
    # x32 alone: numbers of x86_64 are a foreign architecture's.
    assert answer("default: allow", 0, arch="x32") == KILL
    assert answer("default: allow", 0x8000_0000, arch="x32") == KILL


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("read: 1", KILL),
        ("default: allow", KILL),
        ("default: errno(EPERM)", KILL),
        ("default: kill_thread", "kill_thread"),
        ("[x86_64]\ndefault: kill_thread", KILL),  # the neutral default counts
        ("default: kill_thread\n[x86_64]\ndefault: allow", "kill_thread"),
    ],
)
def test_other_architectures_are_killed(text: str, expected: str) -> None:
    for arch in ("i386", "aarch64", 0x1234_5678):
        policy = Policy.parse(text)
        assert policy.compile("x86_64").decide(0, arch=arch).action == expected
    assert Policy.parse(text).decide(0, arch=0x1234_5678).action == expected


@pytest.mark.parametrize(
    ("text", "machine", "expected"),
    [
        ("read: 1", "x86_64", ("x86_64",)),
        ("[i386]\nread: 1", "x86_64", ("x86_64", "i386")),
        ("[i386]", "x86_64", ("x86_64", "i386")),  # named, if only that
        ("[i386, x32]\nread: 1\n[aarch64]\nread: 1", "x86_64", ("x86_64", "x32", "i386")),
        ("[not i386]\nread: 1", "x86_64", ("x86_64",)),  # to leave one out is not to name it
        ("[all]\nread: 1", "x86_64", ("x86_64",)),
        ("[arm]\nread: 1", "aarch64", ("aarch64", "arm")),
        ("[x86_64, i386]\nread: 1", "aarch64", ("aarch64",)),
        ("[mipsel, mips64el_n32]\nread: 1", "mips64el", ("mips64el", "mips64el_n32", "mipsel")),
        ("[i386]\nread: 1", "s390x", ("s390x",)),
    ],
)
def test_the_native_set_is_the_machine_and_those_of_its_abis_that_a_section_names(
    text: str, machine: str, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sysgate.facts.arches import arch

    monkeypatch.setattr(resolve, "native", lambda: arch(machine))
    assert resolve.arches(Policy.parse(text)) == expected
    # The flat text names them too.
    assert resolve.arches(Policy.parse(str(Policy.parse(text)))) == expected


@pytest.mark.parametrize(
    ("text", "fd", "expected"),
    [
        ("let STDIO = {0, 1, 2}\nread: fd in STDIO", 2, "allow"),
        ("let STDIO = {0..2, 7}\nread: fd in STDIO", 3, KILL),
        ("let OUT = 1\nread: fd == OUT", 1, "allow"),
        ("let OUT = 1\nread: fd in OUT", 1, "allow"),  # a constant is a set of one
        ("let OUT = 1\nread: fd in {OUT, 5}", 5, "allow"),
        ("let A = 1\nlet B = A|2\nread: fd == B", 3, "allow"),
        ("let A = {1}\nlet B = 7\nlet C = {B..9}\nread: fd in C", 8, "allow"),
        ("read: fd in O_WRONLY", 1, "allow"),  # any constant
        ("let ALL = ~0\nread: fd == ALL", 0xFFFF_FFFF, "allow"),  # as wide as the argument beside it
        ("let MINUS = -1\nread: fd == -MINUS", 1, "allow"),
        ("let fd = 3\nread: fd == fd", 3, "allow"),  # an argument stands left, constants right
        ("let E = ENOSYS\nread: 0 else errno(E)", 3, "errno 38"),
        ("let MASK = O_ACCMODE\nread: (fd & MASK) == 1", 5, "allow"),
        ("let MASK = 1|4\nread: fd & MASK", 4, "allow"),
    ],
)
def test_let_names_a_constant_or_a_set(text: str, fd: int, expected: str) -> None:
    assert answer(text, "read", fd) == expected


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("read: fd == A\nlet A = 1", 1, "unknown constant A"),  # from its line on
        ("let A = 1\nlet A = 1", 2, "A is defined already, in <policy>:1"),
        ("let O_RDONLY = 0", 1, "O_RDONLY is a constant of the kernel's"),
        ("let A = {1}\nread: fd == A", 2, "A is a set, and stands here for a constant"),
        ("let A = {1}\nlet B = A|1", 2, "A is a set"),
        ("let A = {1}\nread: fd in {A}", 2, "A is a set"),
        ("let A = {1}\nread: fd & A", 2, "A is a set"),
        ("let A = B", 1, "unknown constant B"),
        ("let A = A", 1, "unknown constant A"),
        ("let in = 1", 1, "`in` is a word of the language"),
        ("read: fd in FEW", 1, "unknown set FEW"),
    ],
)
def test_what_a_let_cannot_be_is_an_error(text: str, line: int, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        Policy.parse(text)
    assert message in caught.value.message
    assert caught.value.line == line


def test_the_shared_example_of_design_reads(shared) -> None:  # type: ignore[no-untyped-def]
    design: Path = shared("DESIGN.md")
    text = design.read_text()
    example = text[text.index("    # comment\n") : text.index("### Grammar")]
    lines = [line[4:] for line in example.splitlines() if "include" not in line]
    policy = Policy.parse("\n".join(lines))
    assert policy.decide("read", (7,), arch="x86_64").action == "allow"
    assert policy.decide("openat", (0, 0, 1), arch="x86_64").data == 30
    assert policy.decide(451, (0, 1), arch="aarch64").action == "errno"
