"""Every row of the interface of 2011, form by form, spoken by a C program as root and as an ordinary user."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tracefs import event_id

SOURCE = Path(__file__).with_name("abi2011.c")
SOURCE_32 = Path(__file__).with_name("abi2011_32.c")
RUN = "import sys; from sysgate.life import abi2011; sys.exit(abi2011.run(sys.argv[2:], sys.argv[1] or None))"
KILLED = 128 + signal.SIGKILL
Wrap = Callable[[Sequence[str]], list[str]]
Said = Callable[..., tuple[list[str], int, str]]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where the programs lie. An ordinary user can reach it, which pytest's own folders are closed against."""
    with tempfile.TemporaryDirectory(prefix="sysgate-2011-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def built(source: Path, target: Path, *options: str) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if os.uname().machine != "x86_64" or compiler is None:
        pytest.skip("needs x86_64 and a C compiler")
    command = [compiler, "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-result", *options, "-o", target, source]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip(f"this compiler cannot build it with {options}")
    return target


@pytest.fixture(scope="module")
def program(folder: Path) -> Path:
    return built(SOURCE, folder / "abi2011", "-pthread")


def spoken(
    wrap: Wrap, program: Path, form: str, case: str, *words: str, forced: str = ""
) -> tuple[list[str], int, str]:
    """Run a case behind `--abi 2011`: what it said, its exit code, and standard error."""
    command = wrap([sys.executable, "-c", RUN, forced, str(program), form, case, *words])
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout.splitlines(), done.returncode, done.stderr


@pytest.fixture
def said(program: Path, as_user: Wrap) -> Said:
    """`spoken`, as root and as an ordinary user."""

    def run(form: str, case: str, *words: str, forced: str = "") -> tuple[list[str], int, str]:
        return spoken(as_user, program, form, case, *words, forced=forced)

    return run


def refused(nr: int, name: str, form: str) -> str:
    """A line of 2011's log."""
    where = "ip:[0-9a-f]+" if form == "b" else "0x[0-9a-f]+"
    return rf"abi2011\[\d+\]: system call {nr} \({name}\) blocked at {where}\n"


MODE = {"a": 2, "b": 2, "c": 13}
EPERM, ENOENT, EFAULT, EACCES, EINVAL, ENOSPC, ENOSYS, E2BIG, EBADF = 1, 2, 14, 13, 22, 28, 38, 7, 9

FORMS = pytest.mark.parametrize("form", ["a", "b", "c"])
SINGLE = pytest.mark.parametrize("form", ["b", "c"])


@FORMS
def test_the_mode_is_entered_once_and_told(said: Said, form: str) -> None:
    lines = ["before 0", "enter 0", f"mode {MODE[form]}", f"again -{EPERM}"]
    assert said(form, "modes") == (lines, 0, "")


@FORMS
def test_an_allowed_program_runs_to_its_end(said: Said, form: str) -> None:
    assert said(form, "allowed") == (["enter 0", f"mode {MODE[form]}", "still here"], 7, "")


@FORMS
@pytest.mark.parametrize(
    ("case", "nr", "name"),
    [("no_entry", 39, "sys_getpid"), ("no_match", 1, "sys_write"), ("raw_registers", 1, "sys_write")],
)
def test_a_refused_call_is_sigkill_and_a_line_in_the_words_of_2011(
    said: Said, form: str, case: str, nr: int, name: str
) -> None:
    lines, code, errors = said(form, case)
    assert (lines, code) == (["enter 0", f"mode {MODE[form]}"], KILLED)
    assert re.fullmatch(refused(nr, name, form), errors)


TEXTS = {
    "b": ["(fd == 1 || fd == 2) && fd != 2", "(1) && fd == 1", "((fd == 1 || fd == 2) && fd != 2) && 1", 0],
    "c": ["(fd == 1 || fd == 2) && (fd != 2)", "fd == 1", "(fd == 1 || fd == 2) && (fd != 2)", -EINVAL],
}


@SINGLE
def test_texts_grow_as_each_form_builds_them(said: Said, form: str) -> None:
    narrowed, always, with_one, one = TEXTS[form]
    assert said(form, "texts") == (
        [
            *("first 0", "second 0", "get 0", f"text {narrowed}"),
            *("always 0", "get 0", "text 1"),
            *("narrowed 0", "get 0", f"text {always}"),
            *("never 0", "get 0", "text 0"),
            *(f"one {one}", "get 0", f"text {with_one}"),
        ],
        0,
        "",
    )


def errors_of(form: str) -> list[str]:
    c = form == "c"
    return [
        f"get before any -{EINVAL if c else ENOENT}",
        f"clear before any {-EINVAL if c else 0}",
        "good 0",
        f"null -{EFAULT}",
        f"unreadable -{EFAULT}",
        *[f"out of range -{EINVAL}"] * 2,
        f"empty -{EINVAL}",
        f"spaces -{EINVAL}",
        f"no filter -{EINVAL}",
        f"no such argument -{EINVAL}",
        f"of another call -{EINVAL}",
        f"no arguments known -{ENOSYS}",
        "no arguments known, always 0",
        f"too long -{E2BIG}",
        "nearly too long 0",
        f"merged too long -{E2BIG}",
        f"small buffer -{ENOSPC}",
        "just large enough 0",
        f"null buffer -{EFAULT}",
        f"read-only buffer -{EFAULT}",
        f"no such filter -{ENOENT}",
        "clear 0",
        f"clear again {-EINVAL if c else 0}",
        f"get cleared -{ENOENT}",
        f"bad mode -{EINVAL}",
        *([f"bad type -{EINVAL}"] * 3 if c else []),
        "mode 0",
    ]


@SINGLE
def test_every_error_is_the_one_of_its_form(said: Said, form: str) -> None:
    assert said(form, "errors", forced=form) == (errors_of(form), 0, "")


@SINGLE
def test_the_forms_are_told_apart_by_their_arguments(said: Said, form: str) -> None:
    # prctl(37) by what was spoken before, be it in vain.
    assert said(form, "errors") == (errors_of(form), 0, "")


def test_a_form_that_is_forced_is_the_only_one(said: Said) -> None:
    assert said("c", "modes", forced="b")[0][:2] == ["before 0", f"enter -{EINVAL}"]
    assert said("a", "modes", forced="c")[0][:2] == ["before 0", f"enter -{EINVAL}"]
    # A's text is an address; as B's flags it asks for filters from the next execve on, or not
    assert said("b", "texts", forced="a")[0][:3] == [f"first -{EINVAL}", f"second -{EINVAL}", f"get -{EINVAL}"]


def test_a_call_is_also_named_by_its_event(said: Said, as_user: Wrap) -> None:
    event = str(event_id("write"))
    lines, code, _ = said("c", "event", event)
    if as_user(["x"]) == ["x"]:
        expected = ["set 0", "get 0", "text fd == 1", "same call 0", "clear 0", f"no such event -{EINVAL}"]
        assert (lines, code) == (expected, 0)
    else:  # the ids are root's to read
        assert lines[0] == f"set -{ENOSYS}"


NARROWED = {
    "b": ["with one 0", "clear 0", "clear again 0"],
    "c": ["clear 0", f"clear again -{EINVAL}"],
}


@SINGLE
def test_after_entering_filters_only_narrow_and_at_once(said: Said, form: str) -> None:
    lines, code, errors = said(form, "narrow")
    before = ["enter 0", f"new call -{EACCES}", "narrow 0", f"close 7 -{EBADF}"]
    after = [f"back again -{EACCES}", f"get -{ENOENT}", "still here"]
    assert (lines, code) == ([*before, *NARROWED[form], *after], KILLED)
    assert re.fullmatch(refused(3, "sys_close", form), errors)


@SINGLE
def test_a_call_whose_filter_is_cleared_is_refused(said: Said, form: str) -> None:
    lines, code, errors = said(form, "cleared")
    assert (lines, code) == (["enter 0", "getpid 1", "clear 0"], KILLED)
    assert re.fullmatch(refused(39, "sys_getpid", form), errors)


@pytest.mark.parametrize(("form", "most", "error"), [("b", 511, EINVAL), ("c", 65_535, ENOSPC)])
def test_there_is_a_most_of_filters(said: Said, form: str, most: int, error: int) -> None:
    assert said(form, "most") == ([f"sets {most}", "answer 0", f"one more -{error}"], 0, "")


def is_root(as_user: Wrap) -> bool:
    return as_user(["x"]) == ["x"] and os.geteuid() == 0


def test_c_keeps_execve_for_the_privileged(said: Said, as_user: Wrap) -> None:
    root = is_root(as_user)
    expected = ["execve 0", "another 0", "get 0"] if root else [f"execve -{EPERM}", "another 0", f"get -{ENOENT}"]
    assert said("c", "execve") == (expected, 0, "")
    assert said("b", "execve") == (["execve 0", "another 0", "get 0"], 0, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="has no privilege to drop")
def test_c_drops_execve_at_a_change_without_the_privilege(program: Path) -> None:
    lines = ["execve 0", "setuid 0", "get 0", "change 0", f"get -{ENOENT}", f"execve -{EPERM}"]
    assert spoken(list, program, "c", "execve_dropped") == (lines, 0, "")
    lines, code, errors = spoken(list, program, "c", "execve_dropped_in_force")
    assert (lines, code) == (["execve 0", "enter 0", "change 0"], KILLED)
    assert re.fullmatch(refused(59, "sys_execve", "c"), errors)


@pytest.mark.parametrize(("form", "inherited"), [("b", 0), ("c", -EINVAL)])
def test_filters_that_are_not_entered_pass_to_a_fork_in_b_only(said: Said, form: str, inherited: int) -> None:
    lines = [f"get in child {inherited}", "mode in child 0", "status 0", "get 0"]
    assert said(form, "fork_idle") == (lines, 0, "")


@SINGLE
def test_filters_in_force_are_inherited_and_a_childs_changes_are_its_own(said: Said, form: str) -> None:
    lines, code, errors = said(form, "fork_entered")
    child = [f"mode in child {MODE[form]}", "get in child 0", "clear in child 0", "signal 9"]
    assert (lines, code) == (["enter 0", *child, "getpid 1", "get 0", "signal 9"], 0)
    assert re.fullmatch(refused(39, "sys_getpid", form) + refused(102, "sys_getuid", form), errors)


@SINGLE
def test_no_child_escapes_the_tracer(said: Said, form: str) -> None:
    lines, code, errors = said(form, "clone_untraced")
    assert (sorted(lines), code) == (["cloned 1", "enter 0", "in child here", "signal 9"], 0)
    assert re.fullmatch(refused(102, "sys_getuid", form), errors)


@SINGLE
def test_a_mode_is_one_threads_and_so_is_its_end(said: Said, form: str) -> None:
    lines, code, errors = said(form, "thread")
    assert (lines, code) == (["enter in thread 0", "mode 0", "getuid 1"], 0)
    assert re.fullmatch(refused(102, "sys_getuid", form), errors)


@SINGLE
def test_a_new_thread_inherits(said: Said, form: str) -> None:
    lines, code, errors = said(form, "thread_inherits")
    assert (lines, code) == (["enter 0", f"mode in thread {MODE[form]}", "still here"], 0)
    assert re.fullmatch(refused(102, "sys_getuid", form), errors)


CALLS = [
    (0, "sys_read", "1"),
    (1, "sys_write", "fd == 1"),
    (2, "sys_open", "1"),
    (63, "sys_newuname", "1"),
    (157, "sys_prctl", "1"),
    (231, "sys_exit_group", "1"),
    (257, "sys_openat", "1"),
    (500, "unknown", "1"),
]
PROC = {
    "b": [
        *("Filtering: 0", "FilterCount: 8"),
        *(line for nr, name, text in CALLS for line in (f"SystemCall: {nr} ({name})", f"Filter: {text}")),
    ],
    "c": [f"{nr} ({name}): {text}" for nr, name, text in CALLS],
}


@SINGLE
def test_proc_lists_the_filters_in_each_form(said: Said, form: str) -> None:
    after = ["enter 0", "read 13", f"no such file -{ENOENT}", f"not there -{ENOENT}"]
    assert said(form, "proc") == ([*PROC[form], *after], 0, "")


@SINGLE
def test_proc_lists_another_process_s_filters_too(said: Said, form: str) -> None:
    lines, code, _ = said(form, "proc_of_another")
    wanted = "1 (sys_write): fd == 1 || fd == 2" if form == "c" else "Filter: fd == 1 || fd == 2"
    assert (wanted in lines, lines[-1], code) == (True, "own 0", 0)


@FORMS
def test_strict_mode_is_read_write_exit_and_sigreturn(said: Said, form: str) -> None:
    assert said(form, "strict") == (["enter 0", "still here"], 3, "")
    lines, code, errors = said(form, "strict_refuses")
    assert (lines, code) == (["enter 0"], KILLED)
    assert re.fullmatch(refused(231, "sys_exit_group", "c"), errors)


GONE = "".join(
    f"sysgate: {name}: there is no such call here, so that it is never matched\n"
    for name in ("old_select", "old_mmap", "sys_idle", "sys_vm", "sys_olduname")
)


def test_a_starts_after_the_next_call_so_that_execve_passes(said: Said) -> None:
    assert said("a", "later") == (["hello there"], 5, GONE)
    lines, code, errors = said("a", "later_refused")
    assert (lines, code) == (["hello there"], KILLED)
    assert re.fullmatch(re.escape(GONE) + refused(102, "sys_getuid", "a"), errors)
    lines, code, errors = said("a", "next_call")
    assert (lines, code) == (["enter 0"], KILLED)
    assert re.fullmatch(re.escape(GONE) + refused(102, "sys_getuid", "a"), errors)


def test_b_starts_at_an_execve_that_no_filter_allows(said: Said) -> None:
    assert said("b", "later") == (["hello there"], 5, "")
    lines, code, errors = said("b", "later_refused")
    assert (lines, code) == (["hello there"], KILLED)
    assert re.fullmatch(refused(102, "sys_getuid", "b"), errors)


def test_b_starts_also_when_that_execve_fails(said: Said) -> None:
    lines, code, errors = said("b", "on_exec")
    child = ["getuid in child 1", "status 0"]
    assert (lines, code) == (["enter 0", "mode 2", "getuid 1", *child, f"execve -{ENOENT}"], KILLED)
    assert re.fullmatch(refused(102, "sys_getuid", "b"), errors)


def test_b_goes_on_waiting_after_an_execve_that_a_filter_allows(
    said: Said,
) -> None:
    assert said("b", "on_exec_allowed") == (["hello there"], 5, "")


def test_a_policy_that_is_none_is_not_entered(said: Said) -> None:
    wrong = [f"unknown call -{EINVAL}", f"no rule -{EINVAL}", f"no filter -{EINVAL}", f"no text -{EFAULT}"]
    assert said("a", "bad_policy", forced="a") == ([*wrong, "mode 0"], 0, "")


@SINGLE
def test_a_task_of_the_other_word_size_is_refused(said: Said, form: str) -> None:
    lines, code, errors = said(form, "word_size")
    child = [f"32-bit filter -{ENOSYS}", "32-bit always 0", f"64-bit change -{EACCES}", "status 0"]
    assert (lines, code) == ([*child, f"32-bit change -{EACCES}", "enter 0"], KILLED)
    assert re.fullmatch(refused(20, "sys_getpid", form), errors)


def test_a_32_bit_program_has_its_own_numbers(folder: Path, as_user: Wrap) -> None:
    small = built(SOURCE_32, folder / "abi2011_32", "-m32", "-nostdlib", "-static", "-ffreestanding")
    command = as_user([sys.executable, "-c", RUN, "", str(small)])
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("entered\n4 (sys_write): 1\n5 (sys_open): 1\n", KILLED)
    assert re.fullmatch(r"abi2011_32\[\d+\]: system call 20 \(sys_getpid\) blocked at 0x[0-9a-f]+\n", done.stderr)


def test_there_is_no_seccomp_2_in_2011(said: Said) -> None:
    assert said("c", "seccomp_2") == ([f"seccomp -{ENOSYS}"], 0, "")


# ---- standing between a shell and the program


def started(program: Path, as_user: Wrap, *words: str) -> subprocess.Popen[str]:
    command = as_user([sys.executable, "-c", RUN, "", *words])
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def descendants(pid: int) -> list[int]:
    children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [each for child in children for each in (child, *descendants(child))]


def eventually(true: Callable[[], bool]) -> bool:
    for _ in range(500):
        if true():
            return True
        time.sleep(0.02)
    return False


def test_a_program_that_does_not_exist_is_127_and_one_that_is_none_126(program: Path, as_user: Wrap) -> None:
    for name, code in (("/no/such/program", 127), ("/etc/passwd", 126)):
        process = started(program, as_user, name)
        assert process.wait(30) == code
        assert name in process.stderr.read()  # type: ignore[union-attr]


def test_signals_pass_to_the_program(program: Path, as_user: Wrap) -> None:
    process = started(program, as_user, "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 9


def test_a_death_by_signal_is_told_as_a_shell_tells_it(program: Path, as_user: Wrap) -> None:
    assert started(program, as_user, "sh", "-c", "kill -USR1 $$").wait(30) == 128 + signal.SIGUSR1


def test_if_sysgate_dies_nothing_is_gained(program: Path, as_user: Wrap) -> None:
    process = started(program, as_user, "sh", "-c", "echo ready; sleep 60")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    tracer, *others = descendants(process.pid)[-3:]
    os.kill(tracer, signal.SIGKILL)
    assert process.wait(30) == KILLED
    assert eventually(lambda: not any(Path(f"/proc/{other}").exists() for other in others))


def test_what_outlives_the_program_stays_confined(program: Path, folder: Path, as_user: Wrap) -> None:
    # The child speaks after its parent has ended and sysgate with it; its refusal is still a death.
    script = f"(sleep 0.3; {program} c no_entry) & exit 4"
    process = started(program, as_user, "sh", "-c", script)
    assert process.wait(30) == 4
    assert process.stdout is not None
    assert process.stdout.read() == "enter 0\nmode 13\n"


def test_where_tracing_is_refused_nothing_is_run(program: Path, as_user: Wrap) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("no strace here")
    command = [strace, "-f", "-o", "/dev/null", *as_user([sys.executable, "-c", RUN, "", "echo", "ran"])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "ran" not in done.stdout
    assert "KernelError: ptrace: tracing of thread" in done.stderr


def test_a_confined_user_cannot_reach_the_tracer(program: Path) -> None:
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    script = "for file in mem environ maps; do head -c1 /proc/$PPID/$file 2>/dev/null | wc -c; done"
    process = started(program, lambda command: [*drop, *command], "sh", "-c", script)
    assert process.wait(30) == 0
    assert process.stdout is not None
    assert process.stdout.read().split() == ["0", "0", "0"]


def test_a_shell_can_stop_it_resume_it_and_interrupt_it(program: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PS1"] = "$ "
        os.execvp("bash", ["bash", "--norc", "-i"])

    def until(wanted: str) -> str:
        seen = ""
        while wanted not in seen:
            if not select.select([terminal], [], [], 20)[0]:
                pytest.fail(f"no {wanted!r} in {seen!r}")
            seen += os.read(terminal, 4096).decode()
        return seen

    def typed(text: str) -> None:
        os.write(terminal, text.encode())

    def sleeps(seconds: int) -> bool:
        # A shell between vfork and execve may swallow a key, with sysgate or without.
        lines = [Path(f"/proc/{each}/cmdline") for each in descendants(pid)]
        return any(line.exists() and line.read_text() == f"sleep\0{seconds}\0" for line in lines)

    try:
        until("$ ")
        typed(f"{sys.executable} -c '{RUN}' '' sh -c 'sleep 3; echo en''ded; sleep 60'\n")
        assert eventually(lambda: sleeps(3))
        typed("\x1a")
        until("Stopped")
        typed("fg\n")
        until("ended")
        assert eventually(lambda: sleeps(60))
        typed("\x03")
        typed("echo code $?\n")
        until(f"code {128 + signal.SIGINT}")
    finally:
        os.close(terminal)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


# ---- the command line


ABIS = [("2011", "a"), ("2011", "c"), ("2011-a", "a"), ("2011-b", "b"), ("2011-c", "c")]


@pytest.mark.parametrize(("abi", "form"), ABIS)
def test_the_command_line_takes_a_form(program: Path, as_user: Wrap, abi: str, form: str) -> None:
    command = [sys.executable, "-m", "sysgate", "run", "--abi", abi, "--", str(program), form, "allowed"]
    done = subprocess.run(as_user(command), capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.splitlines()[-1], done.returncode, done.stderr) == ("still here", 7, "")


@pytest.mark.parametrize(
    "options", [["--abi", "2012"], ["--abi", "2011", "-e", "read: 1"], ["--abi", "2011", "--strict"]]
)
def test_the_command_line_refuses_what_makes_no_sense(options: list[str]) -> None:
    command = [sys.executable, "-m", "sysgate", "run", *options, "--", "true"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "usage:" in done.stderr
