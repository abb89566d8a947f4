"""`run` is subprocess.run: what the program finds, and what the caller gets, are the same with both."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sysgate
from sysgate.launch.process import run

POLICY = sysgate.Policy.parse("default: allow\nmkdir, mkdirat: 0 else errno(EACCES)\n")

# Prints all that a launch hands over: signals, ids, descriptors, folder, mask, session and group, environment, words.
LOOK = r"""
import os, sys
status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
listing = os.open("/proc/self/fd", os.O_RDONLY)
fds = sorted(int(name) for name in os.listdir(listing) if int(name) != listing)
print([int(status[key], 16) & 0x7FFFFFFF for key in ("SigBlk", "SigIgn", "SigCgt")])  # 32, 33: the C library's own
print([status[key] for key in ("Uid", "Gid", "Groups")])
print(fds, os.getcwd(), os.umask(0o777), os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid())
for name in ("COLUMNS", "LINES"): os.environ.pop(name, None)  # readline's, in C only: subprocess has them or not
print(sorted(os.environ.items()), sys.argv, os.path.basename(sys.executable))
print(len(sys.stdin.read()) if sys.stdin else None)
print("error", file=sys.stderr)
"""
LOOKER = [sys.executable, "-c", LOOK, "one", "two words", ""]
ROOT = os.geteuid() == 0


def both(argv: Any, **kwargs: Any) -> list[tuple[Any, ...]]:
    """What subprocess and what sysgate make of it, explained and not: outputs, or the exception."""
    answers = []
    for call in (
        subprocess.run,
        lambda *a, **k: run(*a, POLICY, explain=False, **k),
        lambda *a, **k: run(*a, POLICY, **k),
    ):
        try:
            done = call(argv, **kwargs)  # type: ignore[operator]
        except Exception as error:
            seen = getattr(error, "errno", None), getattr(error, "filename", None), getattr(error, "output", None)
            answers.append((type(error).__name__, *seen))
        else:
            answers.append((done.returncode, done.stdout, done.stderr, done.args))
    return answers


@pytest.fixture
def inheritable() -> Iterator[int]:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    yield write
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"stdin": subprocess.DEVNULL},
        {"input": b"x" * 100_000},
        {"input": "text", "text": True},
        {"input": "\u00e9", "encoding": "latin-1"},
        {"cwd": "/"},
        {"cwd": b"/usr"},
        {"cwd": Path("/usr/bin")},
        {"env": {}},
        {"env": {"A": "1", b"B": b"\xff", "LC_ALL": "C.UTF-8"}},
        {"umask": 0o27},
        {"start_new_session": True},
        {"process_group": 0},
        {"restore_signals": False},
        {"close_fds": False},
        {"bufsize": 0},
        {"pipesize": 65536},
        {"executable": "/usr/bin/python3"},
        pytest.param({"user": 65534}, marks=pytest.mark.skipif(not ROOT, reason="not run as root")),
        pytest.param(
            {"user": "nobody", "group": "nogroup", "extra_groups": [1, "daemon", 65534]},
            marks=pytest.mark.skipif(not ROOT, reason="not run as root"),
        ),
        pytest.param({"extra_groups": []}, marks=pytest.mark.skipif(not ROOT, reason="not run as root")),
    ],
    ids=str,
)
def test_the_program_finds_what_subprocess_would_have_given_it(kwargs: dict[str, Any]) -> None:
    argv = ["another name", *LOOKER[1:]] if "executable" in kwargs else LOOKER
    if "user" in kwargs:
        argv = ["/usr/bin/python3", *LOOKER[1:]]  # root's own Python may lie where nobody else comes
    if "input" not in kwargs and "stdin" not in kwargs:
        kwargs = {**kwargs, "stdin": subprocess.DEVNULL}
    plain, native, explained = both(argv, capture_output=True, **kwargs)
    assert plain[0] == 0
    assert native == plain
    assert explained == plain


def test_descriptors_pass_as_they_would(inheritable: int) -> None:
    for kwargs in ({"close_fds": False}, {"close_fds": True}, {"pass_fds": (inheritable,)}):
        plain, native, explained = both(LOOKER, capture_output=True, stdin=subprocess.DEVNULL, **kwargs)
        assert native == explained == plain
        listed = plain[1].splitlines()[2].partition(b"]")[0]
        assert (str(inheritable).encode() in listed) is (kwargs != {"close_fds": True})


@pytest.mark.parametrize(
    "kwargs", [{"stderr": subprocess.STDOUT}, {"stdout": subprocess.PIPE}, {"stderr": subprocess.PIPE}], ids=str
)
def test_streams_are_joined_as_they_would(kwargs: dict[str, Any]) -> None:
    kwargs = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, **kwargs}
    plain, native, explained = both(["sh", "-c", "echo out; echo err >&2"], **kwargs)
    assert native == explained == plain


@pytest.mark.parametrize(
    ("argv", "kwargs"),
    [
        ("echo $0 $1; exit 3", {"shell": True}),
        (["echo $0 $1; exit 3", "zero", "one"], {"shell": True}),
        ("echo $0", {"shell": True, "executable": "/bin/bash"}),
        ("true", {}),
        (b"/bin/true", {}),
        (Path("/bin/true"), {}),
        (["sh", "-c", "kill -9 $$"], {}),
        (["sh", "-c", "exit 255"], {}),
    ],
    ids=str,
)
def test_commands_are_taken_and_end_as_they_would(argv: Any, kwargs: dict[str, Any]) -> None:
    plain, native, explained = both(argv, capture_output=True, **kwargs)
    assert native == explained == plain


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with programs that cannot be started, each in its own way."""
    for name, text, mode in (
        ("not-executable", "#!/bin/sh\n", 0o644),
        ("no-interpreter", "#!/nonexistent\n", 0o755),
        ("no-format", "just text\n", 0o755),
        ("empty", "", 0o755),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("program", "kwargs"),
    [
        ("nonexistent", {}),
        ("{odd}/nonexistent", {}),
        ("{odd}/not-executable", {}),
        ("{odd}/no-interpreter", {}),
        ("{odd}/no-format", {}),
        ("{odd}/empty", {}),
        ("{odd}/folder", {}),
        ("{odd}/empty/below-a-file", {}),
        ("not-executable", {"env": {"PATH": "/nonexistent:{odd}:/bin"}}),
        ("true", {"env": {"PATH": "/etc/passwd:/nonexistent:/bin"}}),
        ("true", {"env": {"PATH": "/etc/passwd"}}),
        ("true", {"env": {}}),
        ("true", {"cwd": "{odd}/nonexistent"}),
        ("true", {"cwd": "/etc/passwd"}),
        ("./folder/x", {"cwd": "{odd}"}),
        ("true", {"pass_fds": (900,)}),
        ("true", {"process_group": 1}),
        ("true", {"stdin": 900}),
        ("a\0b", {}),
        ("true", {"env": {"A=B": "1"}}),
        ("true", {"input": b"", "stdin": subprocess.DEVNULL}),
        ("true", {"text": True, "universal_newlines": False}),
        ("true", {"user": -1}),
        ("true", {"creationflags": 1}),
        ("true", {"bufsize": "x"}),
        ("true", {"nonsense": 1}),
        ("sleep 9", {"timeout": 0.05}),
        ("exit 3", {"check": True}),
    ],
    ids=str,
)
def test_what_cannot_be_started_fails_as_it_would(program: str, kwargs: dict[str, Any], odd: Path) -> None:
    def put(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: put(inner) for key, inner in value.items()}
        return value.replace("{odd}", str(odd)) if isinstance(value, str) else value

    argv = ["sh", "-c", program] if " " in program else [put(program)]
    if " " not in program or "stdin" not in kwargs:
        kwargs = {"capture_output": True, **kwargs}
    plain, native, explained = both(argv, **put(kwargs))
    names = {"ValueError": ("ValueError", "UsageError")}  # a SysgateError and a ValueError in one
    for answer in (native, explained):
        assert answer[0] in names.get(plain[0], (plain[0],))
        assert answer[1:] == plain[1:]


