"""Attaching to real processes: what they do goes on as if nothing had been, and from then on they are confined."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest
from attaching import BOTH_ABIS, NO_MKDIR, attach, built, children, free_port, nginx, state, target, wait_for_port

EINTR, EAGAIN, EACCES, ETIMEDOUT = 4, 11, 13, 110


# mode, what wakes it (b"" nothing: it ends by itself; a signal), what the wait returns and its errno
WAITS = [
    ("nanosleep", "", 0, 0),
    ("poll", "", 0, 0),
    ("select", "x", 1, 0),
    ("epoll", "x", 1, 0),
    ("read", "x", 1, 0),
    ("futex", "", -1, ETIMEDOUT),
    ("sigwait", signal.SIGUSR1, int(signal.SIGUSR1), 0),
    ("semaphore", "x", 0, 0),
    ("handled", signal.SIGUSR1, -1, EINTR),  # not the stop, but a handler ends it
    ("busy", "x", 0, 0),
    ("leader", "x", 1, 0),  # the process's first thread has exited
]


@pytest.mark.parametrize(("mode", "wakes", "result", "error"), WAITS)
def test_an_interrupted_call_goes_on_and_the_policy_holds(as_user, mode, wakes, result, error):
    with target(as_user([built("attach_targets.c"), mode])) as process:
        done = attach(as_user, process.pid, *NO_MKDIR)
        assert done.returncode == 0, done.stderr
        assert woken(process, wakes) == f"{result} {error} {EACCES}\n"


# mode, what the wait returns and its errno. Each would end with EINTR after a SIGSTOP and SIGCONT.
TIMED = [
    ("epoll-timed", 0, 0),
    ("epoll-twice", 0, 0),
    ("epoll-timespec", 0, 0),
    ("sigwait-timed", -1, EAGAIN),
    ("semaphore-timed", -1, EAGAIN),
    ("receive", -1, EAGAIN),
]


ATTACHES = """
import sys, sysgate
policy = sysgate.Policy.parse(sys.argv[1])
for _ in range(3):
    for pid in sys.argv[2:]:
        sysgate.attach(int(pid), policy)
"""


@pytest.mark.parametrize("flags", [(), ("-m32",)], ids=["x86_64", "i386"])
def test_a_timed_wait_goes_on_for_the_time_that_was_left(as_user, flags):
    policy = "\n".join(BOTH_ABIS if flags else NO_MKDIR)
    with ExitStack() as stack:
        program = built("attach_targets.c", *flags)
        waiting = {mode: stack.enter_context(target(as_user([program, mode]))) for mode, _, _ in TIMED}
        time.sleep(2.6)
        pids = [str(process.pid) for process in waiting.values()]
        subprocess.run(as_user([sys.executable, "-c", ATTACHES, policy, *pids]), check=True, timeout=30)
        said = {mode: process.communicate(timeout=20)[0] for mode, process in waiting.items()}
    assert said == {mode: f"{result} {error} {EACCES}\non time\n" for mode, result, error in TIMED}


def woken(process: subprocess.Popen[str], wakes: str | int) -> str:
    if isinstance(wakes, int):
        process.send_signal(wakes)
        wakes = ""
    return process.communicate(wakes or None, timeout=20)[0]


@pytest.mark.parametrize(("mode", "wakes", "result", "error"), [row for row in WAITS if row[0] != "leader"])
def test_a_32_bit_process_is_attached_to_like_any_other(as_user, mode, wakes, result, error):
    with target(as_user([built("attach_targets.c", "-m32"), mode])) as process:
        done = attach(as_user, process.pid, *BOTH_ABIS)
        assert done.returncode == 0, done.stderr
        assert woken(process, wakes) == f"{result} {error} {EACCES}\n"


def test_a_stopped_process_stays_stopped_until_it_is_continued(as_user):
    with target(as_user([built("attach_targets.c"), "read"])) as process:
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        assert attach(as_user, process.pid, *NO_MKDIR).returncode == 0
        time.sleep(0.05)
        assert "State:\tT (stopped)" in state(process.pid)[0]
        process.send_signal(signal.SIGCONT)
        assert woken(process, "x") == f"1 0 {EACCES}\n"


THREADS = """
import os, sys, threading
def waits(): threading.Event().wait()
def works():
    while True: sum(range(1000))
for work in (waits, waits, works):
    threading.Thread(target=work, daemon=True).start()
print("ready", flush=True)
sys.stdin.readline()
def tries():
    try: os.mkdir("/nonexistent/folder")
    except OSError as error: print(error.errno, flush=True)
