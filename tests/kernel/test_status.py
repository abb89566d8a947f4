"""`status` and `ps`: right about running processes, and honest about what they cannot know."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attaching import built, target
from confined import AsUser, interpreter

import sysgate
from sysgate.facts import calls
from sysgate.kernel import procfs
from sysgate.life import registry
from sysgate.life.status import Reporter

POLICY = "default: allow\ngetpgid: 0 else errno(EACCES)\n"
ROOT = os.geteuid() == 0


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(sysgate.__file__).resolve().parent.parent))
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    runtime.chmod(0o777)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))


def tool(*words: str) -> list[str]:
    return [interpreter(), "-m", "sysgate", *words]


def child_of(pid: int, name: str) -> int:
    """The pid of a process's descendant of that name, as soon as there is one."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for each in procfs.processes():
            status = procfs.status(each)
            if status is not None and status.name == name.encode():
                parent: int = status.parent
                while parent > 1 and parent != pid:
                    above = procfs.status(parent)
                    parent = above.parent if above else 0
                if parent == pid:
                    return each
        time.sleep(0.02)
    raise AssertionError(f"no {name} below {pid}")


@pytest.fixture(params=["explained", "native", "in place"])
def running(request: pytest.FixtureRequest, as_user: AsUser) -> Iterator[tuple[int, AsUser]]:
    """A program behind POLICY, by the command line; its pid, and how to become the user it belongs to."""
    rules = [word for line in POLICY.splitlines() for word in ("-e", line)]
    options = {"explained": ["run"], "native": ["run", "--no-explain"], "in place": ["exec"]}[request.param]
    with subprocess.Popen(as_user(tool(*options, *rules, "--", "sleep", "30"))) as process:
        try:
            if request.param == "in place":
                while procfs.comm(process.pid) != b"sleep":
                    time.sleep(0.02)
                yield process.pid, as_user
            else:
                pid = child_of(process.pid, "sleep")
                wait_for_note(pid)  # made of what lasts longer than a moment
                yield pid, as_user
        finally:
            procs = [pid for pid in procfs.processes() if (s := procfs.status(pid)) and s.parent == process.pid]
            for pid in [*procs, process.pid]:
                os.kill(pid, 9)


def wait_for_note(pid: int) -> None:
    folder = Path(os.environ["XDG_RUNTIME_DIR"], "sysgate")
    for _ in range(500):
        if [*folder.glob(f"{pid}.*")]:
            return
        time.sleep(0.02)
    raise AssertionError("no note was made")


def asked(command: list[str]) -> dict[str, object]:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_run_of_ours_is_reported_with_its_exact_policy(
    running: tuple[int, AsUser], request: pytest.FixtureRequest
) -> None:
    pid, as_user = running
    state = asked(as_user(tool("status", str(pid), "--json")))
    assert (state["mode"], state["filters"], state["comm"]) == ("filter", 1, "sleep")
    in_place = "in place" in request.node.name
    root = ROOT and as_user([]) == []
    if in_place and not root:
        assert (state["source"], state["policy"]) == ("kernel", None)  # nobody stays behind who could note it
        return
    assert sysgate.Policy.parse(str(state["policy"])).compile("x86_64") is not None
    if in_place:
        assert state["source"] == "recovered"
    else:
        assert state["policy"] == str(sysgate.Policy.parse(POLICY))
        assert state["source"] == "registered"
        assert state["verified"] is root
    assert state["no_new_privs"] is not root


def test_root_recovers_what_it_has_no_note_of(running: tuple[int, AsUser], monkeypatch: pytest.MonkeyPatch) -> None:
    if not ROOT:
        pytest.skip("not run as root")
    monkeypatch.setattr(registry, "_places", lambda uid: ())
    state = sysgate.status(running[0])
    assert (state.source, state.verified) == ("recovered", False)
    assert state.policy is not None
    # of an explained errno the kernel knows only that the supervisor is asked
    assert state.policy.decide("getpgid", arch="x86_64").action in ("errno", "notify")
    for name in calls.table("x86_64"):
        if name != "getpgid":
            assert state.policy.decide(name, arch="x86_64").action == "allow"


