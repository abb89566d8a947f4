"""DESIGN's table of arguments: a comparison sees what the kernel uses of a register, read as the kernel reads it."""

from __future__ import annotations

import pytest
from deciding import answer

from sysgate import CompileError, Policy, PolicyError, SysgateError

KILL = "kill_process"
G = 0xDEAD_BEEF_0000_0000  # garbage above the low 32 bits
ALL64 = (1 << 64) - 1


@pytest.mark.parametrize(
    ("rule", "args", "holds"),
    [
        # int: the low 32 bits, signed
        ("kill: pid == -1", (0xFFFF_FFFF,), True),
        ("kill: pid == -1", (ALL64,), True),
        ("kill: pid == -1", (G | 0xFFFF_FFFF,), True),
        ("kill: pid == 0xffffffff", (0xFFFF_FFFF,), True),  # stands for its 32 bits: -1
        ("kill: pid != -1", (0x7_FFFF_FFFF,), False),
        ("kill: pid < 0", (0x8000_0000,), True),
        ("kill: pid < 0", (G | 0x7FFF_FFFF,), False),
        ("kill: pid > 0", (G | 5,), True),
        ("kill: pid > 2", (ALL64,), False),  # -1; 2011 compared raw
        ("kill: pid < 0xffffffff", (ALL64,), True),  # as integers, no conversion: always
        ("kill: pid < 0xffffffff", (5,), True),
        ("kill: pid >= 0x80000000", (0x8000_0000,), False),  # never
        ("kill: pid in {-1}", (0xFFFF_FFFF,), True),
        ("kill: pid in {0xffffffff}", (0xFFFF_FFFF,), True),
        ("kill: pid in {-2..-1}", (0xFFFF_FFFE,), True),
        ("kill: pid in {-2..0}", (0xFFFF_FFFD,), False),
        ("kill: pid in {0..0xffffffff}", (0xFFFF_FFFF,), False),  # a range compares integers: -1 is not in it
        ("kill: pid in {0..0xffffffff}", (0x7FFF_FFFF,), True),
        # unsigned int: the low 32, unsigned
        ("read: fd == -1", (0xFFFF_FFFF,), True),
        ("read: fd == -1", (G | 0xFFFF_FFFF,), True),
        ("read: fd > 0x7fffffff", (0xFFFF_FFFF,), True),
        ("read: fd < 0", (0xFFFF_FFFF,), False),  # never
        ("read: fd >= -5", (0,), True),  # always
        ("read: fd == 3", (G | 3,), True),
        # a constant outside -2^(n-1) … 2^n-1 equals nothing
        ("read: fd == 0x100000001", (1,), False),
        ("read: fd == 0x100000001", (0x1_0000_0001,), False),
        ("read: fd != 0x100000001", (1,), True),
        ("read: fd in {0x100000001, 2}", (1,), False),
        ("read: fd == -2147483648", (0x8000_0000,), True),
        ("read: fd == -2147483649", (0x7FFF_FFFF,), False),
        ("read: fd < 0x100000001", (0xFFFF_FFFF,), True),
        ("kill: pid == -2147483649", (0x7FFF_FFFF,), False),
        # size_t, long, pointers: the full word
        ("read: count == 5", (0, 0, 0x1_0000_0005), False),
        ("read: count == 0x100000005", (0, 0, 0x1_0000_0005), True),
        ("read: count == -1", (0, 0, ALL64), True),
        ("read: count == -1", (0, 0, 0xFFFF_FFFF), False),
        ("read: count > 0x7fffffffffffffff", (0, 0, 1 << 63), True),
        ("read: buf == 0", (0, 1 << 32), False),  # a pointer is a number like others
        ("lseek: offset < 0", (0, 1 << 63), True),  # off_t is signed
        ("lseek: offset == 0xffffffffffffffff", (0, ALL64), True),
        ("lseek: offset >= -1", (0, ALL64), True),
        # umode_t: 16 bits
        ("fchmod: mode == 0644", (0, 0xFFFF_0000 | 0o644), True),
        ("fchmod: mode == 0644", (0, G | 0o644), True),
        ("fchmod: mode == -1", (0, 0xFFFF), True),
        ("fchmod: mode == 0x10644", (0, 0x1_0644), False),
        ("fchmod: mode > 0xffff", (0, ALL64), False),
        # a full-word cast, and code behind it that keeps fewer bits
        ("mmap: fd == -1", (0, 0, 0, 0, 0xFFFF_FFFF), True),
        ("mmap: fd == -1", (0, 0, 0, 0, G | 0xFFFF_FFFF), True),
        ("clone: clone_flags & CLONE_NEWUSER", (G | 0x1000_0000,), True),
        ("clone: clone_flags & CLONE_NEWUSER", (0x1000_0000_0000,), False),
        ("clone: clone_flags == 0", (1 << 32,), True),
        # masks: unsigned, in n bits
        ("kill: (pid & -1) == -1", (0xFFFF_FFFF,), True),  # a negative constant stands for its n bits
        ("kill: (pid & -1) < 0", (0xFFFF_FFFF,), False),  # a masked value is unsigned …
        ("kill: (pid & -1) > 0x7fffffff", (0xFFFF_FFFF,), True),
        ("kill: (pid & -1) < -1", (0xFFFF_FFFE,), True),  # … also for <, and -1 is 0xffffffff
        ("kill: (pid & -1) < -1", (0xFFFF_FFFF,), False),
        ("kill: (pid & 0x80000000) == 0x80000000", (0x8000_0000,), True),
        ("kill: (pid & 0x80000000) > 0", (0x8000_0000,), True),
        ("kill: pid & 0x80000000", (0x8000_0000,), True),
        ("kill: pid & -2147483648", (0x8000_0000,), True),
        ("read: fd & 0x100000000", (0x1_0000_0000,), False),  # mask bits above n never match
        ("read: fd & 0x100000001", (0x1_0000_0001,), True),
        ("read: (fd & 0x100000001) == 1", (0x1_0000_0001,), True),
        ("read: (fd & 0x100000001) == 0x100000001", (0x1_0000_0001,), False),
        ("read: (fd & 0xf) in {1..3, 8}", (G | 0xF2,), True),
        ("read: (fd & 0xf) in {1..3, 8}", (0xF4,), False),
        ("kill: (pid & -1) in {-2..-1}", (0xFFFF_FFFE,), True),
        # ~c: the complement in n bits, read as the argument is
        ("kill: pid == ~0", (0xFFFF_FFFF,), True),
        ("kill: pid > ~1", (0xFFFF_FFFF,), True),  # ~1 is -2
        ("kill: pid > ~1", (0xFFFF_FFFD,), False),
        ("read: fd == ~0", (0xFFFF_FFFF,), True),
        ("read: fd < ~0", (0xFFFF_FFFE,), True),  # unsigned: 0xffffffff
        ("read: fd < ~0", (0xFFFF_FFFF,), False),
        ("read: count == ~0", (0, 0, 0xFFFF_FFFF), False),
        ("read: count == ~0", (0, 0, ALL64), True),
        ("fchmod: mode == ~0644", (0, 0xFFFF & ~0o644), True),
        ("openat: !(flags & ~(O_RDONLY|O_CLOEXEC))", (0, 0, 0x80000), True),
        ("openat: !(flags & ~(O_RDONLY|O_CLOEXEC))", (0, 0, 0x80001), False),
        ("openat: !(flags & ~(O_RDONLY|O_CLOEXEC))", (0, 0, G | 0x80000), True),
        ("openat: (flags & ~O_CLOEXEC) == 0", (0, 0, 0x80000), True),
        # reg0 … reg5: the raw word, unsigned
        ("kill: reg0 == 3", (0x1_0000_0003,), False),
        ("kill: reg0 == 0x100000003", (0x1_0000_0003,), True),
        ("kill: reg0 == -1", (ALL64,), True),
        ("kill: reg0 == -1", (0xFFFF_FFFF,), False),
        ("kill: reg0 > 0x7fffffffffffffff", (1 << 63,), True),
        ("kill: reg5 & 0x8000000000000000", (0, 0, 0, 0, 0, 1 << 63), True),
        ("kill: reg0 == ~0", (ALL64,), True),
        ("exit_group: reg5 == 1", (0, 0, 0, 0, 0, 1), True),  # whatever the prototype says
        ("prctl: arg2 == 7", (0, 7), True),  # prctl's own name for register 1
        ("prctl: arg2 == reg1", (0, 7), None),  # an argument stands left, constants right
    ],
)
def test_an_argument_is_compared_as_the_kernel_uses_it(rule: str, args: tuple[int, ...], holds: bool | None) -> None:
    if holds is None:
        with pytest.raises(PolicyError):
            Policy.parse(rule)
        return
    assert answer(rule, rule.partition(":")[0], *args) == ("allow" if holds else KILL)