for work in (tries, tries):
    thread = threading.Thread(target=work); thread.start(); thread.join()
print(sum("Seccomp:\\t2" not in open(f"/proc/self/task/{tid}/status").read() for tid in os.listdir("/proc/self/task")))
os._exit(0)
"""


def test_all_threads_of_a_busy_python_are_brought_along(as_user):
    with target(as_user([sys.executable, "-c", THREADS])) as process:
        done = attach(as_user, process.pid, *NO_MKDIR, options=["--json"])
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["threads"] == 4
        assert process.communicate("\n", timeout=20)[0].split() == [str(EACCES), str(EACCES), "0"]


def test_a_signal_that_comes_meanwhile_is_not_lost():
    code = """
import signal, sys
seen = 0
def count(*_):
    global seen
    seen += 1
signal.signal(signal.SIGUSR1, count)
print("ready", flush=True)
sys.stdin.readline()
print(seen)
"""
    with target([sys.executable, "-c", code]) as process:
        sent = 0
        from sysgate import Policy
        from sysgate.life.attach import attach as narrow

        policy = Policy.parse("\n".join(NO_MKDIR))
        for _ in range(20):
            sender = threading.Timer(0.0005, os.kill, (process.pid, signal.SIGUSR1))
            sender.start()
            narrow(process.pid, policy)
            sender.join()
            sent += 1
            time.sleep(0.005)  # a second one would merge with one still pending
        assert process.communicate("\n", timeout=20)[0] == f"{sent}\n"


def test_attaching_again_narrows_further():
    with target([built("attach_targets.c"), "read"]) as process:
        assert attach(list, process.pid, *NO_MKDIR).returncode == 0
        if os.geteuid() == 0:
            assert attach(list, process.pid, "default: allow", "rmdir: 0 else errno(EROFS)").returncode == 0
            assert "Seccomp_filters:\t2" in state(process.pid)[0]
        assert woken(process, "x") == f"1 0 {EACCES}\n"


def test_a_user_narrows_further_what_the_registry_knows(as_user):
    with target(as_user([built("attach_targets.c"), "read"])) as process:
        for count in (1, 2):
            done = attach(as_user, process.pid, *NO_MKDIR)
            assert done.returncode == 0, done.stderr
            assert f"Seccomp_filters:\t{count}" in state(process.pid)[0]


def test_cycles_of_attaching_leave_every_target_healthy(as_user):
    for _ in range(10):
        with target(as_user([built("attach_targets.c"), "read"])) as process:
            assert attach(as_user, process.pid, *NO_MKDIR).returncode == 0
            assert woken(process, "x") == f"1 0 {EACCES}\n"


# mode, rules, what is said
REFUSED = [
    ("vfork", NO_MKDIR, "vfork"),
    ("own-filter", NO_MKDIR, "different filters"),
    ("strict", NO_MKDIR, "strict mode"),
    ("kills-seccomp", NO_MKDIR, "filter"),
    ("nanosleep", ("default: kill", "nanosleep, write, mkdir, exit_group: 1"), "restart_syscall"),
    ("read", ("default: allow", "mkdir: { mode == 1 -> notify; else allow }"), "needs somebody who answers"),
]


@pytest.mark.parametrize(("mode", "rules", "said"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_cannot_be_attached_to_is_refused_in_words_and_as_it_was(as_user, mode, rules, said):
    with target(as_user([built("attach_targets.c"), mode])) as process:
        before = state(process.pid)
        done = attach(as_user, process.pid, *rules)
        assert done.returncode == 1
        assert said in done.stderr
        time.sleep(0.02)
        assert state(process.pid) == before


def test_a_32_bit_process_needs_a_policy_for_it(as_user):
    with target(as_user([built("attach_targets.c", "-m32"), "read"])) as process:
        before = state(process.pid)
        done = attach(as_user, process.pid, *NO_MKDIR)
        assert (done.returncode, "[i386]" in done.stderr) == (1, True)
        assert state(process.pid) == before


TRACING = """
import sys
from sysgate.kernel import ptrace
ptrace.seize(int(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_traced_process_is_left_to_its_tracer(as_user):
    with target(as_user([built("attach_targets.c"), "read"])) as process:
        with target(as_user([sys.executable, "-c", TRACING, str(process.pid)])) as tracer:
            before = state(process.pid)
            done = attach(as_user, process.pid, *NO_MKDIR)
            assert done.returncode == 1
            assert f"traced already, by process {tracer.pid}" in done.stderr
            assert state(process.pid) == before
        assert woken(process, "x") == "1 0 2\n"


def test_a_filtered_process_that_allows_seccomp_is_attached_to_by_root_alone(as_user, request):
    with target(as_user([built("attach_targets.c"), "filtered"])) as process:
        done = attach(as_user, process.pid, *NO_MKDIR)
        if request.node.callspec.params["as_user"] == "root":
            assert done.returncode == 0, done.stderr
        else:
            assert "only root" in done.stderr
        assert woken(process, "x") == f"1 0 {EACCES if done.returncode == 0 else 2}\n"


@pytest.mark.parametrize(("mode", "result"), [("filtered-epoll-timed", "0 0"), ("filtered-sigwait-timed", "-1 11")])
def test_a_refusal_that_takes_a_stop_does_not_end_a_wait(as_user, request, mode, result):
    root = request.node.callspec.params["as_user"] == "root"
    with target(as_user([built("attach_targets.c"), mode])) as process:
        time.sleep(2.6)
        done = attach(as_user, process.pid, *NO_MKDIR)
        assert (done.returncode, "only root" in done.stderr) == ((0, False) if root else (1, True))
        assert process.communicate(timeout=20)[0] == f"{result} {EACCES if root else 2}\non time\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="takes two users")
def test_another_users_process_is_refused():
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    with target([built("attach_targets.c"), "read"]) as process:
        before = state(process.pid)
        done = attach(lambda command: [*user, *command], process.pid, *NO_MKDIR)
        assert (done.returncode, "only root may attach" in done.stderr) == (1, True)
        assert state(process.pid) == before


@pytest.mark.parametrize(
    ("pid", "said"),
    [(0, "there is no process 0"), (-1, "there is no process"), (1 << 22, "there is no process"), (2, "of the kernel")],
)
def test_what_is_no_process_is_said_so(pid, said):
    from sysgate import KernelError, Policy
    from sysgate.life.attach import attach as narrow

    if pid == 2 and not Path("/proc/2/comm").read_text().startswith("kthreadd"):
        pytest.skip("the kernel's threads are not to be seen here")
    with pytest.raises(KernelError, match=said):
        narrow(pid, Policy.parse("\n".join(NO_MKDIR)))


def test_a_zombie_a_thread_and_oneself_are_refused():
    from sysgate import KernelError, Policy
    from sysgate.life.attach import attach as narrow

    policy = Policy.parse("\n".join(NO_MKDIR))
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(KernelError, match="zombie"):
        narrow(zombie.pid, policy)
    zombie.wait()
    with pytest.raises(KernelError, match=r"Policy\.install"):
        narrow(os.getpid(), policy)
    with target([sys.executable, "-c", THREADS]) as process:
        tid = max(map(int, os.listdir(f"/proc/{process.pid}/task")))
        with pytest.raises(KernelError, match=f"thread of process {process.pid}"):
            narrow(tid, policy)


def test_nginx_under_load_loses_no_request(tmp_path):
    port = free_port()
    server = subprocess.Popen(nginx(tmp_path, port))
    answers: list[bytes] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                answers.append(answer.read())

    try:
        wait_for_port(port)
        clients = [threading.Thread(target=ask) for _ in range(4)]
        for client in clients:
            client.start()
        workers = children(server.pid)
        for pid in (server.pid, *workers):
            done = attach(list, pid, "default: allow", "execve, execveat, ptrace, mkdir: 0 else errno(EACCES)")
            assert done.returncode == 0, done.stderr
        time.sleep(0.1)
        over.set()
        for client in clients:
            client.join()
        assert len(answers) > 100
        assert set(answers) == {b"here\n"}
        assert server.poll() is None
        assert all("Seccomp:\t2" in thread for pid in (server.pid, *workers) for thread in state(pid))
    finally:
        over.set()
        server.terminate()
        server.wait()


def test_redis_under_load_loses_no_request(tmp_path):
    if shutil.which("redis-server") is None or shutil.which("redis-benchmark") is None:
        pytest.skip("there is no redis here")
    port = str(free_port())
    server = subprocess.Popen(
        ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for_port(int(port))
        load = subprocess.Popen(
            ["redis-benchmark", "-p", port, "-n", "40000", "-c", "10", "-t", "set,get", "-q"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(5):
            done = attach(list, server.pid, "default: allow", "execve, ptrace, mkdir: 0 else errno(EACCES)")
            assert done.returncode == 0, done.stderr
        said = load.communicate(timeout=60)[0]
        assert load.returncode == 0, said
        assert "rror" not in said
        assert server.poll() is None
        assert all("Seccomp_filters:\t5" in thread for thread in state(server.pid))
    finally:
        server.terminate()
        server.wait()
