"""A decoded call reads as a person would write it, means the value it shows, and cannot harm a terminal."""

from __future__ import annotations

import random
import re

import pytest

from sysgate.call import WORD, Call
from sysgate.decode import LONGEST, escaped, quoted, shown, value
from sysgate.facts import calls, constants, prototypes, spelling
from sysgate.facts.arches import ARCHES


def call(arch: str, name: str, *words: int) -> Call:
    number = calls.number(arch, name)
    assert number is not None
    padded = [word & WORD for word in words] + [0] * (6 - len(words))
    return Call(arch, number, tuple(padded))  # type: ignore[arg-type]


P = 0x7F00_1000  # a pointer


@pytest.mark.parametrize(
    ("decoded", "name", "words"),
    [
        # Paths, flags and modes.
        ("openat(AT_FDCWD, 0x7f001000, O_RDONLY)", "openat", (-100, P)),
        ("openat(AT_FDCWD, 0x7f001000, O_RDONLY)", "openat", (0xFFFFFF9C, P, 0, 0o644)),  # mode unused without O_CREAT
        ("openat(3, 0x7f001000, O_RDWR|O_CREAT|O_TRUNC, 0644)", "openat", (3, P, 0o1102, 0o644)),
        ("open(0x7f001000, O_WRONLY|O_CLOEXEC|O_SYNC)", "open", (P, 0o4010000 | 0o2000000 | 1)),  # O_SYNC has two bits
        ("open(0x7f001000, O_RDWR|O_TMPFILE, 0600)", "open", (P, 0o20200002, 0o600)),  # O_TMPFILE has O_DIRECTORY's bit
        ("open(0x7f001000, 0x3)", "open", (P, 3)),  # no name for access mode 3
        ("open(0x7f001000, O_RDONLY|0x80000000)", "open", (P, 0x8000_0000)),
        ("open(NULL, O_RDONLY)", "open", (0,)),
        ("chmod(0x7f001000, 04755)", "chmod", (P, 0x5_0000 | 0o4755)),  # umode_t: 16 bits
        ("mknod(0x7f001000, S_IFREG|0644, 0)", "mknod", (P, 0o100644)),
        ("umask(022)", "umask", (0o22,)),
        ("access(0x7f001000, F_OK)", "access", (P, 0)),
        ("unlinkat(AT_FDCWD, 0x7f001000, AT_REMOVEDIR)", "unlinkat", (-100, P, 0x200)),
        ("faccessat2(AT_FDCWD, 0x7f001000, R_OK, AT_EACCESS)", "faccessat2", (-100, P, 4, 0x200)),
        # Descriptors are signed, whatever the kernel's own type; what it drops is not shown.
        ("close(-1)", "close", (0x7_FFFF_FFFF,)),
        ("read(5, 0x7f001000, 10)", "read", (0xDEAD_0000_0005, P, 10)),
        ("mmap(NULL, 4096, PROT_NONE, MAP_SHARED, -1, 0)", "mmap", (0, 4096, 0, 1, 0x1_FFFF_FFFF)),
        ("read(0, NULL, 0xffffffffffffffff)", "read", (0, 0, -1)),
        ("lseek(3, -5, SEEK_CUR)", "lseek", (3, -5, 1)),
        ("chown(0x7f001000, -1, 1000)", "chown", (P, 0xFFFF_FFFF, 1000)),
        # Fields of several bits inside a flags word.
        (
            "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)",
            "mmap",
            (0, 4096, 3, 0x22, -1),
        ),
        ("mmap(NULL, 1, PROT_EXEC, MAP_SHARED_VALIDATE, 3, 0)", "mmap", (0, 1, 4, 3, 3)),
        (
            "mmap(NULL, 1, PROT_NONE, MAP_PRIVATE|MAP_FIXED|MAP_HUGETLB|MAP_HUGE_2MB, 3, 0)",
            "mmap",
            (0, 1, 0, 0x40012 | 21 << 26, 3),
        ),
        (
            "clone(CLONE_VM|CLONE_VFORK|SIGCHLD, NULL, NULL, NULL, NULL)",
            "clone",
            (0x4111,),
        ),
        ("clone(CLONE_VM|77, NULL, NULL, NULL, NULL)", "clone", (0x100 | 77,)),
        ("clone(SIGCHLD, NULL, NULL, NULL, NULL)", "clone", (17,)),
        ("unshare(CLONE_NEWTIME|CLONE_NEWNS)", "unshare", (0x20080,)),  # no signal in unshare's low byte
        ("shmget(1, 4096, IPC_CREAT|0600)", "shmget", (1, 4096, 0o1600)),
        ("msgget(1, 0600)", "msgget", (1, 0o600)),
        ("semget(1, 1, 0)", "semget", (1, 1, 0)),
        ("personality(0xffffffff)", "personality", (0xFFFF_FFFF,)),  # a question, not flags
        ("personality(PER_LINUX32|ADDR_NO_RANDOMIZE)", "personality", (0x40008,)),
        ("kexec_load(NULL, 0, NULL, KEXEC_ON_CRASH|KEXEC_ARCH_X86_64)", "kexec_load", (0, 0, 0, 62 << 16 | 1)),
        ("statx(3, NULL, AT_SYMLINK_NOFOLLOW, STATX_ALL, NULL)", "statx", (3, 0, 0x100, 0xFFF)),
        # Enums, and enums with flags.
        ("kill(-1, SIGKILL)", "kill", (-1, 9)),
        ("kill(1, 35)", "kill", (1, 35)),
        ("socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, IPPROTO_TCP)", "socket", (2, 0x80801, 6)),
        ("socket(AF_UNIX, SOCK_DGRAM, 0)", "socket", (1, 2, 0)),
        ("socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT)", "socket", (16, 3, 9)),
        ("socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL))", "socket", (17, 3, 0x0300)),
        ("socket(200, 99, 7)", "socket", (200, 99, 7)),
        ("futex(0x7f001000, FUTEX_WAIT_PRIVATE, 2, NULL)", "futex", (P, 128, 2, 0, 7, 7)),
        ("futex(0x7f001000, FUTEX_WAKE, 1)", "futex", (P, 1, 1, 7, 7, 7)),
        (
            "futex(0x7f001000, FUTEX_WAIT_BITSET_PRIVATE|FUTEX_CLOCK_REALTIME, 2, NULL, NULL, 0xffffffff)",
            "futex",
            (P, 0x189, 2, 0, 0, 0xFFFF_FFFF),
        ),
        ("sched_setscheduler(0, SCHED_FIFO|SCHED_RESET_ON_FORK, NULL)", "sched_setscheduler", (0, 0x4000_0001)),
        ("semctl(1, 0, IPC_64|IPC_STAT, 0)", "semctl", (1, 0, 0x102)),
        ("wait4(-1, NULL, WNOHANG|WUNTRACED, NULL)", "wait4", (-1, 0, 3)),
        ("waitid(P_PID, 3, NULL, WSTOPPED|WEXITED, NULL)", "waitid", (1, 3, 0, 6)),
        # What an argument means may depend on another.
        ("fcntl(3, F_SETFD, FD_CLOEXEC)", "fcntl", (3, 2, 1)),
        ("fcntl(3, F_GETFL)", "fcntl", (3, 3, 1)),
        ("fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK)", "fcntl", (3, 4, 0o4002)),
        ("fcntl(3, F_DUPFD, 10)", "fcntl", (3, 0, 10)),
        ("fcntl(3, F_SETLK, 0x7f001000)", "fcntl", (3, 6, P)),
        ("setsockopt(3, SOL_SOCKET, SO_REUSEADDR, 0x7f001000, 4)", "setsockopt", (3, 1, 2, P, 4)),
        ("setsockopt(3, SOL_TCP, TCP_NODELAY, 0x7f001000, 4)", "setsockopt", (3, 6, 1, P, 4)),
        ("setsockopt(3, SOL_IP, IP_TTL, NULL, 4)", "setsockopt", (3, 0, 2, 0, 4)),
        ("ptrace(PTRACE_SETOPTIONS, 12, NULL, PTRACE_O_EXITKILL)", "ptrace", (0x4200, 12, 0, 0x100000)),
        ("ptrace(PTRACE_PEEKDATA, 12, 0x7f001000, 1)", "ptrace", (2, 12, P, 1)),
        ("prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0)", "prctl", (24, 21)),
        ("prctl(PR_SET_DUMPABLE, SUID_DUMP_USER, 0, 0, 0)", "prctl", (4, 1)),
        ("prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)", "prctl", (38, 1)),
        ("prctl(PR_SET_NAME, 0x7f001000, 0, 0, 0)", "prctl", (15, P)),
        ("seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, 0x7f001000)", "seccomp", (1, 1, P)),
        ("seccomp(SECCOMP_GET_ACTION_AVAIL, 0, 0x7f001000)", "seccomp", (2, 0, P)),
        ("keyctl(KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 0, 0)", "keyctl", (0, -3)),
        ("quotactl(QCMD(Q_GETQUOTA, GRPQUOTA), NULL, 0, NULL)", "quotactl", (0x8000_0701,)),
        # ioctl requests: the low 32 bits.
        ("ioctl(0, TCGETS, 0x7f001000)", "ioctl", (0, 0x5401, P)),
        ("ioctl(0, TIOCSTI, 0x7f001000)", "ioctl", (0, 0xDEAD_BEEF_0000_5412, P)),
        ("ioctl(0, 0x99995412, 0)", "ioctl", (0, 0x9999_5412)),
        # Reserved arguments are numbers.
        ("mseal(NULL, 0, 0)", "mseal", ()),
        # Arguments nobody knows.
        ("afs_syscall(0x1, 0x0, 0x0, 0x0, 0x0, 0x0)", "afs_syscall", (1,)),
        ("getpid()", "getpid", (1, 2, 3)),
    ],
)
def test_a_call_reads_as_a_person_would_write_it(decoded: str, name: str, words: tuple[int, ...]) -> None:
    assert shown(call("x86_64", name, *words)) == str(call("x86_64", name, *words)) == decoded


