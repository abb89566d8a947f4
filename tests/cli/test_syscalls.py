"""`sysgate syscalls` finds what a person asks for, and says what is nearest where it finds nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from sysgate.cli import main
from sysgate.facts import arches, calls, groups

Typed = Callable[..., subprocess.CompletedProcess[str]]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main.main(["syscalls", *words])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            ("openat", "--arch", "x86_64"),
            [
                "openat(int dfd, const char *filename, int flags, umode_t mode)",
                "x86_64 257 ",
                "x32 0x40000101",
                "aarch64 56",
                "flags     flags  32 bits signed   reg2",
                "mode      mode   16 bits unsigned reg3",
                "O_CLOEXEC O_CREAT",
                "@file-system",
                "open openat openat2 creat",
                "since Linux 2.6.16",
            ],
        ),
        (("sys_newfstat", "--arch", "x86_64"), ["fstat(unsigned int fd", "also called newfstat"]),
        (("257", "--arch", "x86_64"), ["openat("]),
        (("0x101", "--arch", "amd64"), ["openat("]),
        (("56", "--arch", "arm64"), ["openat("]),
        (("clone", "--arch", "x86_64"), ["s390x", "clone(unsigned long newsp,", "CLONE_NEWUSER", "CVE-2013-1858"]),
        (("bpf", "--arch", "x86_64"), ["kernel-code: loads programs"]),
        (("fstat64", "--arch", "x86_64"), ["x86_64 has no such call", "arguments on i386"]),
        (("umount", "--arch", "x86_64"), ["umount2("]),
        (("pread64", "--arch", "arm"), ["64 bits signed   reg4 and reg5"]),
        (("sync_file_range", "--arch", "mipsel"), ["in no register a filter sees"]),
        (("tuxcall", "--arch", "x86_64"), ["answers ENOSYS", "its arguments are not known"]),
        (("exit", "--arch", "x86_64"), ["does not return"]),
        (("_sysctl", "--arch", "x86_64"), ["removed in 5.5"]),
        (("ioctl", "--arch", "x86_64"), ["ioctl_kvm (108)", "TIOCSTI"]),
        (("@timer", "--arch", "x86_64"), ["timers; 16 calls", " 37  alarm", "-  timer_settime64"]),
        (("@",), ["@file-system", "@known"]),
        (("*mmap*", "--arch", "x86_64"), ["9  mmap ", "-  mmap2"]),
        (("O_CREAT",), ["O_CREAT 64 (0x40)  x86_64", "O_CREAT 256 (0x100)  mips64el", "openat.flags"]),
        (("F_GETLK64",), ["F_GETLK64 12 (0xc)  x32, i386, arm"]),
        (("TIOCSTI",), ["asm-generic/ioctls.h", "escape: pushes characters", "CVE-2017-5226"]),
        (("AT_FDCWD",), ["AT_FDCWD -100\n"]),
        (("MAP_HUGE_*", "--arch", "x86_64"), ["MAP_HUGE_2MB    1409286144 (0x54000000)"]),
        (("--arch", "x86_64"), ["  0  read ", "(fd, buf, count)", "257  openat"]),
    ],
)
def test_what_is_asked_for_is_shown(
    words: tuple[str, ...], lines: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    code, out, err = said(capsys, *words)
    assert (code, err) == (0, "")
    for line in lines:
        assert line in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("opnat",), "unknown call or constant opnat\n    did you mean openat"),
        (("O_RDNOLY",), "did you mean O_RDONLY"),
        (("@file_system",), "unknown group @file_system\n    did you mean @file-system"),
        (("9999", "--arch", "x86_64"), "no call has number 9999 on x86_64\n    no architecture has one"),
        (("983045", "--arch", "x86_64"), "it has one on arm (set_tls)"),
        (("12monkeys",), "12monkeys is neither a number nor the name of a call"),
        (("9" * 5000,), "is neither a number"),
        (("zz*",), "no call and no constant matches zz*"),
        (("openat", "--arch", "x86_46"), "unknown architecture x86_46\n    did you mean x86_64"),
        (("openat", "--arch", "vax"), "unknown architecture vax\n    "),
        (("\x1b]0;x\nopenat",), r"unknown call or constant \x1b]0;x\nopenat"),
        (("",), "unknown call or constant"),
    ],
)
def test_what_is_not_there_is_said_with_the_nearest_spelling(
    words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(capsys, *words)
    assert (code, out) == (1, "")
    assert err.startswith("sysgate: ")
    assert told in err


def as_json(capsys: pytest.CaptureFixture[str], *words: str) -> object:
    code, out, err = said(capsys, *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_a_call_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "openat", "--arch", "s390x")
    assert isinstance(found, dict)
    assert found["name"] == "openat"
    assert found["arch"] == "s390x"
    assert found["number"] == 288
    assert found["lacking"] is None
    assert found["numbers"] == {arch: calls.number(arch, "openat") for arch in arches.ARCHES}
    assert [argument["name"] for argument in found["arguments"]] == ["dfd", "filename", "flags", "mode"]
    flags = found["arguments"][2]
    assert (flags["bits"], flags["signed"], flags["registers"]) == (32, True, [2])
    assert flags["constants"][0]["families"]["open_flags"]["O_CREAT"] == 0o100
    assert found["since"] == "2.6.16"
    assert "@file-system" in found["groups"]


@pytest.mark.parametrize("arch", arches.ARCHES)
def test_every_call_can_be_shown_and_fits_the_page(arch: str) -> None:
    from sysgate.report import facts, facts_text

    page = facts_text.Page(80, lambda text, style: text)
    # All of them on one architecture, and on the others every twelfth, each beginning elsewhere.
    names = calls.NAMES() if arch == "i386" else calls.NAMES()[arches.ARCHES.index(arch) :: 12]
    for name in names:
        found = facts.of_call(name, arch)
        json.dumps(found)
        text = facts_text.call(found, page)
        assert text.startswith(f"{name}(")
        assert max(map(len, text.splitlines()[2:])) <= 100  # long names may stand out, paragraphs do not
        assert not any(line != line.rstrip() for line in text.splitlines())


def test_lists_are_json_arrays(capsys: pytest.CaptureFixture[str]) -> None:
    every = as_json(capsys, "--arch", "aarch64")
    assert isinstance(every, list)
    assert {call["name"]: call["number"] for call in every} == dict(calls.table("aarch64"))
    assert [call["number"] for call in every] == sorted(calls.table("aarch64").values())
    listed = as_json(capsys, "@")
    assert isinstance(listed, list)
    assert [group["group"] for group in listed] == list(groups.NAMES)
    group = as_json(capsys, "@timer")
    assert isinstance(group, dict)
    assert sorted(call["name"] for call in group["calls"]) == list(groups.members("@timer") or ())
    constant = as_json(capsys, "O_CREAT")
    assert isinstance(constant, dict)
    assert constant["values"]["mipsel"] == 0x100
    flags = as_json(capsys, "O_CRE*")
    assert flags == [{"name": "O_CREAT", "value": 0o100}]


def test_the_command_works_as_typed_and_colours_nothing_in_a_pipe(sysgate: Typed) -> None:
    done = sysgate("syscalls", "read", "--arch", "x86_64")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("read(unsigned int fd, char *buf, size_t count)\n")
    assert "\x1b" not in done.stdout


def test_help_shows_an_example(sysgate: Typed) -> None:
    done = sysgate("syscalls", "--help")
    assert done.returncode == 0
    assert "sysgate syscalls openat" in done.stdout
