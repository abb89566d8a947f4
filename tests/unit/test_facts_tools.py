"""The checker of the facts sees what a kernel tree says otherwise, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TBL = """\
# number abi name entry
0	common	read			sys_read
3	common	close			sys_close
9	common	mmap			sys_mmap
56	common	clone			sys_clone
90	common	chmod			sys_chmod
211	common	reserved211		sys_ni_syscall
16	64	ioctl			sys_ioctl
514	x32	ioctl			compat_sys_ioctl
"""
CODE = {
    "fs/read_write.c": "SYSCALL_DEFINE3(read, unsigned int, fd, char __user *, buf, size_t, count)\n{\n}\n",
    "fs/open.c": "SYSCALL_DEFINE2(chmod, const char __user *, filename,\n\t\tumode_t, mode)\n"
    "SYSCALL_DEFINE1(close, unsigned int, fd)",
    "fs/ioctl.c": "SYSCALL_DEFINE3(ioctl, unsigned int, fd, unsigned int, cmd, unsigned long, arg)\n"
    "COMPAT_SYSCALL_DEFINE3(ioctl, unsigned int, fd, unsigned int, cmd, compat_ulong_t, arg32)",
    "arch/x86/kernel/sys_x86_64.c": "SYSCALL_DEFINE6(mmap, unsigned long, addr, unsigned long, len,"
    " unsigned long, prot, unsigned long, flags, unsigned long, fd, unsigned long, off)",
    "kernel/fork.c": """
#ifdef CONFIG_CLONE_BACKWARDS
SYSCALL_DEFINE5(clone, unsigned long, clone_flags, unsigned long, newsp,
 int __user *, parent_tidptr, unsigned long, tls, int __user *, child_tidptr)
#else
SYSCALL_DEFINE5(clone, unsigned long, clone_flags, unsigned long, newsp,
 int __user *, parent_tidptr, int __user *, child_tidptr, unsigned long, tls)
#endif
""",
}


SWAPPED = "T_SYSCALL_DEFINE3(ioctl, unsigned int, cmd, unsigned int, fd"


def tree(folder: Path, code: dict[str, str], tbl: str = TBL) -> Path:
    """A kernel source tree of a release before all calls the facts know the age of, but for x86_64's table."""
    files = {
        "Makefile": "VERSION = 1\nPATCHLEVEL = 0\n",
        "include/linux/syscalls.h": "",
        "arch/x86/entry/syscalls/syscall_64.tbl": tbl,
        **code,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def check(folder: Path, *more: str | Path) -> tuple[int, list[str], str]:
    command = [sys.executable, ROOT / "tools" / "check_kernel.py", folder, *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    # Calls of release 1.0 and of unknown age are missing from so small a tree; that is not what is tested.
    return done.returncode, [line for line in lines if "the tree none" not in line], done.stderr


def test_a_tree_that_agrees_is_not_stale(tmp_path: Path) -> None:
    _, lines, errors = check(tree(tmp_path, CODE))
    assert errors == ""
    assert [line for line in lines if line.startswith("stale")] == []
    assert any(line.startswith("x86_64: 6 numbers") and "6 prototypes, 0 differ" in line for line in lines)
    assert any(line.startswith("x32: 6 numbers") and "6 prototypes, 0 differ" in line for line in lines)
    assert any("this tree has no arch/arm64/tools/syscall_64.tbl; not compared" in line for line in lines)


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("fs/open.c", "umode_t, mode", "umode_t, rights", "x86_64 chmod (sys_chmod): the tree has"),
        ("fs/open.c", "umode_t, mode", "unsigned int, mode", "x86_64 chmod"),
        ("fs/open.c", "umode_t, mode", "unsigned int, mode", "x32 chmod"),  # the size differs: any ABI tells
        ("fs/ioctl.c", "compat_ulong_t, arg32", "compat_long_t, arg32", "x32 ioctl (compat_sys_ioctl)"),  # the sign
        (
            "fs/ioctl.c",
            "T_SYSCALL_DEFINE3(ioctl, unsigned int, fd, unsigned int, cmd",
            SWAPPED,
            "x32 ioctl",
        ),  # another order
        ("fs/read_write.c", "DEFINE3(read, unsigned int, fd, ", "DEFINE2(read, ", "x86_64 read"),
        ("kernel/fork.c", "int __user *, child_tidptr, unsigned long, tls)", "long, tls)", "x86_64 clone"),
    ],
)
def test_an_argument_that_changed_is_stale(tmp_path: Path, file: str, old: str, new: str, told: str) -> None:
    code, lines, _ = check(tree(tmp_path, {**CODE, file: CODE[file].replace(old, new)}))
    assert code == 1
    assert any(line.startswith(f"stale: {told}") for line in lines), lines


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("9\tcommon\tmmap", "10\tcommon\tmmap", "x86_64 mmap: the tree has number 10, the facts 9"),
        ("9\tcommon\tmmap", "9\tcommon\tmmmap", "x86_64 mmmap: the tree has number 9, the facts none"),
        ("514\tx32", "515\tx32", "x32 ioctl: the tree has number 1073742339, the facts 1073742338"),
    ],
)
def test_a_number_that_changed_is_stale(tmp_path: Path, old: str, new: str, told: str) -> None:
    code, lines, _ = check(tree(tmp_path, CODE, TBL.replace(old, new)))
    assert code == 1
    assert f"stale: {told}" in lines


def test_a_call_the_facts_have_and_a_newer_tree_lacks_is_stale(tmp_path: Path) -> None:
    folder = tree(tmp_path, CODE)
    (folder / "Makefile").write_text("VERSION = 5\nPATCHLEVEL = 5\n")
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "make_facts.py", "--from-kernel", folder], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "x86_64 openat: the facts have number 257, the tree none" in done.stdout
    assert "openat2" not in done.stdout  # 5.6


def test_what_was_rebuilt_can_be_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    check(tree(tmp_path / "tree", CODE), "--write", out)
    assert "ioctl\t1073742338\n" in (out / "calls_x32.txt").read_text()
    assert "sys_close\t-\t(unsigned int fd)\n" in (out / "definitions.txt").read_text()


def test_a_folder_that_is_no_kernel_tree_is_a_usage_error(tmp_path: Path) -> None:
    assert check(tmp_path)[0] == 2