@pytest.mark.parametrize(
    ("arch", "rule", "args", "holds"),
    [
        # 32-bit ABIs: the low halves, and a 64-bit value joined from two registers
        ("i386", "read: count == 5", (0, 0, G | 5), True),
        ("i386", "read: count == -1", (0, 0, 0xFFFF_FFFF), True),
        ("i386", "read: count == 0x100000005", (0, 0, 0x1_0000_0005), False),
        ("i386", "pread64: pos == 0x200000001", (0, 0, 0, 1, 2), True),
        ("i386", "pread64: pos == 0x200000001", (0, 0, 0, G | 1, G | 2), True),
        ("i386", "pread64: pos < 0", (0, 0, 0, 0, 0x8000_0000), True),
        ("i386", "pread64: pos == -1", (0, 0, 0, 0xFFFF_FFFF, 0xFFFF_FFFF), True),
        ("i386", "pread64: (pos & 0x100000001) == 0x100000000", (0, 0, 0, 2, 1), True),
        ("i386", "read: reg2 == 5", (0, 0, G | 5), False),  # the raw 64-bit word, on every ABI
        ("i386", "read: reg2 == 0xdeadbeef00000005", (0, 0, G | 5), True),
        ("arm", "pread64: pos == 0x200000001", (0, 0, 0, 0, 1, 2), True),  # an even register first
        ("mipsel", "pread64: pos == 0x200000001", (0, 0, 0, 0, 1, 2), True),
        # x32 and n32 keep 64-bit registers
        ("x32", "pread64: pos == 0x200000001", (0, 0, 0, 0x2_0000_0001), True),
        ("mips64el_n32", "pread64: pos == 0x200000001", (0, 0, 0, 0x2_0000_0001), True),
        # big-endian: the same integers
        ("s390x", "read: fd == 1", (G | 1,), True),
        ("s390x", "read: count == 0x100000005", (0, 0, 0x1_0000_0005), True),
        ("s390x", "read: count == 5", (0, 0, 0x1_0000_0005), False),
        ("s390x", "kill: pid < 0", (0x8000_0000,), True),
        ("s390x", "kill: reg0 & 0x100000000", (1 << 32,), True),
        ("s390x", "read: count > 0xffffffff", (0, 0, 1 << 32), True),
        # clone's order of arguments differs
        ("s390x", "clone: clone_flags & CLONE_VM", (0, 0x100), True),
        ("x86_64", "clone: clone_flags & CLONE_VM", (0x100, 0), True),
        # constants have the architecture's own value
        ("mips64el", "openat: flags == O_CREAT", (0, 0, 0x100), True),
        ("x86_64", "openat: flags == O_CREAT", (0, 0, 0x40), True),
        ("aarch64", "openat: flags == O_DIRECTORY", (0, 0, 0x4000), True),
    ],
)
def test_each_architecture_has_its_own_registers_and_values(
    arch: str, rule: str, args: tuple[int, ...], holds: bool
) -> None:
    assert answer(rule, rule.partition(":")[0], *args, arch=arch) == ("allow" if holds else KILL)


