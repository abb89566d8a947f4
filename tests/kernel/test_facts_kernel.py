"""The facts are those of the kernel and the headers at hand."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import pytest

from sysgate.facts import calls, prototypes

EVENTS = [Path("/sys/kernel/tracing/events/syscalls"), Path("/sys/kernel/debug/tracing/events/syscalls")]
HEADERS = Path("/usr/include/x86_64-linux-gnu/asm")


def fields(form: str) -> list[tuple[str, str]]:
    """(type, name) of each argument in a tracing event's format."""
    found = re.findall(r"\tfield:([^;]*?)(\w+);\toffset:(\d+);", form)
    after = [name for _, name, _ in found].index("__syscall_nr") + 1
    return [(ctype.strip(), name) for ctype, name, _ in found[after:]]


def same_type(ctype: str) -> str:
    return re.sub(r"\s*\*\s*", " *", re.sub(r"\bconst\b|\b__user\b", "", ctype)).replace("* *", "**").strip()


def test_every_tracing_event_of_this_kernel_has_the_arguments_of_its_prototype() -> None:
    if platform.machine() != "x86_64":
        pytest.skip("the names of x86_64's events are known")
    folder = next((path for path in EVENTS if _readable(path)), None)
    if folder is None:
        pytest.skip("tracefs is not mounted, or not for this user")
    compared = 0
    for event in sorted(folder.glob("sys_enter_*")):
        name = event.name.removeprefix("sys_enter_")
        call = calls.resolve("x86_64", name)
        if call is None:
            assert not calls.known(name), name  # newer than the tables
            continue
        prototype = prototypes.prototype(call, "x86_64")
        assert prototype is not None
        known = [(same_type(each.ctype), each.name) for each in prototype.args or ()]
        assert [(same_type(ctype), each) for ctype, each in fields((event / "format").read_text())] == known, name
        compared += 1
    assert compared > 250


def _readable(path: Path) -> bool:
    try:
        return (path / "sys_enter_openat" / "format").exists()
    except OSError:
        return False


@pytest.mark.parametrize(
    ("header", "arch"), [("unistd_64.h", "x86_64"), ("unistd_32.h", "i386"), ("unistd_x32.h", "x32")]
)
def test_every_number_of_the_installed_headers_is_the_facts(header: str, arch: str) -> None:
    if not (HEADERS / header).exists():
        pytest.skip(f"{HEADERS / header} is not installed (linux-libc-dev)")
    defined = re.findall(r"#define __NR_(\w+) (?:\(__X32_SYSCALL_BIT \+ (\d+)\)|(\d+))", (HEADERS / header).read_text())
    assert len(defined) > 300
    for name, x32, number in defined:
        assert calls.number(arch, name) == (0x4000_0000 + int(x32) if x32 else int(number)), name
