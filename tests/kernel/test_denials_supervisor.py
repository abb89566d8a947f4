"""The supervisor explains and is no part of the enforcement: dead, stopped, attacked or outlived, nothing is gained."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from confined import AsUser, confined, interpreter, python

PRELUDE = """
import ctypes, errno, os, signal, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def denied():
    if libc.syscall(121, 0) >= 0: return "went through"
    return errno.errorcode[ctypes.get_errno()]
"""


def program(code: str) -> list[str]:
    return python(PRELUDE + textwrap.dedent(code))


def run_by(as_user: AsUser, rules: Sequence[str], command: Sequence[str], *options: str) -> list[str]:
    """The command line that runs a command behind rules, typed by root or by an ordinary user."""
    words = [word for rule in rules for word in ("-e", rule)]
    return as_user([interpreter(), "-m", "sysgate", "run", *options, *words, "--", *command])


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    # The interpreter that every user may execute may be another than the one sysgate is installed for.
    import sysgate

    source = str(Path(sysgate.__file__).resolve().parent.parent)
    monkeypatch.setenv("PYTHONPATH", source)


Started = Callable[[Sequence[str]], "subprocess.Popen[str]"]


@pytest.fixture
def started() -> Iterator[Started]:
    """Starts a command with pipes, and sees to it that nothing of it is left."""
    made: list[subprocess.Popen[str]] = []

    def start(command: Sequence[str]) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        made.append(subprocess.Popen(command, text=True, **pipes))  # type: ignore[call-overload]
        return made[-1]

    yield start
    for process in made:
        process.kill()
        process.communicate()


def rules(action: str) -> list[str]:
    return ["default: allow", f"getpgid: 0 else {action}"]


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("action", ["errno(EACCES)", "kill", "kill_thread"])
def test_when_the_supervisor_is_killed_what_was_denied_stays_denied(
    as_user: AsUser, started: Started, action: str
) -> None:
    code = """
        print(os.getppid(), flush=True)
        sys.stdin.readline()
        print(denied(), flush=True)
    """
    process = started(run_by(as_user, rules(action), program(code)))
    os.kill(int(line(process)), signal.SIGKILL)
    process.wait()
    say(process)
    assert line(process) == "ENOSYS"  # seccomp_unotify(2): what a call gets that nobody answers any more


def test_a_call_that_waits_when_the_supervisor_is_killed_is_denied_too(as_user: AsUser, started: Started) -> None:
    code = """
        print(os.getppid(), flush=True)
        sys.stdin.readline()
        print("asking", flush=True)
        print(denied(), flush=True)
    """
    process = started(run_by(as_user, rules("errno(EACCES)"), program(code)))
    supervisor = int(line(process))
    os.kill(supervisor, signal.SIGSTOP)
    say(process)
    assert line(process) == "asking"
    time.sleep(0.2)
    os.kill(supervisor, signal.SIGKILL)
    assert line(process) == "ENOSYS"


@pytest.mark.parametrize(("action", "answer"), [("errno(EACCES)", "EACCES"), ("kill", "")])
def test_while_the_supervisor_is_stopped_a_denied_call_waits(
    as_user: AsUser, started: Started, action: str, answer: str
) -> None:
    code = """
        print(os.getppid(), flush=True)
        sys.stdin.readline()
        def ask(): print(denied(), flush=True)
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(0.5)
        print("still waiting" if thread.is_alive() else "answered", flush=True)
        thread.join()
    """
    process = started(run_by(as_user, rules(action), program(code)))
    supervisor = int(line(process))
    os.kill(supervisor, signal.SIGSTOP)
    say(process)
    assert line(process) == "still waiting"
    os.kill(supervisor, signal.SIGCONT)
    assert line(process) == answer
    process.communicate()
    assert process.returncode == (0 if answer else 159)


def test_a_program_killed_while_its_call_waits_leaves_the_supervisor_well(as_user: AsUser, started: Started) -> None:
    code = """
        print(os.getppid(), flush=True)
        sys.stdin.readline()
        child = os.fork()
        if child == 0:
            denied()
            os._exit(0)
        time.sleep(0.2)
        os.kill(child, signal.SIGKILL)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        print(denied(), flush=True)
    """
    process = started(run_by(as_user, rules("errno(EACCES)"), program(code)))
    supervisor = int(line(process))
    os.kill(supervisor, signal.SIGSTOP)
    say(process)
    assert line(process) == "-9"
    os.kill(supervisor, signal.SIGCONT)
    assert line(process) == "EACCES"


ATTACK = """
    import glob
    boss = os.getppid()
    class Iovec(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
    here = ctypes.create_string_buffer(8)
    near = Iovec(ctypes.addressof(here), 8)
    with open(f"/proc/{boss}/stat") as stat: state = stat.read().rpartition(")")[2].split()[0]
    def tried(what, result):
        print(what, result if result >= 0 else errno.errorcode[ctypes.get_errno()], flush=True)
    def opened(path, flags):
        try: os.close(os.open(path, flags)); return 0
        except OSError as error: ctypes.set_errno(error.errno); return -1
    tried("attach", libc.ptrace(16, boss, 0, 0))
    tried("seize", libc.ptrace(0x4206, boss, 0, 0))
    for address in (0x400000, 0x555555554000):
        far = Iovec(address, 8)
        tried("read", libc.process_vm_readv(boss, ctypes.byref(near), 1, ctypes.byref(far), 1, 0))
        tried("write", libc.process_vm_writev(boss, ctypes.byref(near), 1, ctypes.byref(far), 1, 0))
    tried("mem", opened(f"/proc/{boss}/mem", os.O_RDWR))
    pidfd = os.pidfd_open(boss)
    for number in range(3, 20):
        tried("getfd", libc.syscall(438, pidfd, number, 0))
        tried("fd", opened(f"/proc/{boss}/fd/{number}", os.O_RDWR))
    print("denied", denied(), flush=True)
"""


# With CAP_SYS_PTRACE everything may be traced; SECURITY.md says so.
NOT_ALMIGHTY = ["setpriv", "--bounding-set=-sys_ptrace"]


@pytest.mark.parametrize("way", ["command line", "library", "library, without a thread", "witness"])
def test_a_program_of_the_same_user_cannot_reach_into_its_supervisor(as_user: AsUser, way: str) -> None:
    def weaker(command: Sequence[str]) -> list[str]:
        return [*NOT_ALMIGHTY, *command] if as_user([]) == [] and os.geteuid() == 0 else as_user(command)

    policy = "default: allow\ngetpgid: 0 else errno(EACCES)"
    if way == "command line":
        command = run_by(weaker, rules("errno(EACCES)"), program(ATTACK))
        output = subprocess.run(command, capture_output=True, text=True).stdout
    elif way == "library, without a thread":
        driver = f"import sysgate\nsysgate.run({program(ATTACK)!r}, policy=sysgate.Policy.parse({policy!r}))"
        command = weaker([interpreter(), "-c", driver])
        output = subprocess.run(command, capture_output=True, text=True).stdout
    else:
        lacking = ["notify"] if way == "witness" else []
        output = confined(weaker, policy, program(ATTACK), lacking=lacking).stdout
    told = [each.split(" ", 1) for each in output.splitlines()]
    assert told[-1] == ["denied", "EACCES"], output
    assert {what for what, _ in told} == {"attach", "seize", "read", "write", "mem", "getfd", "fd", "denied"}
    for what, result in told[:-1]:
        assert result in ("EPERM", "EACCES") or (what, result) == ("fd", "ENOENT"), (what, result)


def test_afterwards_the_library_leaves_the_process_as_it_was(as_user: AsUser) -> None:
    code = """
        import os, sysgate
        from sysgate.kernel import task
        policy = sysgate.Policy.parse("default: allow\\ngetpgid: 0 else errno(EACCES)")
        before = sorted(os.listdir("/proc/self/fd")), task.dumpable()
        for _ in range(3):
            sysgate.run(["/bin/true"], policy=policy, capture_output=True)
        print(before == (sorted(os.listdir("/proc/self/fd")), task.dumpable()), task.dumpable())
        try: sysgate.run(["/nowhere"], policy=policy)
        except FileNotFoundError: pass
        print(before == (sorted(os.listdir("/proc/self/fd")), task.dumpable()))
    """
    done = subprocess.run(as_user([interpreter(), "-c", textwrap.dedent(code)]), capture_output=True, text=True)
    assert done.stdout == "True 1\nTrue\n", done.stderr


def test_the_listener_is_nowhere_but_in_the_supervisor(as_user: AsUser) -> None:
    # an open copy would turn "refused" into "waits for ever" when the supervisor dies
    code = """
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                for number in os.listdir(f"/proc/{pid}/fd"):
                    if "seccomp notify" in os.readlink(f"/proc/{pid}/fd/{number}"): found.append(int(pid))
            except OSError: pass
        print(os.getpid() in found, [pid for pid in found if pid != os.getppid()])
    """
    driver = f"""
        import subprocess, sys, threading, sysgate
        policy = sysgate.Policy.parse("default: allow\\ngetpgid: 0 else errno(EACCES)")
        beside = subprocess.Popen(["sleep", "1"], close_fds=False)
        def start_others():
            for _ in range(20): others.append(subprocess.Popen(["sleep", "1"], close_fds=False))
        others = []
        thread = threading.Thread(target=start_others)
        thread.start()
        print(sysgate.run({program(code)!r}, policy=policy, capture_output=True, text=True).stdout, end="")
        thread.join()
        for other in [beside, *others]: other.kill(); other.wait()
    """
    command = as_user([interpreter(), "-c", textwrap.dedent(driver)])
    done = subprocess.run(command, capture_output=True, text=True)
    if as_user([]) == [] and os.geteuid() == 0:
        mine, others = done.stdout.strip().split(" ", 1)
        strangers = [pid for pid in map(int, others.strip("[]").replace(",", " ").split()) if _begot(pid, os.getpid())]
        assert (mine, strangers) == ("False", []), done.stderr
    else:
        assert done.stdout == "False []\n", done.stderr


def _begot(pid: int, ancestor: int) -> bool:
    from sysgate.kernel import procfs

    while pid > 1:
        status = procfs.status(pid)
        if status is None:
            return False
        pid = status.parent
        if pid == ancestor:
            return True
    return False


def keepers() -> set[int]:
    from sysgate.kernel import procfs

    return {pid for pid in procfs.processes() if procfs.comm(pid) == b"sysgate-keeper"}


@pytest.mark.parametrize("by", ["command line", "library"])
@pytest.mark.parametrize(("action", "wanted"), [("errno(EACCES)", "EACCES 0"), ("kill", "-31"), ("kill_thread", "-31")])
def test_a_daemon_that_outlives_the_main_program_meets_the_policys_answers(
    as_user: AsUser, tmp_path: Path, by: str, action: str, wanted: str
) -> None:
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents[:2]:
        folder.chmod(0o755)
    said = tmp_path / "said"
    code = f"""
        signal.pthread_sigmask(signal.SIG_BLOCK, [])
        if os.fork(): os._exit(5)
        os.setsid()
        for number in (0, 1, 2): os.close(number)
        time.sleep(0.5)
        child = os.fork()
        with open({str(said)!r}, "a") as file:
            if child == 0:
                file.write(denied() + " "); file.flush()
                os._exit(0)
            file.write(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) + "\\n")
    """
    before, start = keepers(), time.monotonic()
    if by == "library":
        done = confined(as_user, f"default: allow\ngetpgid: 0 else {action}", program(code))
        assert (done.returncode, done.denials) == (5, ())
    else:
        ended = subprocess.run(run_by(as_user, rules(action), program(code)), capture_output=True, text=True)
        assert (ended.returncode, ended.stdout) == (5, "")
    assert not said.exists(), "waited for the daemon"
    deadline = start + 20
    while (not said.exists() or not said.read_text().endswith("\n")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert said.read_text() == wanted + "\n"
    while keepers() - before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not keepers() - before, "the keeper outlived those it answers"


def test_what_a_daemon_is_left_holds_nothing_but_the_listener(as_user: AsUser, started: Started) -> None:
    code = """
        if os.fork(): os._exit(0)
        os.setsid()
        for number in (0, 1, 2): os.close(number)
        time.sleep(3)
    """
    before = keepers()
    process = started(run_by(as_user, rules("kill"), program(code)))
    out, _ = process.communicate(timeout=2)  # the pipes are at their end: nobody holds them
    assert (process.returncode, out) == (0, "")
    left = keepers() - before
    assert len(left) == 1
    pid = left.pop()
    if os.geteuid() == 0:
        links = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
        assert links == ["anon_inode:seccomp notify"]
    assert os.getsid(pid) == os.getpgid(pid) != os.getsid(0)
    assert Path(f"/proc/{pid}/stat").stat().st_uid == 0 or as_user([]) == []  # not dumpable


# ---- one run inside another


def inner(as_user: AsUser, outer_rules: Sequence[str], inner_rules: Sequence[str], command: Sequence[str]) -> list[str]:
    within = [interpreter(), "-m", "sysgate", "run"]
    within += [word for rule in inner_rules for word in ("-e", rule)]
    return run_by(as_user, outer_rules, [*within, "--", *command])


def test_a_run_inside_a_run_explains_its_kills_by_the_witness(as_user: AsUser) -> None:
    command = inner(as_user, ["default: allow"], rules("kill"), program("denied()"))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 159
    assert "was refused getpgid(0): killed by SIGSYS" in done.stderr
    assert "<-e 2>:1: getpgid: 0 else kill" in done.stderr


def test_a_run_inside_a_run_keeps_both_policies(as_user: AsUser) -> None:
    command = inner(
        as_user, ["default: allow", "getsid: 0 else errno(EDOM)"], rules("errno(EACCES)"),
        program("print(denied(), libc.syscall(124, 0), errno.errorcode[ctypes.get_errno()])"),
    )  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "EACCES -1 EDOM\n")
    assert "was refused getsid(0): got EDOM" in done.stderr  # the outer's, by its listener
    assert "kills are explained, refusals by errno are enforced only" in done.stderr


def test_a_run_inside_a_run_that_forbids_tracing_says_that_it_cannot_explain(as_user: AsUser) -> None:
    outer = ["default: allow", "ptrace: 0 else errno(EPERM)"]
    command = inner(as_user, outer, rules("kill"), program("denied()"))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 159
    assert "refusals are enforced but not explained" in done.stderr
    assert "was refused getpgid" not in done.stderr


@pytest.mark.parametrize("answer", ["errno(EACCES)", "errno(EPERM)"])
def test_a_run_inside_a_run_whose_exec_is_refused_ends_with_126_and_the_outers_denial(
    as_user: AsUser, answer: str
) -> None:
    outer = ["default: allow", f"execve, execveat: 0 else {answer}"]
    command = inner(as_user, outer, ["default: allow"], ["/bin/true"])
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 126
    assert 'was refused execve("/bin/true", ' in done.stderr
    assert "<-e 2>:1: execve, execveat: 0" in done.stderr


# ---- what is told goes wrong


def test_where_standard_error_is_closed_or_broken_calls_are_answered_all_the_same(as_user: AsUser) -> None:
    command = run_by(as_user, rules("errno(EACCES)"), program("print(denied(), denied())"))
    done = subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh", *command], stdout=subprocess.PIPE, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (0, "EACCES EACCES\n")
    reads, writes = os.pipe()
    os.close(reads)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=writes, text=True, timeout=20)
    os.close(writes)
    assert (done.returncode, done.stdout) == (0, "EACCES EACCES\n")


def test_what_the_command_line_says_of_a_refusal(as_user: AsUser, tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    policy = tmp_path / "app.policy"
    policy.write_text("default: allow\n\nmkdir, mkdirat: 0 else errno(EACCES)   # none\n")
    code = """
        for _ in range(3):
            try: os.mkdir("/nowhere/x")
            except OSError: pass
        print(os.getpid())
    """
    command = as_user([interpreter(), "-m", "sysgate", "run", "-p", str(policy), "--", *program(code)])
    done = subprocess.run(command, capture_output=True, text=True)
    name = Path(interpreter()).name
    assert done.stderr == textwrap.dedent(f"""\
        sysgate: {name}[{done.stdout.strip()}] was refused mkdir("/nowhere/x", 0777): got EACCES
            {policy}:3: mkdir, mkdirat: 0 else errno(EACCES)
            instead of it, this would allow the call:
                mkdirat: 0 else errno(EACCES)
                mkdir: 1   # for every string: a filter cannot see them
        sysgate: 3 times mkdir("/nowhere/x", 0777): got EACCES
    """)


def served(
    tmp_path: Path, policy: str, code: str, told: Callable[[object], None], *, gate: object = None
) -> tuple[str, str]:
    """What a program prints whose supervisor, in this process, is disturbed; and the supervisor's trouble."""
    from sysgate.api import Policy
    from sysgate.launch import prepared, watched
    from sysgate.launch.plan import Plan

    ready = prepared.prepare(Policy.parse(policy))
    out = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
    words = tuple(map(os.fsencode, program(code)))
    begun = watched.begin(Plan(words, (words[0],), streams=(None, out, None)), ready, prepared.EXPLAINED, told=told)
    assert begun.watcher is not None
    if gate is not None:
        begun.watcher._gate = gate  # type: ignore[assignment]
    pidfd = os.pidfd_open(begun.child.pid)
    try:
        begun.serve(pidfd, lambda: os.waitpid(begun.child.pid, os.WNOHANG)[0] != 0)
    finally:
        os.close(pidfd)
        os.close(out)
    return (tmp_path / "out").read_text(), begun.watcher.trouble


