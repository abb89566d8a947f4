"""Policies that wait for their moment: a call, or main; in programs that run already and in programs just started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest
from attaching import NO_MKDIR, AsUser, attach, built, children, free_port, nginx, state, target, wait_for_port

HANDFUL = ("write: fd == 1", "exit_group: 1")
KINDS = pytest.mark.parametrize(
    "flags", [(), ("-static",), ("-static-pie",), ("-no-pie",)], ids=lambda f: " ".join(f) or "dynamic"
)


def run(as_user: AsUser, words: Sequence[str], program: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command = as_user([sys.executable, "-m", "sysgate", "run", *words, "--", *program])
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def rules(*lines: str) -> list[str]:
    return [word for line in lines for word in ("-e", line)]


@KINDS
def test_two_calls_are_enough_for_a_program_that_makes_two_calls(as_user, flags):
    done = run(as_user, [*rules(*HANDFUL), "--when", "main"], [built("sealed.c", *flags)])
    assert (done.returncode, done.stdout, done.stderr) == (3, "started\nended\n", "")


@KINDS
def test_from_main_on_everything_else_is_refused(as_user, flags):
    done = run(as_user, [*rules(*HANDFUL), "--when", "main"], [built("sealed.c", *flags), "mkdir"])
    assert (done.returncode, done.stdout) == (159, "started\n")


@KINDS
def test_main_has_a_policy_of_its_own_beside_the_wide_one(as_user, flags):
    program = built("sealed.c", *flags)
    narrow = Path(program).with_name("narrow.policy")
    narrow.write_text("default: kill\nwrite: fd == 1\nmkdir: 1\nexit_group: 1\n")
    wide = rules("default: allow", "mkdir: 0 else errno(EACCES)")
    done = run(as_user, [*wide, "--then", str(narrow), "--when", "main"], [program, "mkdir"])
    assert (done.returncode, done.stdout) == (3, "started\nended\n")


@pytest.mark.parametrize("flags", [("-m32",), ("-m32", "-static")], ids=["dynamic", "static"])
@pytest.mark.parametrize(("words", "code", "said"), [((), 3, "started\nended\n"), (("mkdir",), 159, "started\n")])
def test_main_of_a_32_bit_program(as_user, flags, words, code, said):
    lines = ("[i386]", *HANDFUL)
    done = run(as_user, [*rules(*lines), "--when", "main"], [built("sealed.c", *flags), *words])
    assert (done.returncode, done.stdout) == (code, said)


BOTH_FREE = ("default: allow", "[i386]", "default: allow", "mkdir: 0 else errno(EACCES)")


def test_a_call_of_a_32_bit_program(as_user):
    program = [built("sealed.c", "-m32"), "mkdir"]
    done = run(as_user, [*rules(*BOTH_FREE), "--when", "mkdir"], program)
    assert (done.returncode, done.stdout, done.stderr) == (3, "started\nended\n", "")


def test_a_32_bit_program_is_ended_in_words_where_its_start_does_not_allow_seccomp(as_user):
    program = built("sealed.c", "-m32")
    narrow = Path(program).with_name("narrow32.policy")
    narrow.write_text("\n".join(BOTH_FREE))
    wide = rules(*BOTH_FREE[:-1], "seccomp: 0 else errno(EPERM)")
    done = run(as_user, [*wide, "--then", str(narrow), "--when", "mkdir"], [program, "mkdir"])
    assert (done.returncode, done.stdout) == (125, "started\n")
    assert "refuses seccomp" in done.stderr


def test_start_up_calls_are_not_open_for_longer_than_the_start_up(as_user):
    done = run(as_user, [*rules("default: allow", "openat: 0"), "--when", "main"], ["/bin/cat", "/etc/passwd"])
    assert (done.returncode, done.stdout) == (159, "")


SERVER = """
import os, socket, sys
try: os.mkdir("/nonexistent/folder")
except OSError as error: print(error.errno)
listener = socket.socket(); listener.bind(("127.0.0.1", 0))
if "quiet" not in sys.argv: listener.listen(1)
try: os.mkdir("/nonexistent/folder")
except OSError as error: print(error.errno)
sys.stdout.flush()
os.system("echo $(grep Seccomp_filters /proc/self/status)")
"""
PYTHON = "/usr/bin/python3"


def server(as_user: AsUser, lines: Sequence[str], *words: str) -> list[str]:
    done = run(as_user, [*words, *rules(*lines), "--when", "listen"], [PYTHON, "-c", SERVER])
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("listen", ["listen: 1", "listen: 0 else errno(EACCES)"])
def test_the_policy_holds_from_the_call_on_and_the_call_itself_goes_through(as_user, listen):
    assert server(as_user, (*NO_MKDIR, listen)) == ["2", "13", "Seccomp_filters:", "2"]


def test_a_program_in_another_wrapped_is_reached_too(as_user):
    words = [*rules(*NO_MKDIR), "--when", "listen,accept4"]
    done = run(as_user, words, ["/bin/sh", "-c", f"{PYTHON} -c '{SERVER}'; exit 4"])
    assert (done.returncode, done.stdout.split()[:2]) == (4, ["2", "13"])


def test_a_moment_that_never_comes_is_told(as_user):
    done = run(as_user, [*rules(*NO_MKDIR), "--when", "listen"], ["/bin/true"])
    assert (done.returncode, "listen was never reached" in done.stderr) == (0, True)


BEHIND = """
import os, shutil, sys, sysgate
sysgate.Policy.parse(sys.argv[1]).install()
os.execv(shutil.which(sys.argv[2]), sys.argv[2:])
"""


@pytest.mark.parametrize("when", ["main", "listen"])
def test_where_tracing_is_refused_nothing_is_run(as_user, when):
    inner = [sys.executable, "-m", "sysgate", "run", *rules(*HANDFUL), "--when", when, "--", built("sealed.c")]
    command = [sys.executable, "-c", BEHIND, "default: allow\nptrace: 0 else errno(EPERM)", *as_user(inner)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (125, "")
    assert "trace" in done.stderr


def test_a_missing_program_is_127_and_a_mistyped_call_is_said(as_user):
    assert run(as_user, [*rules(*NO_MKDIR), "--when", "main"], ["/nonexistent/program"]).returncode == 127
    mistyped = run(as_user, [*rules(*NO_MKDIR), "--when", "lisen"], ["/bin/true"])
    assert (mistyped.returncode, "did you mean listen?" in mistyped.stderr) == (125, True)


REACHES = """
import os, socket, sys
tracer = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("TracerPid"))
try: open(f"/proc/{tracer}/mem", "r+b").close(); print("reached")
except OSError as error: print(error.errno)
"""


def test_the_program_cannot_reach_into_its_tracer():
    if os.geteuid() != 0:
        pytest.skip("not run as root")
    # Root reaches any process; so only the ordinary user is asked.
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = run(lambda command: [*user, *command], [*rules(*NO_MKDIR), "--when", "listen"], [PYTHON, "-c", REACHES])
    assert done.stdout == "13\n"


WAITS = """
import os, socket, sys, threading
def waits(): threading.Event().wait()
for _ in range(3): threading.Thread(target=waits, daemon=True).start()
print("ready", flush=True)
sys.stdin.readline()
def tries():
    try: os.mkdir("/nonexistent/folder")
    except OSError as error: print(error.errno, flush=True)
