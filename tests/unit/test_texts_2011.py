"""The filters of a task, call by call, and the errors of the three forms, without a kernel."""

from __future__ import annotations

import errno

import pytest

from sysgate.errors import KernelError
from sysgate.life import reading
from sysgate.life.abi2011_prctl import policy
from sysgate.life.abi2011_proc import whose
from sysgate.life.texts import FORMS, Change, Texts
from sysgate.policy.ruleset import Compare, Constant, Expr, Term

A, B, C = FORMS["a"], FORMS["b"], FORMS["c"]
FD = Term("fd", 64, False, (0,))


def read(nr: int, text: str) -> Expr:
    return reading.raw(nr, text, "x86_64")


def texts(**filters: str) -> Texts:
    made = Texts(59)
    for name, text in filters.items():
        made.set({"read": 0, "write": 1, "execve": 59}[name], text, read, C, entered=False)
    return made


def refusal(act: object, *args: object, **kwargs: object) -> int | None:
    with pytest.raises(KernelError) as caught:
        act(*args, **kwargs)  # type: ignore[operator]
    return caught.value.errno


def test_a_first_filter_takes_nothing_away_and_a_further_one_its_own_test() -> None:
    kept = Texts(59)
    assert kept.set(1, "fd == 1", read, C, entered=False) == ()
    assert kept.set(1, "fd != 2", read, C, entered=True) == (Change(1, Compare(FD, "!=", 2)),)
    assert kept.clear(1, C) == (Change(1, None),)


def test_never_is_a_filter_that_never_holds() -> None:
    assert texts(read="0").entry(0).tests == (Constant(False),)  # type: ignore[union-attr]


def test_a_refused_change_leaves_everything_as_it_was() -> None:
    kept = texts(read="fd == 1")
    for text in ("", "1", "nosuch == 1", "fd == 3" + " " * 300 + "|| fd == 4"):
        refusal(kept.set, 0, text, read, C, entered=True)
    refusal(kept.set, 5, "1", read, C, entered=True)
    assert list(kept.entries()) == list(texts(read="fd == 1").entries())


def test_a_copy_is_independent() -> None:
    kept = texts(read="fd == 1")
    other = kept.copy()
    other.clear(0, C)
    assert (0 in kept, 0 in other) == (True, False)


ERRORS = [
    (B, 548, "1", errno.EINVAL),  # NR_syscalls
    (C, 1 << 31, "1", errno.EINVAL),
    (C, -1, "1", errno.EINVAL),
    (C, 1, "\t\n", errno.EINVAL),
    (C, 1, "fd ==", errno.EINVAL),
    (C, 1, 'comm == "sh"', errno.EINVAL),
    (C, 1, "common_pid == 1", errno.EINVAL),
    (C, 1, "fd.function == vfs_read", errno.EINVAL),
    (C, 1, "fd == 1 " * 40, errno.E2BIG),
    (C, 183, "fd == 1", errno.ENOSYS),  # afs_syscall: its arguments are not known
    (C, 183, "0", errno.ENOSYS),
    (C, 9999, "fd == 1", errno.ENOSYS),
]


@pytest.mark.parametrize(("form", "nr", "text", "number"), ERRORS)
def test_a_filter_that_is_none_has_its_error(form: object, nr: int, text: str, number: int) -> None:
    assert refusal(Texts(59).set, nr, text, read, form, entered=False) == number


def test_trailing_spaces_do_not_count_towards_the_limit() -> None:
    assert Texts(59).set(1, "fd == 1" + " " * 300, read, C, entered=False) == ()


def test_execve_is_dropped_at_any_change_without_the_privilege_in_c_only() -> None:
    for form, dropped in ((C, (Change(59, None),)), (B, ())):
        kept = texts(execve="1", read="1")
        assert kept.set(1, "1", read, form, entered=False, privileged=False) == dropped
        assert (59 in kept) is (form is B)
    assert refusal(Texts(59).set, 59, "1", read, C, entered=False, privileged=False) == errno.EPERM


def test_form_a_is_lines_of_kernel_names() -> None:
    kept, grace, gone = policy(
        b"sys_read: fd == 0\n\n  exit_group : 1\nold_mmap: 1\nsys_vm: 1\non_next_syscall: 1", "x86_64"
    )
    assert [(nr, entry.text) for nr, entry in kept.entries()] == [(0, "fd == 0"), (231, "1")]
    assert (grace, gone) == (True, ("old_mmap", "sys_vm"))


ENTRY_POINTS = [
    ("i386", "old_select", 82),
    ("i386", "sys_select", 142),
    ("i386", "old_readdir", 89),
    ("i386", "old_mmap", 90),
    ("i386", "sys_olduname", 59),  # not the call olduname, which is sys_uname
    ("i386", "sys_uname", 109),
    ("i386", "sys_newuname", 122),
    ("i386", "sys_idle", 112),
    ("x86_64", "sys_newstat", 4),
    ("x86_64", "sys_umount", 166),
    ("x86_64", "exit_group", 231),
]


@pytest.mark.parametrize(("arch", "name", "nr"), ENTRY_POINTS)
def test_form_a_names_the_kernels_entry_points(arch: str, name: str, nr: int) -> None:
    kept, _, gone = policy(f"{name}: 1".encode(), arch)
    assert ([number for number, _ in kept.entries()], gone) == ([nr], ())


PATHS = [
    (b"/proc/self/seccomp_filter", 20),
    (b"/proc//self/./seccomp_filter", 20),
    (b"/proc/thread-self/seccomp_filter", 21),
    (b"/proc/77/seccomp_filter", 77),
    (b"/proc/self/task/78/seccomp_filter", 78),
    (b"/proc/self/seccomp_filter/x", None),
    (b"/proc/seccomp_filter", None),
    (b"/tmp/self/seccomp_filter", None),
    (b"/proc/x/seccomp_filter", None),
    (b"/proc/99999999999/seccomp_filter", None),
]


@pytest.mark.parametrize(("path", "meant"), PATHS)
def test_paths_of_the_proc_file_are_recognised(path: bytes, meant: int | None) -> None:
    assert whose(path, -100, 21, 20) == meant
