"""Each check finds what it is for, and keeps quiet about its right twin."""

from __future__ import annotations

import pytest

from sysgate import Policy, lint
from sysgate.policy import resolve

# (policy, the check that must speak, a word of what it says)
LOOKS_WRONG = [
    ("kill: pid < 0xffffffff", "constant-test", "always holds"),
    ("kill: pid >= -2147483648", "constant-test", "always holds"),
    ("dup: fildes == 0x100000001", "constant-test", "never holds"),
    ("dup: fildes != 0x100000001", "constant-test", "always holds"),
    ("openat: (flags & O_ACCMODE) == 4", "constant-test", "never holds"),
    ("read: fd in {0, 0x100000000}", "constant-test", "never matches"),
    ("chmod: mode & 0x10000", "wide-mask", "0x10000"),
    ("read: fd & 0", "wide-mask", "the mask is 0"),
    ("openat: flags & O_CREAT && !(flags & O_CREAT)", "unreachable", "never holds"),
    ("read: fd < 3 || fd >= 3", "unreachable", "always holds"),
    (
        "socket: { family == AF_UNIX -> allow; family == AF_UNIX && type == 1 -> kill }",
        "unreachable",
        "case 2",
    ),
    ("default: allow\nopenat: !(flags & O_CREAT)", "flags-in-memory", "openat2"),
    ("openat: !(flags & O_CREAT)\nopenat2: 0 else errno(EPERM)", "flags-in-memory", "fall back"),
    ("default: allow\nclone: !(clone_flags & CLONE_NEWUSER)", "flags-in-memory", "clone3"),
    ("default: allow\nrenameat: 0", "twin-left-open", "renameat2"),
    ("read: 1", "missing-restart", "restart_syscall"),
    ("restart_syscall: 1", "missing-restart", "rt_sigreturn"),
    ("bpf: 1", "risky", "bpf"),
    ("sys_vm: 1", "gone", "sys_vm"),
    ("fcntl: arg != 5", "dropped-half", "32 bits of arg"),
    ("readv: vlen in {1, 2}", "dropped-half", "vlen"),
]

LOOKS_RIGHT = [
    ("kill: pid < 0x7fffffff", "constant-test"),
    ("kill: pid == 0xffffffff", "constant-test"),  # -1, as 32 bits
    ("openat: (flags & O_ACCMODE) == O_RDWR", "constant-test"),
    ("chmod: mode & 0x8000", "wide-mask"),
    ("read: 1", "unreachable"),
    ("read: fd == 1 || fd == 2", "unreachable"),
    ("openat: !(flags & O_CREAT)\nopenat2: 0 else errno(ENOSYS)", "flags-in-memory"),
    ("default: allow\nrename, renameat, renameat2: 0", "twin-left-open"),
    ("default: allow\nrenameat2: 0 else errno(ENOSYS)", "twin-left-open"),  # programs fall back to renameat
    ("renameat: 0", "twin-left-open"),  # an allow-list: the twin is refused as well
    ("restart_syscall, rt_sigreturn: 1", "missing-restart"),
    ("read: 1", "risky"),
    ("read: 1", "gone"),
    ("fcntl: (arg & 0xffffffff) != 5", "dropped-half"),
    ("fcntl: fd != 5", "dropped-half"),
]


def checks_of(text: str) -> dict[str, str]:
    policy = Policy.parse(text)
    found = lint.warnings(policy, [resolve.resolve(policy, "x86_64")])
    spoken: dict[str, str] = {}
    for finding in found:
        spoken[finding.check] = f"{spoken.get(finding.check, '')} {finding.message}"
    return spoken


@pytest.mark.parametrize(("text", "check", "word"), LOOKS_WRONG)
def test_what_looks_wrong_is_said(text: str, check: str, word: str) -> None:
    assert word in checks_of(text).get(check, "")


@pytest.mark.parametrize(("text", "check"), LOOKS_RIGHT)
def test_what_is_right_is_left_in_peace(text: str, check: str) -> None:
    assert check not in checks_of(text)


def test_a_finding_names_its_line_and_comes_once() -> None:
    policy = Policy.parse("read: 1\n\nkill, tkill, tgkill: pid < 0xffffffff\n", name="x.policy")
    rulesets = [resolve.resolve(policy, arch) for arch in ("x86_64", "i386")]
    found = [finding for finding in lint.warnings(policy, rulesets) if finding.check == "constant-test"]
    assert [(finding.file, finding.line) for finding in found] == [("x.policy", 3)]
