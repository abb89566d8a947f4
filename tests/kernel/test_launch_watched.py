"""Who explains: the listener, on lesser kernels a tracer, else nobody; never at the price of confinement."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import sysgate
from sysgate.kernel import process
from sysgate.kernel.abilities import Abilities, probe
from sysgate.launch import prepared
from sysgate.launch.process import run
from sysgate.value import replace

REFUSING = sysgate.Policy.parse("default: allow\nmkdir, mkdirat: 0 else errno(ENOSR)\nrmdir: 0 else kill\n")
MKDIR = ["mkdir", "/nonexistent/x"]
RMDIR = ["rmdir", "/nonexistent/x"]


@pytest.fixture(scope="module")
def full() -> Abilities:
    return probe()


def test_a_listener_explains_both_errno_and_kill() -> None:
    done = run(MKDIR, REFUSING, capture_output=True, text=True)
    assert (done.returncode, done.confined, [denial.action for denial in done.denials]) == (1, True, ["errno"])
    done = run(RMDIR, REFUSING)
    assert (done.returncode, done.confined, [denial.action for denial in done.denials]) == (-31, True, ["kill_process"])


def test_before_linux_5_19_calls_are_taken_away_by_signals_and_still_explained(full: Abilities) -> None:
    done = run(RMDIR, REFUSING, abilities=replace(full, wait_killable=False))
    assert (done.returncode, [denial.count for denial in done.denials]) == (-31, [1])


def test_flags_that_the_kernel_does_not_know_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from sysgate.launch import watched

    monkeypatch.setattr(watched, "WAIT_KILLABLE_RECV", 1 << 14)  # EINVAL, as the real one before 5.19
    done = run(RMDIR, REFUSING)
    assert (done.returncode, len(done.denials)) == (-31, 1)


def test_without_a_listener_a_tracer_sees_kills(full: Abilities) -> None:
    done = run(RMDIR, REFUSING, abilities=replace(full, notify=False))
    assert (done.returncode, done.confined, [denial.call.name for denial in done.denials]) == (-31, True, ["rmdir"])


def test_without_a_listener_and_tracing_nothing_is_explained_and_all_is_enforced(full: Abilities) -> None:
    lesser = replace(full, notify=False, ptrace=False)
    for argv, code in ((MKDIR, 1), (RMDIR, -31)):
        done = run(argv, REFUSING, abilities=lesser, stderr=subprocess.DEVNULL)
        assert (done.returncode, done.confined, done.denials) == (code, True, ())


def test_where_tracing_turns_out_to_be_refused_all_is_enforced() -> None:
    code = """
import sysgate
from sysgate.launch.process import run
sysgate.Policy.parse("default: allow\\nptrace: 0 else errno(EPERM)").install()
from sysgate.launch import watched, prepared, plan, search
import os
ready = prepared.prepare(sysgate.Policy.parse("default: allow\\nrmdir: 0"))
from sysgate.kernel.abilities import probe
from sysgate.value import replace
lesser = replace(probe(), notify=False, ptrace=True)
done = run(["rmdir", "/nonexistent/x"], ready, abilities=lesser)
print(done.returncode, done.confined, done.denials)
begun = watched.begin(plan.Plan((b"true",), search.candidates(b"true")), ready, prepared.EXPLAINED, abilities=lesser)
print(os.waitpid(begun.child.pid, 0)[1], begun.note)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "-31 True ()",
        "0 refusals are enforced but not explained: there is no listener to be had here, and no tracing",
    ], done.stderr