tries()
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen(1)
tries()
thread = threading.Thread(target=tries); thread.start(); thread.join()
"""


def armed(as_user: AsUser, pid: int, when: str) -> subprocess.Popen[str]:
    words = rules(*NO_MKDIR)
    command = as_user([sys.executable, "-m", "sysgate", "attach", str(pid), *words, "--when", when])
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(500):
        if all(f"TracerPid:\t{process.pid}" in thread for thread in state(pid)):
            return process
        time.sleep(0.01)
    raise AssertionError(process.communicate())


def test_an_attached_process_is_put_behind_the_policy_at_its_call(as_user):
    with target(as_user([sys.executable, "-c", WAITS])) as process:
        waiting = armed(as_user, process.pid, "listen")
        assert process.communicate("\n", timeout=20)[0].split() == ["2", "13", "13"]
        assert (waiting.wait(timeout=20), "4 threads" in waiting.communicate()[0]) == (0, True)


def test_giving_up_leaves_the_process_as_it_was(as_user):
    with target(as_user([sys.executable, "-c", WAITS])) as process:
        before = state(process.pid)
        waiting = armed(as_user, process.pid, "listen")
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(timeout=20) == 130
        time.sleep(0.05)
        assert state(process.pid) == before
        assert process.communicate("\n", timeout=20)[0].split() == ["2", "2", "2"]


@pytest.mark.parametrize("mode", ["epoll-timed", "sigwait-timed"])
def test_neither_waiting_for_a_moment_nor_giving_up_ends_a_wait(as_user, mode):
    with target(as_user([built("attach_targets.c"), mode])) as process:
        time.sleep(1.3)
        waiting = armed(as_user, process.pid, "listen")
        time.sleep(1.3)
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(timeout=20) == 130
        result = "0 0" if mode == "epoll-timed" else "-1 11"
        assert process.communicate(timeout=20)[0] == f"{result} 2\non time\n"


def test_a_process_that_ends_first_is_told(as_user):
    with target(as_user([built("attach_targets.c"), "read"])) as process:
        waiting = armed(as_user, process.pid, "listen")
        process.communicate("x", timeout=20)
        assert waiting.wait(timeout=20) == 1
        assert "ended before it made a call of listen" in waiting.communicate()[1]


def test_main_of_a_running_program_is_past(as_user):
    with target(as_user([built("attach_targets.c"), "read"])) as process:
        done = attach(as_user, process.pid, *NO_MKDIR, options=["--when", "main"])
        assert (done.returncode, "run --then POLICY --when main" in done.stderr) == (1, True)


def test_nginx_starts_wide_and_serves_narrow(as_user):
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o777)
        command = nginx(folder, port)
        # Both files and sockets are open by then; workers are started after it, and log in.
        narrow = folder / "service.policy"
        narrow.write_text("default: allow\nexecve, execveat, ptrace, bind: 0 else errno(EACCES)\n")
        words = ["run", "--then", str(narrow), "--when", "listen", "--", *command]
        server = subprocess.Popen(as_user([sys.executable, "-m", "sysgate", *words]))
        try:
            wait_for_port(port)
            for _ in range(20):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                    assert answer.read() == b"here\n"
            master = next(pid for pid in children(server.pid) if b"nginx" in Path(f"/proc/{pid}/comm").read_bytes())
            for pid in (master, *children(master)):
                assert "Seccomp_filters:\t2" in state(pid)[0]
                assert "TracerPid:\t0" in state(pid)[0]
        finally:
            server.terminate()
            assert server.wait(timeout=20) == 0