def test_partial_output_comes_with_a_timeout() -> None:
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        run(["sh", "-c", "echo begun; sleep 9"], POLICY, capture_output=True, timeout=0.3)
    assert caught.value.stdout == b"begun\n"


def test_a_failed_check_tells_output_and_code() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run(["sh", "-c", "echo out; exit 3"], POLICY, capture_output=True, check=True)
    assert (caught.value.returncode, caught.value.output) == (3, b"out\n")


def test_preexec_fn_is_refused() -> None:
    with pytest.raises(sysgate.SysgateError, match="preexec_fn"):
        run(["true"], POLICY, preexec_fn=lambda: None)
    assert run(["true"], POLICY, preexec_fn=None).returncode == 0


def test_no_program_is_an_error_in_words() -> None:
    with pytest.raises(sysgate.SysgateError, match="no program"):
        run([], POLICY)


def test_the_audit_event_of_subprocess_is_raised() -> None:
    heard: list[Any] = []
    sys.addaudithook(lambda event, args: heard.append(args) if event == "subprocess.Popen" and listening else None)
    listening = [True]
    run(["true"], POLICY)
    listening.clear()
    assert heard[0][:2] == ("true", ["true"])


def test_handlers_of_the_caller_do_not_run_in_the_child_even_without_clone3(monkeypatch: pytest.MonkeyPatch) -> None:
    from sysgate.launch import child

    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        for kernel_drops in (True, False):
            monkeypatch.setattr(child, "_kernel_drops_handlers", kernel_drops)
            plain, native, explained = both(LOOKER, capture_output=True, stdin=subprocess.DEVNULL)
            assert native == explained == plain
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_where_clone3_is_refused_clone_is_used() -> None:
    # As container profiles of 2020 have it: the errno is the whole answer.
    code = f"""
import sysgate, subprocess
subprocess._USE_POSIX_SPAWN = False  # glibc's knows no way without clone3 but where it is not there
sysgate.Policy.parse("default: allow\\nclone3: 0 else errno(EPERM)\\n").install()
from sysgate.launch import child
from sysgate.launch.process import run
done = run({LOOKER!r}, sysgate.Policy.parse("default: allow"), explain=False, capture_output=True, stdin=-3)
assert done.stdout == subprocess.run({LOOKER!r}, capture_output=True, stdin=-3).stdout
print(done.returncode, child._kernel_drops_handlers)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "0 False\n"


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_streams_of_the_caller_stay_closed_and_are_not_taken(closed: tuple[int, ...], tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = f"""
import os, sysgate
from sysgate.launch.process import run
for fd in {closed}: os.close(fd)
argv = ["sh", "-c", "ls -l /proc/self/fd > {out}.$0"]
policy = sysgate.Policy.parse("default: allow")
import subprocess
subprocess.run([*argv, "plain"])
run([*argv, "native"], policy, explain=False)
run([*argv, "explained"], policy)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    listings = [
        [line.split()[8:] for line in Path(f"{out}.{name}").read_text().splitlines()[1:]]
        for name in ("plain", "native", "explained")
    ]
    numbers = [[fields[0] for fields in listing] for listing in listings]
    assert numbers[1] == numbers[2] == numbers[0]


def test_streams_can_be_swapped() -> None:
    code = """
import sysgate, sys
from sysgate.launch.process import run
run(["sh", "-c", "echo out; echo err >&2"], sysgate.Policy.parse("default: allow"), stdout=2, stderr=1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("err\n", "out\n")


def test_a_parent_that_ignores_sigchld_still_knows_its_program_was_confined() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        plain, native, explained = both(["sh", "-c", "echo out"], capture_output=True)
        assert native == explained == plain  # subprocess returns 0: it cannot know
        assert both(["/nonexistent"])[1][0] == "FileNotFoundError"
    finally:
        signal.signal(signal.SIGCHLD, before)


@pytest.mark.parametrize("capture", [False, True])
def test_an_interrupt_ends_program_and_run(capture: bool) -> None:
    code = f"""
import sysgate
from sysgate.launch.process import run
print("ready", flush=True)
try: run(["sleep", "60"], sysgate.Policy.parse("default: allow\\nmkdir: 0"), capture_output={capture})
except KeyboardInterrupt: print("interrupted")
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        started.stdout.readline()
        time.sleep(0.4)
        started.send_signal(signal.SIGINT)
        assert started.stdout.read() == "interrupted\n"
