"""Facts by name: what is found, under which spelling, and which files are read for it. Stands without the tables."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

from sysgate.facts import ages, arches, calls, constants, groups, prototypes, relations, risks, table
from sysgate.facts.nearest import nearest


@pytest.mark.parametrize(
    ("arch", "name", "number"),
    [
        ("x86_64", "read", 0),  # arch/x86/entry/syscalls/syscall_64.tbl
        ("x86_64", "openat", 257),
        ("x86_64", "uprobe", 336),
        ("x32", "read", 0x4000_0000),
        ("x32", "rt_sigaction", 0x4000_0200),  # x32's own numbers start at 512
        ("i386", "exit", 1),
        ("i386", "clock_gettime64", 403),
        ("aarch64", "openat", 56),  # include/uapi/asm-generic/unistd.h
        ("aarch64", "open", None),
        ("arm", "set_tls", 0xF0005),
        ("riscv64", "riscv_hwprobe", 258),
        ("s390x", "mmap", 90),
        ("ppc64le", "exit", 1),
        ("mips64el", "read", 5000),
        ("mips64el_n32", "read", 6000),
        ("mipsel", "read", 4003),
        ("loongarch64", "fstat", 80),
        ("vax", "read", None),
    ],
)
def test_a_number_is_as_seccomp_data_shows_it(arch: str, name: str, number: int | None) -> None:
    assert calls.number(arch, name) == number
    if number is not None:
        assert calls.name(arch, number) == name


def test_a_number_no_call_has_has_no_name() -> None:
    assert calls.name("x86_64", 9999) is None
    assert calls.name("x86_64", -1) is None
    assert calls.name("x86_64", 0x4000_0000) is None  # that is x32's
    assert calls.name("vax", 3) is None


@pytest.mark.parametrize(
    ("arch", "written", "call"),
    [
        ("x86_64", "read", "read"),
        ("x86_64", "sys_read", "read"),  # 2011's spelling
        ("x86_64", "sys_newuname", "uname"),  # an entry point
        ("x86_64", "newfstat", "fstat"),
        ("x86_64", "sys_sendfile64", "sendfile"),
        ("x86_64", "pread", "pread64"),  # a name of libc's
        ("x86_64", "sys_pread", "pread64"),
        ("x86_64", "sysctl", "_sysctl"),
        ("x86_64", "umount", "umount2"),  # x86_64 has no umount of its own …
        ("i386", "umount", "umount"),  # … i386 has: a call's name goes first
        ("i386", "sys_fstat", "fstat"),  # though sys_fstat serves oldfstat there
        ("i386", "old_select", "select"),
        ("i386", "sys_select", "select"),
        ("arm", "select", "_newselect"),
        ("i386", "old_readdir", "readdir"),
        ("i386", "old_mmap", "mmap"),
        ("s390x", "old_mmap", "mmap"),
        ("x86_64", "old_mmap", None),  # no such entry point there: no effect, not an error
        ("i386", "sys_olduname", "olduname"),
        ("i386", "sys_idle", "idle"),
        ("arm", "fadvise64_64", "arm_fadvise64_64"),
        ("arm", "__ARM_NR_set_tls", "set_tls"),
        ("arm", "set_tls", "set_tls"),
        ("x86_64", "set_tls", None),
        ("aarch64", "open", None),
        ("mips64el_n32", "recvmmsg_time64", "recvmmsg_time64"),
        ("x32", "recvmmsg_time64", "recvmmsg"),
        ("x86_64", "sys_sys_read", None),  # the prefix goes once
        ("x86_64", "SYS_read", None),
        ("x86_64", "vm", None),
        ("vax", "read", None),
        ("x86_64", "", None),
        ("x86_64", "sys_", None),
        ("x86_64", "read\tx", None),
        ("x86_64", "#", None),
    ],
)
def test_a_name_means_a_call_then_an_entry_point_then_an_alias(arch: str, written: str, call: str | None) -> None:
    assert calls.resolve(arch, written) == call


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("read", True),
        ("sys_read", True),
        ("set_tls", True),  # arm's
        ("old_mmap", True),
        ("sys_vm", True),  # in 2011's rule files; gone before the oldest table
        ("raed", False),
        ("", False),
        ("sys_", False),
        ("mmap+", False),  # how the data files mark an override
        ("# made by", False),
    ],
)
def test_a_name_is_known_where_any_architecture_has_it(written: str, known: bool) -> None:
    assert calls.known(written) is known


def test_a_call_that_went_before_the_tables_is_known_as_gone() -> None:
    assert calls.gone("sys_vm")
    assert calls.gone("vm")
    assert not calls.gone("sys_vm86")


@pytest.mark.parametrize(
    ("call", "argument", "arch", "bits", "signed", "regs"),
    [
        ("openat", "dfd", "x86_64", 32, True, (0,)),
        ("close", "fd", "x86_64", 32, False, (0,)),
        ("chmod", "mode", "x86_64", 16, False, (1,)),  # umode_t
        ("read", "count", "x86_64", 64, False, (2,)),
        ("read", "count", "i386", 32, False, (2,)),
        ("mmap", "fd", "x86_64", 32, False, (4,)),  # a full word to the cast, ksys_mmap_pgoff's fget() takes 32 bits
        ("clone", "clone_flags", "x86_64", 32, False, (0,)),
        ("clone", "clone_flags", "s390x", 32, False, (1,)),  # CLONE_BACKWARDS2
        ("clone", "tls", "x86_64", 64, False, (4,)),
        ("clone", "tls", "aarch64", 64, False, (3,)),  # CLONE_BACKWARDS
        ("pread64", "pos", "x86_64", 64, True, (3,)),
        ("pread64", "pos", "i386", 64, True, (3, 4)),
        ("pread64", "pos", "arm", 64, True, (4, 5)),  # starts at an even register
        ("sync_file_range", "flags", "mipsel", 32, False, ()),  # past the sixth register
        ("chown", "user", "x86_64", 32, False, (1,)),
        ("chown", "user", "i386", 16, False, (1,)),
    ],
)
def test_an_argument_is_what_the_kernel_of_that_architecture_uses(
    call: str, argument: str, arch: str, bits: int, signed: bool, regs: tuple[int, ...]
) -> None:
    prototype = prototypes.prototype(call, arch)
    assert prototype is not None
    found = prototype.argument(argument)
    assert found is not None
    assert (found.bits, found.signed, found.regs) == (bits, signed, regs)


def test_what_is_not_known_is_said_with_none() -> None:
    removed = prototypes.prototype("query_module", "x86_64")
    assert removed is not None
    assert removed.args is None
    assert removed.argument("fd") is None
    assert not removed.implemented
    for call, arch in (("raed", "x86_64"), ("read", "vax"), ("mmap+", "x86_64")):
        assert prototypes.prototype(call, arch) is None


def test_an_architectures_alias_is_as_good_as_its_name() -> None:
    assert prototypes.prototype("chown", "amd64") == prototypes.prototype("chown", "x86_64")


@pytest.mark.parametrize(
    ("name", "arch", "value"),
    [
        ("O_RDONLY", "x86_64", 0),
        ("O_CREAT", "x86_64", 0o100),
        ("O_CREAT", "mips64el", 0x100),
        ("O_DIRECTORY", "aarch64", 0o40000),
        ("O_LARGEFILE", "x86_64", 0o100000),  # the kernel's, not libc's 0
        ("AT_FDCWD", "s390x", -100),
        ("ENOSYS", "x86_64", 38),
        ("ENOSYS", "mipsel", 89),
        ("AF_UNIX", "x86_64", 1),
        ("SOCK_STREAM", "mips64el", 2),
        ("TIOCSTI", "x86_64", 0x5412),
        ("TIOCSTI", "mipsel", 0x5472),
        ("F_GETLK64", "x86_64", None),  # 32-bit ABIs only
        ("F_GETLK64", "i386", 12),
        ("O_RDNOLY", "x86_64", None),
        ("O_RDONLY", "vax", None),
        ("O_CREAT\t64", "x86_64", None),
    ],
)
def test_a_constant_has_the_kernels_value_on_each_architecture(name: str, arch: str, value: int | None) -> None:
    assert constants.value(name, arch) == value


def test_a_constant_exists_where_any_architecture_has_it() -> None:
    assert constants.exists("F_GETLK64")
    assert constants.exists("TIOCSTI")
    assert not constants.exists("O_RDNOLY")


def test_a_family_no_one_knows_is_empty() -> None:
    assert constants.members("no_such_family", "x86_64") == {}
    assert constants.kind("no_such_family") is None
    assert constants.families("read", "fd") == ()
    assert constants.families("raed", "fd") == ()
    assert constants.ioctl_names("vax", 0x5401) == ()


@pytest.mark.parametrize(
    ("call", "argument", "conditions"),
    [
        ("openat", "flags", [()]),
        ("socket", "family", [()]),
        ("statx", "dfd", [()]),  # "or any descriptor" is no condition
        ("seccomp", "flags", [(("op", "SECCOMP_SET_MODE_FILTER"),)]),
    ],
)
def test_a_condition_is_read_as_argument_and_constant(call: str, argument: str, conditions: list[object]) -> None:
    assert [family.conditions for family in constants.families(call, argument)] == conditions


def test_a_group_holds_what_the_groups_in_it_hold() -> None:
    service = groups.members("@system-service")
    assert service is not None
    assert set(groups.members("@io-event") or ()) <= set(service)
    assert "epoll_wait" in service
    assert groups.members("@no-such-group") is None
    assert groups.description("@no-such-group") == ""


def test_an_age_is_a_version_that_compares() -> None:
    assert ages.since("openat2") == (5, 6)
    assert ages.since("accept4") == (2, 6, 28)
    assert (2, 6, 28) < (5, 6)
    assert ages.removed("_sysctl") == (5, 5)
    assert ages.since("ulimit") is None
    assert ages.since("raed") is None


def test_a_risk_is_found_under_its_kind_only() -> None:
    assert risks.risks("bpf")[0].category == "kernel-code"
    assert risks.risks("TIOCSTI") == ()
    assert "CVE-2017-5226" in risks.risks("TIOCSTI", "ioctl")[0].cves
    assert risks.risks("read") == ()


def test_twins_are_found_from_either_side() -> None:
    assert relations.twins("fstat64", "i386") == ("fstat",)
    assert "fstat64" in relations.twins("fstat", "i386")
    assert relations.twins("fstat64", "x86_64") == ()
    assert relations.twins("read", "i386") == ()
    assert relations.twins("fstat64", "vax") == ()


def test_a_multiplexer_is_known_where_it_exists() -> None:
    assert (3, "connect") in relations.multiplexed("socketcall", "i386")
    assert relations.multiplexed("socketcall", "x86_64") == ()
    assert relations.multiplexed("read", "i386") == ()


def test_prefix_of_a_machines_name_is_not_enough() -> None:
    assert arches.arch("x86") == arches.arch("i386")
    assert arches.arch("x86_6") is None
    assert arches.arch("") is None
    assert [arch.name for arch in arches.by_audit(0xC000_003E)] == ["x86_64", "x32"]
    assert arches.by_audit(1) == ()


@pytest.mark.parametrize(
    ("word", "right"),
    [("O_RDNOLY", "O_RDONLY"), ("o_rdonly", "O_RDONLY"), ("O_CRAET", "O_CREAT"), ("AF_INTE", "AF_INET")],
)
def test_a_mistyped_constant_is_near_the_right_one(word: str, right: str) -> None:
    assert nearest(word, constants.spellings()) == (right,)


@pytest.mark.parametrize(("word", "right"), [("opnat", "openat"), ("raed", "read"), ("mumap", "munmap")])
def test_a_mistyped_call_is_near_the_right_one(word: str, right: str) -> None:
    assert right in nearest(word, calls.spellings(), 3)


def test_nothing_is_near_nonsense() -> None:
    assert nearest("§§§§§§§§", calls.spellings(), 3) == ()
    assert nearest("", calls.spellings()) == ()


SOURCE = arches.__file__.rpartition("/sysgate/")[0]


# What a look-up opens below facts/data, in a fresh interpreter.
@pytest.mark.parametrize(
    ("statement", "files"),
    [
        ("calls.number('x86_64', 'openat')", {"calls_x86_64"}),
        ("calls.name('x86_64', 257)", {"calls_x86_64"}),
        ("calls.resolve('x86_64', 'sys_openat')", {"calls_x86_64", "aliases"}),  # as written first
        ("calls.resolve('x86_64', 'openat')", {"calls_x86_64"}),
        ("prototypes.prototype('openat', 'x86_64')", {"prototypes", "arches"}),
        ("constants.value('O_CREAT', 'x86_64')", {"constants_x86_64", "constants"}),
        ("constants.value('TIOCSTI', 'x86_64')", {"constants_x86_64", "constants", "ioctls"}),
        ("constants.exists('O_CREAT')", {"constants"}),
        ("groups.members('@timer')", {"groups"}),
        ("ages.since('openat')", {"ages"}),
        ("risks.risks('bpf')", {"risks"}),
        ("arches.native()", {"arches"}),
        ("arches.ARCHES", set()),
    ],
)
def test_a_look_up_reads_only_the_files_it_needs(statement: str, files: set[str]) -> None:
    program = f"""
import sys
opened = []
sys.addaudithook(lambda event, args: event == "open" and opened.append(str(args[0])))
from sysgate.facts import ages, arches, calls, constants, groups, prototypes, risks
{statement}
{statement}
read = [path.rpartition("/")[2] for path in opened if "/facts/data/" in path]
print(*read)
print(*[name for name in ("re", "json", "pathlib", "typing", "dataclasses", "difflib") if name in sys.modules])
"""
    # -S -E: without the site packages of this environment, which import what they like.
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", f"import sys; sys.path.insert(0, {SOURCE!r})\n{program}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    read, modules = done.stdout.splitlines()
    assert sorted(read.split()) == sorted(f"{name}.txt" for name in files)  # each once
    assert modules == ""


def test_the_examples_of_the_documentation_hold() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "facts.md"
    done = doctest.testfile(str(page), module_relative=False)
    assert done.attempted >= 4
    assert done.failed == 0


def test_the_architectures_written_out_are_those_of_the_data() -> None:
    assert tuple(fields[0] for fields in table.rows("arches")) == arches.ARCHES
