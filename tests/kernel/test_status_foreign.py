"""`status` and `ps` on what others confined: Chromium, firejail, systemd, and a container of twenty programs.

Each is the real program from Debian. What status says is compared with the filters that the kernel holds, call by call.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from confined import interpreter

import sysgate
from sysgate.bpf import machine
from sysgate.facts import arches
from sysgate.kernel import procfs
from sysgate.life import kernel_filters

USER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
# With the first process of a pid namespace all others end, those too that went into a session of their own. (firejail,
# which makes one itself, does not see the kernel's threads there, and takes itself for the program in its sandbox.)
APART = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
SOURCES = Path(sysgate.__file__).resolve().parent.parent
ANSWERS = {
    0x8000: "kill_process",
    0x0000: "kill_thread",
    0x0003: "trap",
    0x0005: "errno",
    0x7FC0: "notify",
    0x7FF0: "trace",
    0x7FFC: "log",
    0x7FFF: "allow",
}
NUMBERS = [*range(480), 0x3FFF_FFFF, 0x4000_0000, 0x4000_003B, 0x4000_0208, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF]


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("not run as root")
    monkeypatch.setenv("PYTHONPATH", str(SOURCES))


@contextmanager
def running(
    command: Sequence[str], wanted: Callable[[procfs.Status], bool], what: str, *, fds: Sequence[int] = ()
) -> Iterator[int]:
    """The pid of a filtered descendant of a command, as soon as there is one; all are ended afterwards."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=fds,
    )
    try:
        yield found(process, wanted, what)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(timeout=10 if what == "systemd" else 0.1)
        except subprocess.TimeoutExpired:
            for pid in (process.pid, *descendants(process.pid)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def found(process: subprocess.Popen[bytes], wanted: Callable[[procfs.Status], bool], what: str) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        for pid in procfs.processes():
            status = procfs.status(pid)
            if status is not None and status.filters > 0 and wanted(status) and descends(status, process.pid):
                return pid
        time.sleep(0.05)
    pytest.skip(f"{what} does not start here")


def descendants(pid: int) -> list[int]:
    return [each for each in procfs.processes() if descends(procfs.status(each), pid)]


def descends(status: procfs.Status | None, ancestor: int) -> bool:
    while status is not None and status.parent > 1:
        if status.parent == ancestor:
            return True
        status = procfs.status(status.parent)
    return False


def sleeps(status: procfs.Status) -> bool:
    return status.name == b"sleep"


def needs(program: str, package: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"there is no {package} here")
    return path


# ---- what is right


def answer(programs: Sequence[object], audit: int, nr: int, args: Sequence[int]) -> tuple[str, int]:
    """What the kernel answers: the lowest action as a signed number, of equals that of the program loaded last."""
    rets = [machine.run(program, audit, nr, args, 0)[0] for program in programs]  # type: ignore[arg-type]
    strictest = min(rets, key=lambda ret: (ret >> 16) - (0x10000 if ret >> 31 else 0))
    ret = [ret for ret in rets if ret >> 16 == strictest >> 16][-1]
    kind = ANSWERS.get(ret >> 16, "kill_process")
    data = min(ret & 0xFFFF, 4095) if kind == "errno" else ret & 0xFFFF
    return kind, data if kind in ("errno", "trap", "trace") else 0


def check(pid: int, filters: int | None = None) -> sysgate.ProcessState:
    """status is right about a process, as root: the policy is the kernel's filters, and people can read it."""
    state = sysgate.status(pid)
    programs = kernel_filters.programs(pid)
    assert (state.mode, state.source, state.verified, state.notes) == ("filter", "recovered", False, ())
    assert state.filters == len(programs) == (filters or len(programs))
    policy = state.policy
    assert policy is not None
    assert sysgate.Policy.parse(str(policy)) == policy
    constants = sorted({insn[3] for program in programs for insn in program.insns})
    chance = random.Random(pid)
    for arch in ("x86_64", "i386"):
        known = arches.arch(arch)
        assert known is not None
        if arch not in str(policy):
            continue
        for nr in NUMBERS:
            for _ in range(4):
                pool = (0, 1, 3, chance.choice(constants), chance.choice(constants) << 32, chance.getrandbits(64))
                args = tuple(chance.choice(pool) for _ in range(6))
                decision = policy.decide(nr, args, arch=arch)
                assert (decision.action, decision.data) == answer(programs, known.audit, nr, args), (arch, nr, args)
    return state


def typed(*words: str, user: bool = False) -> str:
    command = [*(USER if user else []), interpreter() if user else sys.executable, "-m", "sysgate", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_commands(state: sysgate.ProcessState, starter: str, *, own: bool) -> None:
    """The commands say the same, and an ordinary user learns what /proc tells, in ps of its own processes."""
    pid = str(state.pid)
    shown = typed("status", pid)
    assert f"filtered by {state.filters} program" in shown
    assert "recovered from the kernel's filters, and proved equal" in shown
    assert all(line == line.rstrip() for line in shown.splitlines())
    assert json.loads(typed("status", pid, "--json"))["policy"] == str(state.policy)
    passing = typed("status", pid, "--format", "proc").splitlines()
    assert "1 (sys_write): 1" in passing
    (row,) = [line.split() for line in typed("ps").splitlines() if line.split()[0] == pid]
    assert (row[2], row[3]) == (str(state.filters), str(len(passing)))
    assert row[5].startswith(starter)
    theirs = json.loads(typed("status", pid, "--json", user=True))
    assert (theirs["filters"], theirs["source"], theirs["policy"]) == (state.filters, "kernel", None)
    assert theirs["notes"] == ["only root sees the kernel's filters"]
    command = [*USER, interpreter(), "-m", "sysgate", "status", pid, "--format", "proc"]
    unknown = subprocess.run(command, capture_output=True, text=True)
    assert (unknown.returncode, unknown.stdout, "what is not known" in unknown.stderr) == (1, "", True)
    rows = [line.split() for line in typed("ps", user=True).splitlines()]
    assert [row[3] for row in rows if row[0] == pid] == (["?"] if own else [])


# ---- whose


def test_a_renderer_of_chromium() -> None:
    needs("chromium", "Chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o777)
        options = ["--headless=new", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder}/data"]
        command = [*APART, *USER, "env", f"HOME={folder}", f"TMPDIR={folder}", "chromium", *options, "about:blank"]

        def renders(status: procfs.Status) -> bool:
            return b"--type=renderer" in b" ".join(procfs.command(status.pid)).split()

        with running(command, renders, "Chromium") as pid:
            state = check(pid)
            assert state.policy is not None
            assert state.policy.decide("ptrace", arch="x86_64").action == "trap"
            check_commands(state, "chromium[", own=True)


def test_a_sandbox_of_firejail() -> None:
    needs("firejail", "firejail")
    with running(["firejail", "--quiet", "--noprofile", "--seccomp", "sleep", "1000"], sleeps, "firejail") as pid:
        state = check(pid)
        assert state.policy is not None
        assert "@module" in str(state.policy)
        assert state.policy.decide("ptrace", arch="x86_64").data == 1
        check_commands(state, "firejail[", own=False)


CONTAINER = (
    *("docker-default-x86_64-O2", "flatpak-run-devel", "firejail-default.1"),
    *(f"systemd-nspawn.{number}" for number in range(1, 6)),
    *(f"systemd-LockPersonality-000-true.{number}" for number in range(1, 4)),
    *(f"systemd-PrivateDevices-005-true.{number}" for number in range(1, 4)),
    *(f"systemd-ProtectClock-007-true.{number}" for number in range(1, 4)),
    *(f"systemd-RestrictNamespaces-041-true.{number}" for number in range(1, 4)),
)


def test_a_container_behind_twenty_programs(shared: Callable[[str], Path]) -> None:
    needs("bwrap", "bubblewrap")
    opened = [os.open(shared(f"conformance/programs/{name}.bpf"), os.O_RDONLY) for name in CONTAINER]
    options = [word for fd in opened for word in ("--add-seccomp-fd", str(fd))]
    try:
        with running(
            [*APART, "bwrap", "--bind", "/", "/", *options, "sleep", "1000"], sleeps, "bubblewrap", fds=opened
        ) as pid:
            state = check(pid, 20)
            assert state.policy is not None
            assert "@system-service" in str(state.policy)
            assert len(str(state.policy).splitlines()) < 30
            check_commands(state, "bwrap[", own=False)
    finally:
        for fd in opened:
            os.close(fd)


SETTINGS = (
    *("SystemCallFilter=@system-service", "SystemCallArchitectures=native", "RestrictAddressFamilies=AF_UNIX"),
    *("MemoryDenyWriteExecute=yes", "RestrictNamespaces=yes", "LockPersonality=yes", "RestrictSUIDSGID=yes"),
)


def test_a_service_of_systemd() -> None:
    needs("systemd-run", "systemd")
    script = str(Path(__file__).with_name("systemd_user.sh"))
    properties = [word for setting in SETTINGS for word in ("-p", setting)]
    with running([*APART, "sh", script, f"sysgate-test-{os.getpid()}", *properties], sleeps, "systemd") as pid:
        state = check(pid)
        assert state.filters > 10
        assert state.policy is not None
        assert "@system-service: 1" in str(state.policy).splitlines()
        assert state.policy.decide("socket", (2, 1, 0), arch="x86_64").data == 97  # EAFNOSUPPORT
        check_commands(state, "systemd[", own=False)