@pytest.mark.parametrize(
    ("decoded", "arch", "name", "words"),
    [
        ("open(0x7f001000, O_RDONLY|O_NONBLOCK|O_CREAT, 0)", "mips64el", "open", (P, 0x180)),
        ("openat(AT_FDCWD, 0x7f001000, O_RDONLY|O_DIRECTORY)", "aarch64", "openat", (-100, P, 0o40000)),
        ("kill(1, SIGUSR1)", "mipsel", "kill", (1, 16)),
        ("setsockopt(3, SOL_SOCKET, SO_REUSEADDR, NULL, 4)", "mips64el", "setsockopt", (3, 0xFFFF, 4, 0, 4)),
        ("ioctl(1, TCGETS, 0)", "mipsel", "ioctl", (1, 0x540D)),
        ("chown(0x7f001000, -1, 1000)", "i386", "chown", (P, 0x7_FFFF, 1000)),  # 16-bit ids
        ("chown32(0x7f001000, 524287, 1000)", "i386", "chown32", (P, 0x7_FFFF, 1000)),
        ("pread64(3, 0x5, 6, 8589934591)", "i386", "pread64", (3, 5, 6, 0xFFFF_FFFF, 1)),  # one value, two registers
        ("pread64(3, 0x5, 6, -1)", "arm", "pread64", (3, 5, 6, 99, 0xFFFF_FFFF, 0xFFFF_FFFF)),
        ("pread64(3, 0x5, 6, -1)", "arm", "pread64", (3, 5, 6, 99, WORD, WORD)),  # the halves that do not exist
        ("sync_file_range(3, 1, 2, ?)", "mipsel", "sync_file_range", (3, 0, 1, 0, 2, 0)),
        ("clone(NULL, SIGCHLD, NULL, NULL, NULL)", "s390x", "clone", (0, 17)),
        ("mmap(0x7f001000)", "s390x", "mmap", (P,)),
        ("mmap2(NULL, 4096, PROT_READ, MAP_PRIVATE, 3, 1)", "i386", "mmap2", (0, 4096, 1, 2, 3, 1)),
        ("socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL))", "s390x", "socket", (17, 3, 3)),  # big-endian already
        ("cacheflush(NULL, 1, BCACHE)", "mipsel", "cacheflush", (0, 1, 3)),
        ("read(0, NULL, 0)", "x32", "read", ()),
    ],
)
def test_a_call_is_decoded_by_its_own_architecture(decoded: str, arch: str, name: str, words: tuple[int, ...]) -> None:
    assert shown(call(arch, name, *words)) == decoded