def test_ps_lists_it_with_what_started_it(running: tuple[int, AsUser], request: pytest.FixtureRequest) -> None:
    pid, as_user = running
    done = subprocess.run(as_user(tool("ps", "--json")), capture_output=True, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    (row,) = [row for row in rows if row["pid"] == pid]
    if "in place" not in request.node.name:
        assert row["starter"] == "sysgate run"
        assert row["allowed"] == len(calls.table("x86_64")) - 1
    assert [each["pid"] for each in rows] == sorted(each["pid"] for each in rows)
    table = subprocess.run(as_user(tool("ps")), capture_output=True, text=True).stdout
    assert any(line.split()[0] == str(pid) and line.endswith("sleep") for line in table.splitlines()[1:])


def test_descendants_are_known_by_their_ancestors(as_user: AsUser) -> None:
    rules = [word for line in POLICY.splitlines() for word in ("-e", line)]
    command = as_user(tool("run", *rules, "--", "sh", "-c", "sh -c 'sleep 30; true'; true"))
    with subprocess.Popen(command) as process:
        pid = child_of(process.pid, "sleep")
        time.sleep(0.3)
        try:
            state = asked(as_user(tool("status", str(pid), "--json")))
            assert (state["source"], state["policy"]) == ("registered", str(sysgate.Policy.parse(POLICY)))
        finally:
            os.kill(pid, 9)


def note_of(pid: int) -> Path:
    for folder in Path(os.environ["XDG_RUNTIME_DIR"]).glob("sysgate"):
        for note in folder.glob(f"{pid}.*"):
            return note
    raise AssertionError("no note")


def test_a_forged_note_is_found_out_by_root_and_unverified_for_others(as_user: AsUser) -> None:
    rules = [word for line in POLICY.splitlines() for word in ("-e", line)]
    with subprocess.Popen(as_user(tool("run", *rules, "--", "sleep", "30"))) as process:
        pid = child_of(process.pid, "sleep")
        time.sleep(0.4)
        try:
            if not ROOT:
                pytest.skip("not run as root")
            note = note_of(pid)
            note.write_text(note.read_text().replace("getpgid: 0 else errno(EACCES)", "@known: 0"))
            state = asked(as_user(tool("status", str(pid), "--json")))
            if as_user([]) == []:
                assert state["source"] == "recovered"
                assert "is not what the kernel has" in str(state["notes"])
                assert "@known: 0" not in str(state["policy"])
            else:
                assert (state["source"], state["verified"]) == ("registered", False)
        finally:
            os.kill(pid, 9)


def test_a_process_without_filters_is_reported_as_such() -> None:
    state = sysgate.status(os.getpid())
    assert (state.mode, state.filters, state.policy, state.source) == ("off", 0, None, "kernel")


@pytest.mark.parametrize("pid", [2**22 + 1, -1, 0])
def test_a_process_that_is_not_there_is_an_error(pid: int) -> None:
    with pytest.raises(sysgate.KernelError) as caught:
        sysgate.status(pid)
    assert caught.value.errno == 3


def test_a_process_that_ended_is_an_error_even_before_it_was_waited_for() -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(sysgate.KernelError):
        sysgate.status(process.pid)
    process.wait()


FOREIGN = """
import ctypes, os, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def load(*insns):
    raw = b"".join(struct.pack("HBBI", *insn) for insn in insns)
    buffer = ctypes.create_string_buffer(raw)
    program = ctypes.create_string_buffer(struct.pack("H6xQ", len(insns), ctypes.addressof(buffer)))
    libc.prctl(38, 1, 0, 0, 0)
    assert libc.syscall(317, 1, 0, program) == 0
def deny(nr): load((0x20, 0, 0, 4), (0x15, 0, 3, 0xC000003E), (0x20, 0, 0, 0), (0x15, 0, 1, nr), (6, 0, 0, 0x50001),
                   (6, 0, 0, 0x7FFF0000))
"""


@pytest.fixture
def foreign() -> Iterator[list[subprocess.Popen[str]]]:
    made: list[subprocess.Popen[str]] = []
    yield made
    for process in made:
        process.kill()
        process.communicate()


def start_foreign(made: list[subprocess.Popen[str]], code: str) -> int:
    process = subprocess.Popen([sys.executable, "-c", FOREIGN + code], stdout=subprocess.PIPE, text=True)
    made.append(process)
    assert process.stdout is not None
    process.stdout.readline()
    return process.pid


def test_a_foreign_stack_of_filters_is_recovered_as_one_policy(foreign: list[subprocess.Popen[str]]) -> None:
    pid = start_foreign(foreign, "for nr in range(100, 120): deny(nr)\nprint(); sys.stdout.flush(); time.sleep(30)")
    state = sysgate.status(pid)
    assert (state.mode, state.filters, state.no_new_privs) == ("filter", 20, True)
    if not ROOT:
        assert (state.source, state.policy) == ("kernel", None)
        return
    assert state.source == "recovered"
    assert state.policy is not None
    for nr in range(95, 125):
        wanted = ("errno", 1) if 100 <= nr < 120 else ("allow", 0)
        decision = state.policy.decide(nr, arch="x86_64")
        assert (decision.action, decision.data) == wanted, nr


def test_threads_that_stand_otherwise_are_named(foreign: list[subprocess.Popen[str]]) -> None:
    code = """
def other():
    deny(100); print(threading.get_native_id(), flush=True); time.sleep(30)
threading.Thread(target=other).start(); time.sleep(30)
"""
    pid = start_foreign(foreign, code)
    state = sysgate.status(pid)
    assert state.mode == "off"
    assert [(each.mode, each.filters) for each in state.threads] == [("filter", 1)]


def test_looking_leaves_a_process_as_it_was(foreign: list[subprocess.Popen[str]]) -> None:
    code = """
deny(100); print(flush=True)
began = time.monotonic()
for _ in range(20): time.sleep(0.05)
print("slept", time.monotonic() - began >= 1.0)
"""
    pid = start_foreign(foreign, code)
    reporter = Reporter()
    try:
        for _ in range(100):
            reporter.of(pid)
    except sysgate.KernelError:
        pass  # it has ended
    assert foreign[0].stdout is not None
    assert foreign[0].stdout.readline() == "slept True\n"


def test_who_may_not_see_the_filters_does_not_stop_anybody_to_ask(running: tuple[int, AsUser]) -> None:
    pid, as_user = running

    def switches() -> int:
        said = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return int(said["voluntary_ctxt_switches"])

    time.sleep(0.2)  # until it sleeps
    before = switches()
    subprocess.run(as_user(tool("status", str(pid))), check=True, capture_output=True)
    assert (switches() == before) is not (ROOT and as_user([]) == [])


@pytest.mark.parametrize("mode", ["epoll-timed", "sigwait-timed"])
def test_looking_does_not_end_a_wait(mode: str) -> None:
    with target([built("attach_targets.c"), mode]) as process:
        time.sleep(2.6)
        sysgate.attach(process.pid, sysgate.Policy.parse("default: allow"))
        for _ in range(3):
            assert sysgate.status(process.pid).filters == 1
        result = "0 0" if mode == "epoll-timed" else "-1 11"
        assert process.communicate(timeout=20)[0] == f"{result} 2\non time\n"


def test_the_words_of_2011(running: tuple[int, AsUser], request: pytest.FixtureRequest) -> None:
    pid, as_user = running
    if "in place" in request.node.name and not (ROOT and as_user([]) == []):
        return  # only root can know its policy
    text = subprocess.run(as_user(tool("status", str(pid), "--format", "proc")), capture_output=True, text=True).stdout
    assert text.startswith("0 (sys_read): 1\n1 (sys_write): 1\n")
    assert "getpgid" not in text
    text = subprocess.run(
        as_user(tool("status", str(pid), "--format", "proc-b")), capture_output=True, text=True
    ).stdout
    assert text.startswith("Filtering: 1\nFilterCount: 384\nSystemCall: 0 (sys_read)\nFilter: 1\n")


def test_a_note_of_another_user_about_a_process_of_ours_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not ROOT:
        pytest.skip("not run as root")
    folder = tmp_path / "theirs"
    monkeypatch.setattr(registry, "_places", lambda uid: (str(folder),) if uid == 65534 else ())
    folder.mkdir(mode=0o700)
    started = procfs.start_time(os.getpid())
    assert started is not None
    entry = registry.Entry(
        os.getpid(), started, 0, os.readlink("/proc/self/ns/pid"), "native", "x", "sysgate", "y", POLICY
    )
    note = folder / f"{os.getpid()}.{started}.0"
    note.write_bytes(registry._written(entry))
    for path in (folder, note):
        os.chown(path, 65534, 65534)
    assert registry.entries(65534) == ()
    assert registry.entries(0) == ()


def test_a_process_that_proc_hides_is_not_there_for_whoever_asks() -> None:
    if not ROOT:
        pytest.skip("not run as root")
    command = " ".join(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *tool('"$0"', '"$@"')])
    script = f"mount -t proc -o hidepid=invisible proc /proc && {command}"
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            pid = str(process.pid)
            for words in (("status", pid), ("attach", pid, "-e", "default: allow")):
                done = subprocess.run(
                    ["unshare", "--mount", "sh", "-c", script, *words], capture_output=True, text=True
                )
                assert (done.returncode, done.stdout) == (1, "")
                assert f"there is no process {pid}" in done.stderr
            listed = subprocess.run(["unshare", "--mount", "sh", "-c", script, "ps"], capture_output=True, text=True)
            assert (listed.returncode, listed.stderr) == (0, "")
        finally:
            process.kill()