def test_a_run_within_a_run_is_confined_by_both_and_the_inner_one_explains_by_tracing() -> None:
    code = """
import sysgate
from sysgate.launch.process import run
done = run(["rmdir", "/nonexistent/x"], sysgate.Policy.parse("default: allow\\nrmdir: 0"))
print(done.returncode, [denial.call.name for denial in done.denials])
done = run(["mkdir", "/nonexistent/x"], sysgate.Policy.parse("default: allow\\nrmdir: 0"), capture_output=True)
print(done.returncode, done.denials)
"""
    # -B: bytecode would be written, and its folders made.
    done = run([sys.executable, "-B", "-c", code], REFUSING, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["-31 ['rmdir']", "1 ()"], done.stderr
    assert [denial.call.name for denial in done.denials] == ["mkdir"]


def test_a_filter_that_proc_does_not_show_is_an_error_and_the_program_is_ended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(process, "standing", lambda task: process.Standing(True, 0))
    late = tmp_path / "late"
    for explain in (False, True):
        with pytest.raises(sysgate.KernelError, match="does not show the filter"):
            run(["sh", "-c", f"sleep 0.3; touch {late}"], REFUSING, explain=explain)
    time.sleep(0.5)
    assert not late.exists()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_without_proc_nothing_is_run_unconfirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "standing", lambda task: None)
    with pytest.raises(sysgate.KernelError):
        run(["true"], REFUSING)


@pytest.mark.parametrize(
    "refused",
    [
        "seccomp",
        pytest.param(
            "prctl", marks=pytest.mark.skipif(os.geteuid() != 0, reason="not run as root: no_new_privs is set")
        ),
    ],
)
def test_a_launch_that_is_refused_seccomp_or_no_new_privs_runs_nothing(refused: str) -> None:
    code = f"""
import os, sysgate
from sysgate.launch.process import run
run(["true"], sysgate.Policy.parse("default: allow"))
sysgate.Policy.parse("default: allow\\n{refused}: 0 else errno(EPERM)").install()
if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)
for explain in (False, True):
    try: print(run(["echo", "ran"], sysgate.Policy.parse("default: allow"), explain=explain))
    except sysgate.KernelError as error: print(error.errno)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["1", "1"], done.stdout + done.stderr


def test_a_child_that_an_outer_filter_kills_in_the_middle_is_told_of() -> None:
    code = """
import sysgate
from sysgate.launch.process import run
run(["true"], sysgate.Policy.parse("default: allow"))
sysgate.Policy.parse("default: allow\\nexecve: 0 else errno(EPERM)\\nseccomp: 0 else kill").install()
try: run(["echo", "ran"], sysgate.Policy.parse("default: allow"), explain=False)
except sysgate.KernelError as error: print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ended before it could start" in done.stdout, done.stderr


def test_an_inner_execve_that_the_outer_policy_refuses_is_the_outer_ones_denial() -> None:
    code = """
import sysgate
from sysgate.launch.process import run
try: run(["true"], sysgate.Policy.parse("default: allow"))
except PermissionError as error: print(error.filename)
"""
    outer = sysgate.Policy.parse("default: allow\nexecve: 0 else errno(EACCES)\n")
    done = run([sys.executable, "-c", code], outer, capture_output=True, text=True)
    assert done.stdout == "true\n", done.stderr
    assert {denial.call.name for denial in done.denials} == {"execve"}


def test_runs_in_many_threads_do_not_disturb_each_other_and_leave_nothing() -> None:
    fds = set(os.listdir("/proc/self/fd"))

    def work(number: int) -> list[tuple[int, int]]:
        seen = []
        for turn in range(6):
            stdout = subprocess.PIPE if turn % 2 else None
            argv = ["sh", "-c", f"mkdir /nonexistent/x; exit {number}"]
            done = run(argv, REFUSING, explain=turn < 4, stdout=stdout, stderr=subprocess.DEVNULL)
            seen.append((done.returncode, len(done.denials)))
        return seen

    with ThreadPoolExecutor(8) as pool:
        for number, seen in enumerate(pool.map(work, range(12))):
            assert seen == [(number, 1)] * 4 + [(number, 0)] * 2
    assert set(os.listdir("/proc/self/fd")) == fds
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_nothing_is_left_open_after_failures() -> None:
    run(["true"], REFUSING)
    fds = set(os.listdir("/proc/self/fd"))
    for explain in (False, True):
        for argv in (["/nonexistent"], ["/etc/passwd"]):
            with pytest.raises(OSError, match=r"such file|denied"):
                run(argv, REFUSING, explain=explain, capture_output=True)
        with pytest.raises(subprocess.TimeoutExpired):
            run(["sleep", "9"], REFUSING, explain=explain, timeout=0.05)
    assert set(os.listdir("/proc/self/fd")) == fds