@pytest.mark.parametrize(
    ("decoded", "unknown"),
    [
        ("syscall_9999(0x1, 0x0, 0x0, 0x0, 0x0, 0xffffffffffffffff)", Call("x86_64", 9999, (1, 0, 0, 0, 0, WORD))),
        ("syscall_4294967295(0x0, 0x0, 0x0, 0x0, 0x0, 0x0)", Call("x86_64", 0xFFFF_FFFF)),
        ("syscall_1(0x0, 0x0, 0x0, 0x0, 0x0, 0x0)", Call(0x4000_0028, 1)),  # an architecture without a name
        ("syscall_1(0x0, 0x0, 0x0, 0x0, 0x0, 0x0)", Call("vax", 1)),
        ("x32:read(0, NULL, 0)", Call("x86_64", 0x4000_0000)),  # as the kernel would take it, were x32 built in
        ("syscall_1073751823(0x0, 0x0, 0x0, 0x0, 0x0, 0x0)", Call("x86_64", 0x4000_0000 + 9999)),
    ],
)
def test_a_call_no_table_knows_shows_its_number_and_words(decoded: str, unknown: Call) -> None:
    assert shown(unknown) == decoded


@pytest.mark.parametrize(
    ("literal", "raw"),
    [
        ('"/etc/shadow"', b"/etc/shadow"),
        ('""', b""),
        (r'"say \"hi\" \\"', b'say "hi" \\'),
        (r'"a\nb\tc\rd"', b"a\nb\tc\rd"),
        (r'"\x1b[31mred\x07\x00\x7f"', b"\x1b[31mred\x07\x00\x7f"),  # C0 and DEL
        (r'"\u009b31m"', "\u009b31m".encode()),  # C1: CSI in one character
        (r'"\x9b31m"', b"\x9b31m"),  # the same, from a program that does not speak UTF-8
        (r'"\u202egpj.exe"', "\u202egpj.exe".encode()),  # right-to-left override
        (
            r'"\u202a\u202b\u202c\u202d\u2066\u2067\u2068\u2069"',
            "\u202a\u202b\u202c\u202d\u2066\u2067\u2068\u2069".encode(),
        ),
        (r'"\u200e\u200f\u061c\u200b\ufeff"', "\u200e\u200f\u061c\u200b\ufeff".encode()),  # marks, zero width, BOM
        (r'"a\u2028b\u2029"', "a\u2028b\u2029".encode()),  # line and paragraph separators
        (r'"\u00a0"', "\u00a0".encode()),
        (r'"\U000e0041"', "\U000e0041".encode()),  # a tag: invisible
        (r'"\xff\xfe\xed\xa0\x80"', b"\xff\xfe\xed\xa0\x80"),  # invalid UTF-8, a surrogate's bytes among it
        ('"naïve/日本/😀"', "naïve/日本/😀".encode()),
    ],
)
def test_a_string_from_a_program_cannot_harm_a_terminal(literal: str, raw: bytes) -> None:
    assert quoted(raw) == literal
    assert literal.isprintable()