def test_a_listener_that_raises_keeps_nobody_from_the_policys_answer(tmp_path: Path) -> None:
    def told(_: object) -> None:
        raise ValueError("no paper")

    policy = "default: allow\ngetpgid: 0 else errno(EACCES)"
    assert served(tmp_path, policy, "print(denied(), denied())", told) == ("EACCES EACCES\n", "ValueError: no paper")


def test_a_supervisor_that_cannot_tell_what_the_policy_says_refuses_all_the_same(tmp_path: Path) -> None:
    def gate() -> object:
        raise MemoryError("no room")

    policy = "default: allow\ngetpgid: 0 else errno(EACCES)"
    printed, trouble = served(tmp_path, policy, "print(denied(), denied())", lambda _: None, gate=gate)
    assert (printed, trouble) == ("ENOSYS ENOSYS\n", "MemoryError: no room")


def test_an_interrupted_supervisor_answers_before_it_goes(tmp_path: Path) -> None:
    def told(_: object) -> None:
        raise KeyboardInterrupt

    policy = "default: allow\ngetpgid: 0 else errno(EACCES)"
    with pytest.raises(KeyboardInterrupt):
        served(tmp_path, policy, "print(denied(), denied(), flush=True)", told)
    deadline = time.monotonic() + 10
    while not (tmp_path / "out").read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (tmp_path / "out").read_text() == "ENOSYS ENOSYS\n"
    os.waitpid(-1, 0)


def test_the_loop_loads_nothing_for_denials_before_there_is_one() -> None:
    code = "import sys, sysgate.supervise.keeper; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in loaded if name.startswith("sysgate.")}
    assert ours == {"sysgate.kernel", "sysgate.kernel.notify", "sysgate.supervise", "sysgate.supervise.keeper"}