@pytest.mark.parametrize(
    ("arch", "action", "data"),
    [
        ("x86_64", "errno(ENOSYS)", 38),
        ("mips64el", "errno(ENOSYS)", 89),
        ("mips64el", "errno(38)", 38),
        ("x86_64", "errno((EPERM))", 1),
        ("x86_64", "errno((1|2))", 3),
        ("x86_64", "errno(0)", 0),
        ("x86_64", "errno(4095)", 4095),
        ("x86_64", "trap(0xffff)", 65535),
        ("x86_64", "trace", 0),
    ],
)
def test_return_data_is_the_architectures_own(arch: str, action: str, data: int) -> None:
    assert answer(f"read: 0 else {action}", "read", arch=arch).split()[1] == str(data)


@pytest.mark.parametrize(
    ("text", "arches", "lacking", "word"),
    [
        ("mmap: prot == 0", ("x86_64", "aarch64", "arm"), "i386", "mmap2"),  # one pointer to a struct there
        ("mmap: prot == 0", ("x86_64",), "s390x", "section"),
        ("@memlock: 1\nmmap: fd == 3", ("x86_64",), "i386", "mmap2"),
        ("sync_file_range: flags == 1", ("x86_64", "i386"), "mipsel", "section"),  # past the sixth register
        ("read: fd == O_DIRECTORY || fd == MAP_32BIT", ("x86_64",), "aarch64", "section"),
        ("read: 0 else errno(ENOTSUP)\nopenat: flags == MAP_32BIT", ("x86_64",), "riscv64", "section"),
    ],
)
def test_what_an_abi_lacks_is_an_error_where_compiled_for_it(
    text: str, arches: tuple[str, ...], lacking: str, word: str
) -> None:
    policy = Policy.parse(text)
    for arch in arches:
        policy.decide("read", (0,), arch=arch)
    with pytest.raises(CompileError) as caught:
        policy.decide("read", (0,), arch=lacking)
    assert isinstance(caught.value, PolicyError)
    assert lacking in caught.value.message
    assert word in caught.value.hint
    assert caught.value.line == text.count("\n") + 1
    with pytest.raises(CompileError):
        policy.compile(lacking)
    # A section is the way out.
    Policy.parse(f"[{', '.join(arches)}]\n{text}").decide("read", (0,), arch=lacking)


@pytest.mark.parametrize(
    "text",
    [
        "read: fd in {3..1}",
        "read: fd in {-1..-2}",
        "read: fd in {O_CREAT..O_RDONLY}",
        "read: fd in {1, 0x10..0xf}",
        "let X = {2..1}",
        "[x86_64]\n5..4: 1",
    ],
)
def test_a_range_whose_end_is_below_its_start_is_an_error(text: str) -> None:
    with pytest.raises(PolicyError, match="ends below its start"):
        Policy.parse(text)


def test_a_range_that_is_empty_on_one_architecture_is_an_error_there() -> None:
    # O_CREAT is 0x40, and 0x100 on mips
    policy = Policy.parse("read: fd in {O_CREAT..0x80}")
    assert policy.decide("read", (0x50,), arch="x86_64").action == "allow"
    with pytest.raises(CompileError, match="ends below its start"):
        policy.decide("read", (0x50,), arch="mips64el")
    # A negative constant beside a masked value stands for its n bits: 0xffffffff is above 5.
    with pytest.raises(SysgateError, match="ends below its start"):
        Policy.parse("kill: (pid & 0xff) in {-1..5}").decide("kill", (), arch="x86_64")