def test_a_long_string_is_cut_and_says_so() -> None:
    assert quoted(b"x" * LONGEST) == '"' + "x" * LONGEST + '"'
    assert quoted(b"x" * (LONGEST + 1)) == '"' + "x" * LONGEST + '"…'
    assert quoted("é".encode() * 10_000) == '"' + "é" * LONGEST + '"…'
    assert len(quoted(b"\xff" * 1_000_000)) < 5 * LONGEST


def test_text_without_quotes_keeps_its_quotes_and_loses_its_controls() -> None:
    assert escaped('my "prog"') == 'my "prog"'
    assert escaped("a\nb\\") == r"a\nb\\"
    assert escaped("\udcff") == r"\xff"


def test_strings_stand_where_their_pointers_were() -> None:
    opened = call("x86_64", "openat", -100, P, 0)
    assert shown(opened, {1: b"/etc/shadow"}) == 'openat(AT_FDCWD, "/etc/shadow", O_RDONLY)'
    assert shown(opened, strings={1: b"a\x1b]0;title\x07"}) == r'openat(AT_FDCWD, "a\x1b]0;title\x07", O_RDONLY)'
    assert shown(call("x86_64", "rename", P, P), {0: b"a", 1: b"b"}) == 'rename("a", "b")'
    assert shown(opened, {7: b"no such argument"}) == "openat(AT_FDCWD, 0x7f001000, O_RDONLY)"


