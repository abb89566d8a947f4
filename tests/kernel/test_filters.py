"""This process's own filters on the real kernel: set, clear, get, apply, and then only narrower."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence

import pytest
from tracefs import event_id

import sysgate
from sysgate import Filters, KernelError, PolicyError

Wrap = Callable[[Sequence[str]], list[str]]
KILLED = -signal.SIGSYS

PROLOGUE = """
import errno, os, sys, threading
import sysgate
from sysgate import Filters, KernelError

def answer(act, *args, **kwargs):
    try:
        return act(*args, **kwargs)
    except KernelError as error:
        return errno.errorcode[error.errno]

def living(**options):
    made = Filters(**options)
    made.set("@python", "1")
    made.set("write", "fd == 1 || fd == 2")
    made.set("sys_seccomp", "1")
    return made
"""


@pytest.fixture
def lives(as_user: Wrap) -> Callable[[str], tuple[list[str], int]]:
    """Run Python in a process of its own: what it printed, and its return code."""

    def run(code: str) -> tuple[list[str], int]:
        command = as_user([sys.executable, "-c", PROLOGUE + textwrap.dedent(code)])
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout.split(), done.returncode

    return run


# ---- before apply: a value like any other


def test_filters_are_added_and_changed_freely_before_apply() -> None:
    filters = Filters()
    filters.set("write", "fd == 1 || fd == 2")
    filters.set("write", " fd != 2 ")
    assert filters.get("sys_write") == "(fd == 1 || fd == 2) && (fd != 2)"
    filters.clear("write")
    with pytest.raises(KernelError) as caught:
        filters.get("write")
    assert caught.value.errno == errno.ENOENT
    filters.set("write", "1")
    assert filters.get(1) == "1"


def test_a_call_is_named_by_number_name_entry_point_or_group() -> None:
    filters = Filters()
    filters.set(63, "1")
    filters.clear("sys_newuname")
    filters.set("uname", "1")
    filters.set("@clock", "1")
    assert (filters.get("sys_uname"), filters.get("clock_settime")) == ("1", "1")


def test_a_call_is_named_by_its_event_too() -> None:
    filters = Filters()
    filters.set(event=event_id("newuname"), filter="1")
    assert filters.get("uname") == "1"


ERRORS = [
    ("set", ("write", ""), errno.EINVAL),
    ("set", ("write", "fd =="), errno.EINVAL),
    ("set", ("write", "nosuch == 1"), errno.EINVAL),
    ("set", ("write", 'comm == "x"'), errno.EINVAL),
    ("set", ("no_such_call", "1"), errno.EINVAL),
    ("set", (-1, "1"), errno.EINVAL),
    ("set", ("@no_such_group", "1"), errno.EINVAL),
    ("set", ("write", "fd == 1 || " * 30 + "fd == 2"), errno.E2BIG),
    ("set", ("afs_syscall", "fd == 1"), errno.ENOSYS),
    ("set", ("read", "1"), errno.EINVAL),  # `1` narrows nothing
    ("set", (None, "1"), errno.EINVAL),
    ("set", (b"read", "1"), errno.EINVAL),
    ("set", ("write", 1), errno.EINVAL),
    ("set", ("write", "fd == \ud800"), errno.EINVAL),
    ("set", ("write", "fd == 1\0"), errno.EINVAL),
    ("clear", ("write",), errno.EINVAL),
    ("get", ("write",), errno.ENOENT),
    ("get", ("@clock",), errno.EINVAL),
]


@pytest.mark.parametrize(("method", "args", "number"), ERRORS)
def test_every_error_has_the_errno_of_2011(method: str, args: tuple[object, ...], number: int) -> None:
    filters = Filters()
    filters.set("read", "1")
    with pytest.raises(KernelError) as caught:
        getattr(filters, method)(*args)
    assert caught.value.errno == number
    assert str(caught.value)


def test_asking_before_anything_was_set_is_einval() -> None:
    with pytest.raises(KernelError) as caught:
        Filters().get("read")
    assert caught.value.errno == errno.EINVAL


MORE = ["fd == 1 else errno(EPERM)", "{ fd == 1 -> allow }", "fd == 1 # why", "fd == 1\nread: 1"]


@pytest.mark.parametrize("text", MORE)
def test_a_typed_filter_is_one_expression(text: str) -> None:
    with pytest.raises(KernelError) as caught:
        Filters(dialect="sysgate").set("write", text)
    assert caught.value.errno == errno.EINVAL


def test_unknown_words_of_the_constructor_are_policy_errors() -> None:
    with pytest.raises(PolicyError, match="dialect"):
        Filters(dialect="bpf")
    for refusal in ("allow", "log", "errno(", "nosuch"):
        with pytest.raises(PolicyError):
            Filters(refusal=refusal)


# ---- in force


def test_a_call_without_a_filter_is_refused_and_one_that_matches_passes(lives: Callable[..., object]) -> None:
    code = """
        filters = living(refusal="errno(EPERM)")
        filters.set("getppid", "1")
        filters.set("close", "fd != 77")
        filters.apply()
        print(os.getppid() > 0)
        print(answer(filters.apply))
        for call in (lambda: os.getpgid(0), lambda: os.close(77), lambda: os.close(78)):
            try:
                call()
            except OSError as error:
                print(errno.errorcode[error.errno])
    """
    assert lives(code) == (["True", "EPERM", "EPERM", "EPERM", "EBADF"], 0)


def test_a_refused_call_is_a_death_unless_said_otherwise(lives: Callable[..., object]) -> None:
    assert lives("living().apply(); print('on', flush=True); os.getppid(); print('still')") == (["on"], KILLED)


def test_registers_are_raw_in_ftrace_and_typed_in_sysgate(lives: Callable[..., object]) -> None:
    code = """
        import ctypes
        close = ctypes.CDLL(None, use_errno=True).syscall
        filters = living(refusal="errno(EPERM)", dialect={!r})
        filters.clear("close")
        filters.set("close", "fd == 77")
        filters.apply()
        close(ctypes.c_long(3), ctypes.c_ulong(77 | 1 << 32))  # fd is an int: the kernel drops the upper half
        print(errno.errorcode[ctypes.get_errno()])
    """
    assert lives(code.format("ftrace")) == (["EPERM"], 0)
    assert lives(code.format("sysgate")) == (["EBADF"], 0)


def test_after_apply_a_change_narrows_at_once_and_nothing_widens(lives: Callable[..., object]) -> None:
    code = """
        filters = living(refusal="errno(EPERM)")
        filters.set("getppid", "1")
        filters.set("getpgid", "pid == 0 || pid == 1")
        filters.apply()
        def allowed(call, *args):
            try:
                call(*args)
                return "passes"
            except OSError as error:
                return errno.errorcode[error.errno]
        print(allowed(os.getpgid, 1), answer(filters.set, "getpgid", "pid != 1"))
        print(allowed(os.getpgid, 1), allowed(os.getpgid, 0))
        print(answer(filters.clear, "getppid"), answer(filters.get, "getppid"), answer(filters.clear, "getppid"))
        print(answer(filters.set, "getppid", "1"), answer(filters.set, "getpgrp", "1"))
        print(answer(filters.set, "getpgid", "1"))
        print(filters.get("getpgid").replace(" ", ""))
    """
    expected = ["passes", "None", "EPERM", "passes", "None", "ENOENT", "EINVAL", "EACCES", "EACCES", "EINVAL"]
    assert lives(code) == ([*expected, "(pid==0||pid==1)&&(pid!=1)"], 0)


def test_every_mistake_can_be_made_while_the_filters_are_in_force(lives: Callable[..., object]) -> None:
    # None of them reads a file: any would be a death here.
    code = """
        for dialect in ("ftrace", "sysgate"):
            pid = os.fork()
            if pid:
                _, status = os.waitpid(pid, 0)
                print(os.waitstatus_to_exitcode(status), flush=True)
                continue
            filters = living(dialect=dialect)
            filters.set("read", "1")
            filters.apply()
            texts = ["fdd == 1", "fd == F_GETFL", "fd == F_NOSUCH", "fd ==", "(fd", "comm == 1", "cpu == CPUS{0}"]
            texts += ["x" * 300, "fd.function == vfs_read", "fd == cmd", "buf == 'x'", "fd & 1 == 1", "fd in {1", "0"]
            for text in texts:
                answer(filters.set, "read", text)
            answer(filters.set, "no_such_call", "1")
            answer(filters.set, "@nosuch", "1")
            answer(filters.set, event=1, filter="1")
            os._exit(0)
    """
    assert lives(code) == (["0", "0"], 0)


def test_a_batch_is_one_filter(lives: Callable[..., object]) -> None:
    code = """
        def loaded():
            lines = [line.split() for line in open("/proc/self/status")]
            return int(next(words[1] for words in lines if words[0] == "Seccomp_filters:"))
        filters = Filters(refusal="errno(EPERM)")
        filters.set("@file-system", "1")
        for call in ("@python", "seccomp", "getppid", "read", "write"):
            for member in sysgate.life.filters._fragment(call) if call == "@python" else (call,):
                answer(filters.set, member, "1")
        filters.apply()
        before = loaded()
        with filters.batch():
            filters.clear("mkdir")
            filters.clear("rmdir")
            filters.clear("getppid")
            print(answer(os.getppid) > 0)
        print(loaded() - before)
        for call in (os.getppid, lambda: os.mkdir("/no/such")):
            try:
                call()
            except OSError as error:
                print(errno.errorcode[error.errno])
        try:
            with filters.batch():
                filters.clear("unlink")
                raise ZeroDivisionError
        except ZeroDivisionError:
            print(loaded() - before, answer(filters.get, "unlink"))
    """
    lines, code_ = lives(code)
    # getppid's -EPERM is no error to os.getppid, which never fails
    assert (lines, code_) == (["True", "1", "EPERM", "2", "ENOENT"], 0)


def test_a_change_needs_seccomp_to_be_allowed(lives: Callable[..., object]) -> None:
    code = """
        filters = living()
        filters.clear("seccomp")
        filters.set("seccomp", "op == 7")
        filters.apply()
        print(answer(filters.clear, "write"), filters.get("write").replace(" ", ""))
    """
    assert lives(code) == (["EACCES", "fd==1||fd==2"], 0)


def test_the_filters_hold_for_all_threads_forks_and_programs(lives: Callable[..., object]) -> None:
    code = """
        filters = Filters(refusal="errno(EPERM)")
        filters.set("@known", "1")
        ready, narrowed = threading.Event(), threading.Event()
        def denied():
            try:
                os.getpgid(0)
            except OSError as error:
                return errno.errorcode[error.errno]
        def other():
            ready.set()
            narrowed.wait()
            print("thread", denied(), flush=True)
        thread = threading.Thread(target=other)
        thread.start()
        ready.wait()
        filters.apply()
        filters.clear("getpgid")
        narrowed.set()
        thread.join()
        if os.fork() == 0:
            print("fork", denied(), answer(filters.clear, "mkdir"), flush=True)
            os.execv("/bin/sh", ["sh", "-c", "mkdir /no/such 2>/dev/null; echo program $?"])
        os.wait()
        try:
            os.mkdir("/no/such/folder")
        except OSError as error:
            print("its own", errno.errorcode[error.errno])
    """
    said = ["thread", "EPERM", "fork", "EPERM", "None", "program", "1", "its", "own", "ENOENT"]
    assert lives(code) == (said, 0)


def test_when_the_kernel_takes_no_more_it_is_said_and_nothing_has_changed(lives: Callable[..., object]) -> None:
    # The kernel counts 32,768 instructions for all filters of a process: fill that up with some that allow everything.
    code = """
        from sysgate.kernel import seccomp
        allow = (6).to_bytes(4, "little") + (0x7FFF0000).to_bytes(4, "little")
        load_a_word = bytes(8)
        filters = living()
        filters.set("getpgid", "pid < 0xffff")
        filters.apply()
        for fillers in (load_a_word * 4000, load_a_word * 50, b""):
            while answer(seccomp.load, fillers + allow) != "ENOMEM":
                pass
        before = filters.get("getpgid")
        print(answer(filters.set, "getpgid", "pid != 5"), filters.get("getpgid") == before)
        try:
            filters.clear("getpgid")
        except KernelError as error:
            print("batch" in str(error))
    """
    assert lives(code) == (["ENOMEM", "True", "True"], 0)


def test_python_lives_on_with_what_python_names(lives: Callable[..., object]) -> None:
    code = """
        import json, gc, random
        living().apply()
        thread_work = [json.dumps({"n": [random.random() for _ in range(1000)]}) for _ in range(100)]
        gc.collect()
        blob = bytearray(50_000_000)
        del blob, thread_work
        print("lives")
    """
    assert lives(code) == (["lives"], 0)


def test_the_face_offers_it() -> None:
    assert sysgate.Filters is Filters