def test_forked_workers_do_not_get_into_each_others_launches() -> None:
    # What the stub reads lies in shared pages, kept from launch to launch: a fork must not go on sharing them.
    code = """
import os, sysgate
from sysgate.launch.process import run
policy = sysgate.Policy.parse("default: allow")
echo = lambda word: run(["echo", word], policy, explain=False, capture_output=True, text=True).stdout
echo("first")
workers = []
for word in ("aaaa", "bbbb", "cccc"):
    pid = os.fork()
    if pid == 0:
        os._exit(0 if all(echo(word) == word + "\\n" for _ in range(40)) else 1)
    workers.append(pid)
print([os.waitpid(pid, 0)[1] for pid in workers])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[0, 0, 0]\n", "")


def test_a_fork_while_another_thread_starts_a_program_can_start_one_itself() -> None:
    code = """
import os, signal, sysgate
from sysgate.launch.process import run
from sysgate.supervise import shield
policy = sysgate.Policy.parse("default: allow")
shield._lock.acquire()  # as that thread would hold it
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    os._exit(run(["true"], policy).returncode)
print(os.waitpid(pid, 0)[1])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.parametrize("explain", [False, True])
def test_the_same_launch_again_is_a_new_one(tmp_path: Path, explain: bool) -> None:
    policy = sysgate.Policy.parse("default: allow\nrmdir: 0 else errno(ENOTTY)\n")
    program = tmp_path / "program"
    for text, expected in (("#!/bin/sh\necho one; rmdir /x", "one"), ("#!/bin/sh\necho two; rmdir /x", "two")):
        with pytest.raises(FileNotFoundError):
            run([program], policy, explain=explain)
        program.write_text(text)
        program.chmod(0o700)
        for _ in range(2):
            os.environ["SAID"] = expected
            done = run([program], policy, explain=explain, capture_output=True, text=True)
            assert done.stdout == f"{expected}\n"
            assert [denial.call.name for denial in done.denials] == ["rmdir"] * explain
        done = run(["sh", "-c", "echo $SAID"], policy, explain=explain, capture_output=True, text=True)
        assert done.stdout == f"{expected}\n"
        program.unlink()


def test_a_forked_child_can_run_too() -> None:
    run(["true"], REFUSING)
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if run(["sh", "-c", "exit 5"], REFUSING).returncode == 5 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_where_sysgate_does_not_launch_yet_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from sysgate.facts import arches

    monkeypatch.setattr(arches, "native", lambda: arches.arch("aarch64"))
    policy = sysgate.Policy.parse("default: allow")
    with pytest.raises(sysgate.KernelError, match="does not launch programs on aarch64 yet"):
        run(["true"], policy)
    assert policy.compile(arch="aarch64").decide("openat", (), arch="aarch64").action == "allow"


def test_the_loaded_program_is_the_policy_with_notifications_for_refusals_and_a_ticket() -> None:
    from sysgate.bpf import machine, program

    ready = prepared.prepare(REFUSING)
    native = program.from_bytes(ready.loadable(prepared.NATIVE).filter, False)
    explained = program.from_bytes(ready.loadable(prepared.EXPLAINED).filter, False)
    audit = 0xC000003E
    answers = {
        "mkdir": (83, 0x0005_0000 | 63, 0x7FC0_0000),
        "rmdir": (84, 0x8000_0000, 0x7FC0_0000),
        "getpid": (39, 0x7FFF_0000, 0x7FFF_0000),
    }
    for number, plain, asked in answers.values():
        assert machine.run(native, audit, number, (0,) * 6, 0)[0] == plain
        assert machine.run(explained, audit, number, (0,) * 6, 0)[0] & 0xFFFF_0000 == asked
