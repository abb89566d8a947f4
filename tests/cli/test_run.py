"""`sysgate run` and `exec`: as if sysgate were not there, but for what the policy refuses."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Sysgate = Callable[..., subprocess.CompletedProcess[str]]
SYSGATE = [sys.executable, "-m", "sysgate"]
ALLOW = ["-e", "default: allow"]
NO_MKDIR = [*ALLOW, "-e", "mkdir, mkdirat: 0 else errno(EACCES)"]


# ---- exit codes


@pytest.mark.parametrize("mode", [[], ["--no-explain"], ["--quiet"], ["--json"]], ids=str)
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([*ALLOW, "--", "true"], 0),
        ([*ALLOW, "false"], 1),
        ([*ALLOW, "--", "sh", "-c", "exit 77"], 77),
        ([*ALLOW, "--", "sh", "-c", "kill -TERM $$"], 128 + 15),
        ([*ALLOW, "--", "sh", "-c", "kill -KILL $$"], 128 + 9),
        ([*ALLOW, "-e", "rmdir: 0", "--", "rmdir", "/nonexistent/x"], 159),
        (["-e", "getpid: 1", "--", "true"], 159),
        (["-e", "getpid: 1", "--", "/nonexistent/x"], 127),
        ([*ALLOW, "--", "nonexistent-program"], 127),
        ([*ALLOW, "--", ""], 127),  # ENOENT: execvp(3)
        (["--strict", "--", ""], 127),
        ([*ALLOW, "--", "/etc/passwd"], 126),
        ([*ALLOW, "--", "/etc"], 126),
        ([*ALLOW, "--", "/etc/passwd/x"], 126),
        ([*ALLOW], 2),
        ([*ALLOW, "--"], 2),
        (["--", "true"], 2),
        (["--nonsense", "--", "true"], 2),
        (["-p"], 2),
        ([*ALLOW, "-o", "x", "--", "true"], 2),
        (["-e", "nonsense: 1", "--", "true"], 125),
        (["-p", "/nonexistent.policy", "--", "true"], 125),
        (["-e", "default: notify", "--", "true"], 125),
    ],
    ids=str,
)
def test_exit_codes_are_the_shells(sysgate: Sysgate, mode: list[str], words: list[str], code: int) -> None:
    assert sysgate("run", *mode, *words).returncode == code


@pytest.mark.parametrize(
    ("path", "code"),
    [("/nonexistent:/etc/passwd", 127), ("{locked}:/nonexistent", 127), ("{locked}:{here}", 126), ("{here}", 126)],
)
def test_a_folder_of_path_that_cannot_be_searched_counts_as_not_found(path: str, code: int, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        tmp_path.chmod(0o755)
        for parent in tmp_path.parents:
            if not parent.stat().st_mode & 1:
                parent.chmod(parent.stat().st_mode | 1)
    else:
        drop = []
    locked, here = tmp_path / "locked", tmp_path / "here"
    for folder in (locked, here):
        folder.mkdir()
        (folder / "tool").write_text("#!/bin/sh\n")
    locked.chmod(0)
    words = [sys.executable, "-m", "sysgate", "run", *ALLOW, "--", "tool"]
    env = {**os.environ, "PATH": path.format(locked=locked, here=here)}
    setpriv = ["/usr/bin/setpriv", *drop[1:]] if drop else []
    assert subprocess.run([*setpriv, *words], env=env, capture_output=True).returncode == code


# ---- what is said


def test_a_refusal_is_explained_on_standard_error(sysgate: Sysgate) -> None:
    done = sysgate("run", *NO_MKDIR, "--", "mkdir", "/nonexistent/x")
    assert done.returncode == 1
    assert 'mkdir("/nonexistent/x", 0777)' in done.stderr
    assert "<-e 2>:1" in done.stderr
    assert "EACCES" in done.stderr


def test_rules_join_the_policy_file(sysgate: Sysgate, tmp_path: Path) -> None:
    policy = tmp_path / "app.policy"
    policy.write_text("default: allow\nmkdir: 0 else errno(EPERM)\n")
    done = sysgate(
        "run", "-p", str(policy), "-e", "rmdir: 0 else errno(EROFS)", "--", "sh", "-c", "mkdir /x/y; rmdir /x/y"
    )
    assert f"{policy}:2" in done.stderr
    assert "<-e 1>:1" in done.stderr


def test_several_policies_must_all_allow(sysgate: Sysgate, tmp_path: Path) -> None:
    one, two = tmp_path / "one.policy", tmp_path / "two.policy"
    one.write_text("default: allow\nmkdir: 0 else errno(EPERM)\n")
    two.write_text("default: allow\nrmdir: 0 else errno(EROFS)\n")
    done = sysgate("run", "-p", str(one), "-p", str(two), "--", "sh", "-c", "mkdir /x/y; rmdir /x/y")
    assert "Operation not permitted" in done.stderr
    assert "Read-only file system" in done.stderr


def test_json_is_one_object_a_line(sysgate: Sysgate) -> None:
    done = sysgate("run", "--json", *NO_MKDIR, "--", "sh", "-c", "mkdir /x/y 2>&-; mkdir /x/z 2>&-; true")
    found = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(each["name"], each["action"], each["rule"]["line"]) for each in found] == [("mkdir", "errno", 1)] * 2


@pytest.mark.parametrize("mode", ["--quiet", "--no-explain"])
def test_nothing_is_said_when_nothing_shall_be(sysgate: Sysgate, mode: str) -> None:
    done = sysgate("run", mode, *NO_MKDIR, "--", "sh", "-c", "mkdir /x/y 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_death_in_the_loader_points_to_startup(sysgate: Sysgate) -> None:
    done = sysgate("run", "-e", "write: 1", "--", "true")
    assert done.returncode == 159
    assert 'include "@startup"' in done.stderr


def test_an_inner_run_that_the_outer_policy_refuses_ends_with_126_and_the_outer_denial(sysgate: Sysgate) -> None:
    inner = [*SYSGATE, "run", *ALLOW, "--", "true"]
    done = sysgate("run", *ALLOW, "-e", "execve: 0 else errno(EACCES)", "--", *inner)
    assert done.returncode == 126
    assert "execve(" in done.stderr


def test_what_argparse_would_say_is_what_is_read_quickly() -> None:
    from sysgate.cli import exec, run
    from sysgate.cli.main import parser

    lines = (
        ["-p", "a", "-e", "b", "--", "x", "-y"],
        ["-e", "b", "x", "-e", "y"],
        ["--complain", "-o", "f", "--", "x"],
        ["--json", "--quiet", "--no-explain", "-p", "a", "x", "--", "y"],
        ["--strict", "x"],
        ["--abi", "2011-b", "x"],
    )
    for words in lines:
        quick = run.quick(words)
        assert quick is not None
        assert vars(quick) == vars(parser("run")[0].parse_args(words))
    assert vars(exec.quick(["-e", "b", "x"]) or 0) == vars(parser("exec")[0].parse_args(["-e", "b", "x"]))
    for words in (
        ["-h"],
        ["-pa", "x"],
        ["-p"],
        ["-p", "a"],
        ["-x", "y"],
        [],
        ["-p", "-e", "x"],
        ["--abi", "1999", "x"],
    ):
        assert run.quick(words) is None


# ---- complain


@pytest.mark.parametrize(
    "argv",
    [["ls", "-l", "/etc"], ["cat", "/etc/passwd"], ["/usr/bin/python3", "-c", "import json; print(json.dumps([1]))"]],
    ids=str,
)
def test_what_complain_writes_lets_the_same_command_run_and_little_else(
    argv: list[str], sysgate: Sysgate, tmp_path: Path
) -> None:
    policy = str(tmp_path / "app.policy")
    watched = sysgate("run", "--complain", "-o", policy, "--", *argv)
    assert sysgate("fmt", "--check", policy).returncode == 0
    assert (watched.returncode, watched.stderr.count("NOT confined")) == (0, 2)
    confined = sysgate("run", "-p", policy, "--", *argv)
    assert (confined.returncode, confined.stdout, confined.stderr) == (0, watched.stdout, "")
    assert sysgate("run", "-p", policy, "--", "mkdir", "/nonexistent/x").returncode == 159


def test_complain_on_top_of_a_policy_tells_only_what_that_refuses(sysgate: Sysgate) -> None:
    done = sysgate("run", "--complain", *NO_MKDIR, "--", "mkdir", "/nonexistent/x")
    assert "No such file or directory" in done.stderr  # it was let through
    assert "mkdir: 1" in done.stderr
    assert "openat" not in done.stderr


def test_complain_does_not_start_what_it_could_not_write_down(sysgate: Sysgate) -> None:
    done = sysgate("run", "--complain", "-o", "/nonexistent/x.policy", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (125, "")


# ---- passing through


def test_environment_descriptors_and_folder_pass_unchanged(tmp_path: Path) -> None:
    extra = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(extra, True)
    show = ["sh", "-c", "env | sort | grep -v ^_=; ls /proc/self/fd; pwd; cat"]
    for env in (
        {"PATH": os.environ["PATH"], "ODD": "\udcff"},
        {"PATH": os.environ["PATH"], "LC_ALL": "C"},
        dict(os.environ),
    ):
        for mode in (["run", *ALLOW], ["run", "--no-explain", *ALLOW], ["exec", *ALLOW]):
            argv = [sys.executable, "-m", "sysgate", *mode, "--", *show]
            given: dict[str, Any] = {"env": env, "close_fds": False, "input": b"in", "cwd": "/", "capture_output": True}
            plain, confined = subprocess.run(show, **given), subprocess.run(argv, **given)
            assert confined.stdout == plain.stdout
    os.close(extra)


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
@pytest.mark.parametrize("mode", ["run", "run --no-explain", "exec"])
def test_closed_streams_stay_closed(closed: str, mode: str, tmp_path: Path) -> None:
    show = f"sh -c 'ls /proc/self/fd > {tmp_path}/fds; mkdir /nonexistent/x; exit 3'"
    line = f'{sys.executable} -m sysgate {mode} -e "default: allow" -e "mkdir: 0 else errno(EPERM)" -- {show} {closed}'
    assert subprocess.run(["sh", "-c", line], capture_output=True).returncode == 3
    seen = (tmp_path / "fds").read_text().split()
    subprocess.run(["sh", "-c", f"{show} {closed}"], capture_output=True)
    assert seen == (tmp_path / "fds").read_text().split()


def test_an_ignored_sigchld_is_passed_on_and_the_exit_code_still_known() -> None:
    def started(*argv: str) -> subprocess.CompletedProcess[str]:
        code = f"""
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execv(sys.executable, {[*SYSGATE, "run", *ALLOW, "--", *argv]!r})
"""
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert int(started("grep", "SigIgn", "/proc/self/status").stdout.split()[1], 16) >> 16 & 1
    assert started("false").returncode == 1


def test_exec_keeps_the_process_and_leaves_nobody() -> None:
    argv = [
        *SYSGATE,
        "exec",
        *NO_MKDIR,
        "--",
        "sh",
        "-c",
        "echo $$ $(grep -c . /proc/$PPID/task/$PPID/children); mkdir /x/y",
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        out, err = started.communicate()
    assert out.split()[0] == str(started.pid)
    assert "Permission denied" in err
    assert started.returncode == 1


@pytest.mark.parametrize(
    ("words", "code"), [([*ALLOW, "--", "nonexistent"], 127), ([*ALLOW, "--", "/etc"], 126), (["--", "true"], 2)]
)
def test_exec_says_what_it_cannot_become(sysgate: Sysgate, words: list[str], code: int) -> None:
    done = sysgate("exec", *words)
    assert done.returncode == code
    assert done.stderr


def test_exec_dies_as_the_program_dies(sysgate: Sysgate) -> None:
    assert sysgate("exec", "-e", "getpid: 1", "--", "true").returncode == -31


# ---- signals and job control

TRAPS = 'trap "echo got $0; exit 5" TERM INT HUP USR1; echo ready; while :; do sleep 0.05; done'


@pytest.mark.parametrize("mode", [[], ["--no-explain"]], ids=str)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_to_sysgate_alone_reaches_the_program(number: signal.Signals, mode: list[str]) -> None:
    argv = [*SYSGATE, "run", *mode, *ALLOW, "--", "sh", "-c", TRAPS, "it"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "ready\n"
        started.send_signal(number)
        assert started.stdout.read() == "got it\n"
    assert started.returncode == 5


class Terminal:
    """An interactive shell on a terminal of its own."""

    def __init__(self) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(PS1="$ ", TERM="dumb", HISTFILE="")
            os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def until(self, wanted: str, seconds: float = 20) -> str:
        """All that was shown up to and with wanted."""
        end = time.monotonic() + seconds
        while wanted not in self.seen:
            left = end - time.monotonic()
            assert left > 0, f"{wanted!r} did not come: {self.seen!r}"
            if select.select([self.fd], [], [], left)[0]:
                self.seen += os.read(self.fd, 4096).decode(errors="replace").replace("\r", "")
        before, _, self.seen = self.seen.partition(wanted)
        return before + wanted

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.close(self.fd)
        os.waitpid(self.pid, 0)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


RUN = f"{sys.executable} -m sysgate run -e 'default: allow' --"


def test_ctrl_c_reaches_the_program_once(terminal: Terminal) -> None:
    terminal.type(f'{RUN} sh -c \'trap "echo caught" INT; echo re""ady; sleep 1; sleep 0.3; exit 4\'; echo code=$?\n')
    terminal.until("ready")
    terminal.type("\x03")
    assert terminal.until("code=4").count("caught\n") == 1


def test_ctrl_c_ends_a_program_that_does_not_catch_it(terminal: Terminal) -> None:
    terminal.type(f"{RUN} sh -c 'echo re\"\"ady; exec sleep 60'; echo code=$?\n")
    terminal.until("ready")
    terminal.type("\x03")
    terminal.until("code=130")


@pytest.mark.parametrize("stop", ["\x1a", "kill -STOP $$"])
def test_a_stopped_program_is_a_stopped_job_and_goes_on_with_fg(terminal: Terminal, stop: str) -> None:
    itself = stop if stop.startswith("kill") else ":"
    terminal.type(f'{RUN} sh -c \'echo re""ady; {itself}; sleep 1; echo on""ward; exit 6\'\n')
    terminal.until("ready")
    if stop == "\x1a":
        # A shell stopped while it starts `sleep` waits in vfork for a stopped child, with or without sysgate.
        time.sleep(0.3)
        terminal.type(stop)
    terminal.until("Stopped")
    terminal.type("fg; echo code=$?\n")
    shown = terminal.until("code=6")
    assert "onward" in shown


def test_an_interactive_shell_inside_has_job_control(terminal: Terminal) -> None:
    terminal.type(f"PS1='in$ ' {RUN} bash --norc -i\n")
    terminal.until("in$ ")
    terminal.type("sleep 60\n")
    time.sleep(0.5)
    terminal.type("\x1a")
    terminal.until("Stopped")
    terminal.type("kill -9 $(jobs -p); disown -a; exit 8\n")  # with a job at hand it would ask again
    terminal.until("exit\n")
    terminal.type("\necho code=$?\n")
    terminal.until("code=8")


def test_a_new_terminal_size_reaches_the_program_once(terminal: Terminal) -> None:
    import fcntl
    import struct
    import termios

    code = "import signal, time; n = []; signal.signal(28, lambda *_: n.append(1)); "
    code += "print('rea' + 'dy', flush=True); time.sleep(0.6); print('n=%d' % len(n))"
    terminal.type(f'{RUN} python3 -c "{code}"\n')
    terminal.until("ready")
    fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
    terminal.until("n=1")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (
            ["mkdir: 0 else trap(3)"],
            "a trap, which is the kernel's own; the lines that trap:\n    <-e 2>:1: mkdir: 0 else trap(3)\n",
        ),
        (["deny: trap", "mkdir: 0"], "the lines that trap:\n    <-e 2>:1: deny: trap\n"),
        (
            [f"mkdir: mode == {at} else trap" for at in range(5)],
            "<-e 4>:1: mkdir: mode == 2 else trap\n    and 2 lines more\n",
        ),
    ],
)
def test_the_lines_that_trap_are_told(sysgate: Sysgate, rules: list[str], said: str) -> None:
    options = [word for rule in rules for word in ("-e", rule)]
    done = sysgate("run", *ALLOW, *options, "--", "mkdir", "/nonexistent/x")
    assert done.returncode == 159
    assert done.stderr.endswith(said)


def test_a_sigsys_of_the_programs_own_is_no_refusal(sysgate: Sysgate) -> None:
    done = sysgate("run", *ALLOW, "--", "sh", "-c", "kill -SYS $$")
    assert (done.returncode, done.stderr) == (159, "sysgate: ended by SIGSYS, though sysgate saw no call refused\n")
    done = sysgate("run", "--no-explain", *ALLOW, "-e", "mkdir: 0", "--", "mkdir", "/nonexistent/x")
    assert done.stderr == "sysgate: ended by SIGSYS: a call was refused that the policy answers with kill or trap\n"