@pytest.mark.parametrize(
    ("decoded", "name", "argument", "word"),
    [
        ("O_RDWR|O_CREAT", "openat", "flags", 0o102),
        ("AT_FDCWD", "openat", "dfd", WORD - 99),
        ("AF_UNIX", "socket", "family", 1),
        ("6", "socket", "protocol", 6),  # which family it is for is not known
        ("TIOCSTI", "ioctl", "cmd", 0x5412),
        ("1", "prctl", "arg2", 1),
        ("0x7", "read", "no_such_argument", 7),
        ("0x7", "no_such_call", "fd", 7),
    ],
)
def test_one_value_is_shown_without_the_others(decoded: str, name: str, argument: str, word: int) -> None:
    assert value(name, argument, "x86_64", word) == decoded


def meaning(text: str, arch: str, bits: int) -> int:
    """What an expression of names and numbers joined by | is worth in so many bits."""
    total = 0
    for part in text.split("|"):
        if re.fullmatch(r"0[0-7]+", part):
            number = int(part, 8)
        elif re.fullmatch(r"-?\d+|0x[0-9a-f]+", part):
            number = int(part, 0)
        else:
            known = constants.value(part, arch)
            assert known is not None, (part, arch)
            number = known
        assert total & number & (1 << bits) - 1 == 0 or part.startswith(("MPOL", "FUTEX")), text  # no bit is said twice
        total |= number
    return total & ((1 << bits) - 1)


@pytest.mark.parametrize("arch", ARCHES)
def test_what_is_shown_means_the_value_on_every_architecture(arch: str) -> None:
    """Every argument of every call, with every value its families have and values between: nothing is lost."""
    draw = random.Random(arch)
    seen = 0
    for name in calls.table(arch):
        prototype = prototypes.prototype(name, arch)
        assert prototype is not None
        for argument in prototype.args or ():
            families = [family for use in constants.families(name, argument.name) for family in use.families]
            families = [family for family in families if not family.startswith("ioctl_")]
            known = sorted({bits for family in families for bits in constants.members(family, arch).values()})
            tried = [0, 1, -1, draw.getrandbits(64), draw.getrandbits(16)]
            tried += known[:40] + [a | b for a, b in zip(known, known[3:20], strict=False)]
            for word in tried:
                text = value(name, argument.name, arch, word & WORD)
                assert text.isprintable()
                if text == "NULL":
                    text = "0"
                if text.startswith("QCMD"):
                    continue
                seen += 1
                assert meaning(text, arch, argument.bits) == word & (1 << argument.bits) - 1, (
                    name,
                    argument,
                    word,
                    text,
                )
    assert seen > 3000


@pytest.mark.parametrize("arch", ARCHES)
def test_every_call_decodes_whatever_its_registers_hold(arch: str) -> None:
    draw = random.Random(f"{arch} registers")
    edges = (0, 1, WORD, 1 << 63, 1 << 31, 0xFFFF_FFFF, 0xFFFF)
    for name, number in calls.table(arch).items():
        for _ in range(4):
            words = tuple(draw.choice(edges) if draw.random() < 0.5 else draw.getrandbits(64) for _ in range(6))
            text = shown(Call(arch, number, words), {0: draw.randbytes(9), 1: draw.randbytes(9)})  # type: ignore[arg-type]
            assert text.startswith(f"{name}(")
            assert text.endswith(")")
            assert text.isprintable()


def test_the_names_that_spelling_ranks_are_constants() -> None:
    """A name that the tables drop or rename would silently stop to be preferred."""
    ranked = {
        *spelling._FIELDS,
        *spelling._HUGE_PAGES,
        *spelling._MASKS,
        *spelling._ZEROS,
        *spelling._FLAGS_IN_ENUMS,
        *spelling._SECOND,
        *(name for names in spelling._FIRST.values() for name in names),
    }
    assert sorted(name for name in ranked if not constants.exists(name)) == []
    assert sorted(name for name in spelling._FIRST if not calls.known(name)) == []
