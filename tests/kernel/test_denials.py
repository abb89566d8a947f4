"""Denials on the real kernel: what the program meets is what the policy says, and what is told is what happened."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
from confined import AsUser, Outcome, confined, python

# A call that is harmless, cheap, and that neither Python nor its loader makes.
POLICY = "default: allow\ngetpgid: 0 else {action}\n"

# By way of ctypes, which lets go of Python's lock: a thread that is killed must not take it along.
PRELUDE = """
import ctypes, errno, os, signal, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def denied():
    if libc.syscall(121, 0) >= 0:
        print("went through", flush=True)
    else:
        print("got", errno.errorcode[ctypes.get_errno()], flush=True)
"""


def program(code: str) -> list[str]:
    return python(PRELUDE + textwrap.dedent(code))


def only(outcome: Outcome) -> dict[str, object]:
    assert len(outcome.denials) == 1, outcome
    return outcome.denials[0]


def test_an_errno_is_the_policys_and_the_denial_says_all_there_is_to_say(as_user: AsUser) -> None:
    policy = "default: allow\nopenat: !(flags & O_NOATIME) else errno(EROFS)\n"
    code = """
        print(libc.open(b"/etc/shadow", os.O_NOATIME), ctypes.get_errno(), os.getpid(), flush=True)
    """
    done = confined(as_user, policy, program(code))
    told = only(done)
    result, error, pid = done.stdout.split()
    assert (done.returncode, result, error) == (0, "-1", "30")
    assert told["call"] == 'openat(AT_FDCWD, "/etc/shadow", O_RDONLY|O_NOATIME)'
    assert (told["name"], told["arch"], told["nr"]) == ("openat", "x86_64", 257)
    assert (told["action"], told["data"], told["count"], told["startup"]) == ("errno", 30, 1, False)
    assert told["pid"] == told["tid"] == int(pid)
    assert told["rule"] == {"file": "app.policy", "line": 2, "text": policy.splitlines()[1]}
    better = "openat: !(flags & O_NOATIME) || (flags & O_ACCMODE) == O_RDONLY else errno(EROFS)"
    assert told["suggestion"] == better


DISPOSITIONS = {
    "as it is": "",
    "ignored": "signal.signal(signal.SIGSYS, signal.SIG_IGN)",
    "caught": "signal.signal(signal.SIGSYS, lambda *_: print('handled', flush=True))",
    "blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGSYS})",
}
WHO = {
    "the main thread": "denied()",
    "another thread": """
thread = threading.Thread(target=denied)
thread.start()
thread.join(1)
print("main goes on", flush=True)
os._exit(7)
""",
    "a child": """
child = os.fork()
if child == 0:
    denied()
    os._exit(3)
print("child ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
""",
    "a grandchild": """
child = os.fork()
if child == 0:
    grandchild = os.fork()
    if grandchild == 0:
        denied()
        os._exit(3)
    os._exit(-os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
print("child ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
""",
}


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("disposition", DISPOSITIONS)
@pytest.mark.parametrize("action", ["kill", "kill_thread", "errno(EACCES)"])
def test_an_explained_refusal_does_to_a_program_what_the_kernels_own_does(
    as_user: AsUser, action: str, disposition: str, who: str
) -> None:
    command = program(DISPOSITIONS[disposition] + "\n" + WHO[who])
    policy = POLICY.format(action=action)
    explained = confined(as_user, policy, command)
    native = confined(as_user, policy, command, explain=False)
    assert (explained.returncode, explained.stdout) == (native.returncode, native.stdout)
    assert "went through" not in explained.stdout
    assert not native.denials
    told = only(explained)
    assert told["call"] == "getpgid(0)"
    assert told["action"] == {"kill": "kill_process", "errno(EACCES)": "errno"}.get(action, action)
    assert (told["pid"] == told["tid"]) is (who != "another thread")


@pytest.mark.parametrize("lacking", [("wait_killable",), ("notify",)])
@pytest.mark.parametrize("disposition", DISPOSITIONS)
@pytest.mark.parametrize("action", ["kill", "kill_thread"])
def test_a_lesser_kernel_kills_and_explains_as_well(
    as_user: AsUser, action: str, disposition: str, lacking: tuple[str, ...]
) -> None:
    command = program(DISPOSITIONS[disposition] + "\n" + WHO["another thread"])
    policy = POLICY.format(action=action)
    explained = confined(as_user, policy, command, lacking=lacking)
    native = confined(as_user, policy, command, explain=False)
    assert (explained.returncode, explained.stdout) == (native.returncode, native.stdout)
    assert only(explained)["call"] == "getpgid(0)"


@pytest.mark.parametrize("lacking", [(), ("wait_killable",), ("notify",), ("notify", "ptrace")])
def test_a_trap_is_the_kernels_own(as_user: AsUser, lacking: tuple[str, ...]) -> None:
    handler = """
        class Action(ctypes.Structure):
            _fields_ = [("handler", ctypes.c_void_p), ("mask", ctypes.c_ulong * 16),
                        ("flags", ctypes.c_int), ("restorer", ctypes.c_void_p)]
        @ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.c_void_p)
        def caught(number, info, context):
            print("trapped", info[1], info[2], info[6], flush=True)  # si_errno, si_code, si_syscall
        action = Action(ctypes.cast(caught, ctypes.c_void_p), (ctypes.c_ulong * 16)(), 4, None)
        libc.sigaction(31, ctypes.byref(action), None)
        denied()
    """
    done = confined(as_user, POLICY.format(action="trap(7)"), program(handler), lacking=lacking)
    assert done.stdout.startswith("trapped 7 1 121\n")
    # seen by the witness only: what the kernel answers itself is not notified
    assert [told["action"] for told in done.denials] == (["trap"] if lacking == ("notify",) else [])


def test_where_neither_listener_nor_tracing_is_to_be_had_the_policy_holds_all_the_same(as_user: AsUser) -> None:
    for action, wanted in (("errno(EACCES)", (0, "got EACCES\n")), ("kill", (-31, ""))):
        done = confined(as_user, POLICY.format(action=action), program("denied()"), lacking=("notify", "ptrace"))
        assert (done.returncode, done.stdout, done.denials) == (*wanted, ())


@pytest.mark.parametrize("lacking", [(), ("wait_killable",)])
def test_ten_thousand_refusals_are_each_answered_and_told_once_with_their_count(
    as_user: AsUser, lacking: tuple[str, ...]
) -> None:
    loop = """
        answers = set()
        for _ in range(10_000):
            try: os.getpgid(0)
            except OSError as error: answers.add(error.errno)
            else: answers.add("went through")
        print(answers)
    """
    done = confined(as_user, POLICY.format(action="errno(EACCES)"), program(loop), lacking=lacking)
    assert done.stdout == "{13}\n"
    assert only(done)["count"] == 10_000


def test_endlessly_many_different_refusals_are_all_counted_in_bounded_room(as_user: AsUser) -> None:
    loop = """
        for number in range(10_000):
            try: os.mkdir(f"/nowhere/{number}")
            except OSError as error: assert error.errno == 13, error
        for number in range(5_000):
            libc.syscall(5000 + number)
        denied()
    """
    policy = "default: allow\nmkdir: 0 else errno(EACCES)\n[x86_64]\n5000..10000: 0 else errno(ENOSYS)\n"
    policy += "[all]\ngetpgid: 0 else errno(EACCES)\n"
    done = confined(as_user, policy, program(loop))
    assert done.stdout == "got EACCES\n"
    counts = {}
    for told in done.denials:
        counts[told["name"]] = counts.get(told["name"], 0) + int(str(told["count"]))
    assert sum(counts.values()) == 15_001
    assert counts["mkdir"] == 10_000
    assert len(done.denials) <= 1024
    assert done.denials[0]["call"] == 'mkdir("/nowhere/0", 0777)'


def test_refusals_are_told_in_order_of_first_sight_equal_ones_folded(as_user: AsUser) -> None:
    code = """
        def tries(path):
            try: os.mkdir(path)
            except OSError: pass
        for path in ("/a", "/b", "/a", "/a", "/c", "/b"):
            tries(path)
        thread = threading.Thread(target=tries, args=("/a",))
        thread.start(); thread.join()
    """
    done = confined(as_user, "default: allow\nmkdir: 0 else errno(EACCES)", program(code))
    seen = [(told["call"], told["count"], told["pid"] == told["tid"]) for told in done.denials]
    assert seen == [
        ('mkdir("/a", 0777)', 3, True),
        ('mkdir("/b", 0777)', 2, True),
        ('mkdir("/c", 0777)', 1, True),
        ('mkdir("/a", 0777)', 1, False),
    ]


def test_strings_of_the_program_cannot_do_anything_to_whoever_reads_them(as_user: AsUser) -> None:
    code = r"""
        evil = b"a\nsysgate: all is well\x1b[2J\x07\\\""
        for path in (evil, "\u202etxt.exe\u2066".encode(), b"\xff\xfe", b"x" * 5000):
            try: os.mkdir(path)
            except OSError: pass
    """
    done = confined(as_user, "default: allow\nmkdir: 0 else errno(EACCES)", program(code))
    texts = [str(told["call"]) for told in done.denials]
    assert texts[0] == 'mkdir("a\\nsysgate: all is well\\x1b[2J\\x07\\\\\\"", 0777)'
    assert texts[1] == 'mkdir("\\u202etxt.exe\\u2066", 0777)'
    assert texts[2] == 'mkdir("\\xff\\xfe", 0777)'
    assert len(texts[3]) < 300
    assert all(text.isprintable() for text in texts)


def test_a_threads_name_is_escaped_too(as_user: AsUser) -> None:
    code = """
        ctypes.CDLL(None).prctl(15, b"ev\\x1b[1m\\nil", 0, 0, 0)
        denied()
    """
    told = only(confined(as_user, POLICY.format(action="errno(EACCES)"), program(code)))
    assert told["comm"] == "ev\\x1b[1m\\nil"


@pytest.mark.parametrize(("address", "shown"), [
    ("0", "NULL"),
    ("1", "0x1"),  # nothing is mapped there
    ("end - 3", '"abc"'),  # ends with the last byte of its mapping, without a NUL
    ("page - 2", '"zzabc"'),  # over the border of two pages
])  # fmt: skip
def test_a_string_is_read_as_far_as_it_is_mapped(as_user: AsUser, address: str, shown: str) -> None:
    code = f"""
        import mmap
        area = mmap.mmap(-1, 3 * 4096)
        start = ctypes.addressof(ctypes.c_char.from_buffer(area))
        assert libc.munmap(ctypes.c_void_p(start + 8192), 4096) == 0
        page, end = start + 4096, start + 8192
        area[8189:8192] = b"abc"
        area[4094:4100] = b"zzabc\\0"
        libc.mkdir(ctypes.c_void_p({address}), 0o777)
        os._exit(0)
    """
    told = only(confined(as_user, "default: allow\nmkdir: 0 else errno(EACCES)", program(code)))
    assert told["call"] == f"mkdir({shown}, 0777)"


INT_80 = """
        import mmap
        area = mmap.mmap(-1, 4096, prot=7)
        area.write(b"\\xb8\\x84\\0\\0\\0\\xcd\\x80\\xc3")  # mov eax, 132 (getpgid on i386); int 0x80; ret
        ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(area)))()
        print("went through", flush=True)
"""


@pytest.mark.parametrize("disposition", DISPOSITIONS)
@pytest.mark.parametrize("lacking", [(), ("notify",)])
def test_a_call_by_the_32_bit_door_is_killed_and_explained_as_such(
    as_user: AsUser, disposition: str, lacking: tuple[str, ...]
) -> None:
    code = DISPOSITIONS[disposition] + "\n" + textwrap.dedent(INT_80)
    done = confined(as_user, "default: allow", program(code), lacking=lacking)
    assert (done.returncode, done.stdout) == (-31, "")
    told = only(done)
    assert (told["arch"], told["name"], told["action"]) == ("i386", "getpgid", "kill_process")
    assert told["suggestion"] == "[i386]\ngetpgid: 1"


def test_x32_numbers_are_told_as_such(as_user: AsUser) -> None:
    code = "ctypes.CDLL(None).syscall(0x40000000 + 121, 0); print('went through')"
    done = confined(as_user, "default: errno(EPERM)\n@known: 1", program(code))
    told = only(done)
    assert (told["arch"], told["name"], told["suggestion"]) == ("x32", "getpgid", "[x32]\ngetpgid: 1")


@pytest.mark.parametrize("lacking", [(), ("wait_killable",)])
def test_a_program_that_is_stopped_and_continued_meanwhile_meets_the_same(
    as_user: AsUser, lacking: tuple[str, ...]
) -> None:
    code = """
        child = os.fork()
        if child == 0:
            answers = []
            for _ in range(3000):
                try: os.getpgid(0)
                except OSError as error: answers.append(error.errno)
            os._exit(0 if answers == [13] * 3000 else 9)
        while os.waitpid(child, os.WNOHANG)[0] == 0:
            try:
                os.kill(child, signal.SIGSTOP); os.kill(child, signal.SIGCONT)
            except ProcessLookupError: pass
            time.sleep(0.001)
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    done = confined(as_user, POLICY.format(action="errno(EACCES)"), program(code), lacking=lacking)
    assert done.stdout == "0\n"
    assert only(done)["count"] == 3000  # a call that a signal took away and that came again is one call


def test_a_kill_of_a_stopped_program_takes_it_when_it_is_continued(as_user: AsUser) -> None:
    code = """
        child = os.fork()
        if child == 0:
            def stopper():
                os.kill(os.getpid(), signal.SIGSTOP)
            threading.Thread(target=stopper).start()
            denied()
            os._exit(3)
        time.sleep(0.4)
        os.kill(child, signal.SIGCONT)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert confined(as_user, POLICY.format(action="kill"), program(code)).stdout == "-31\n"


def test_a_filter_of_the_programs_own_ranks_as_the_kernel_ranks_it(as_user: AsUser) -> None:
    # errno beats a notification: its filter answers, and nobody is told
    code = """
        import struct
        def insn(code, jt, jf, k): return struct.pack("HBBI", code, jt, jf, k)
        body = insn(0x20, 0, 0, 0) + insn(0x15, 0, 1, 121)
        body += insn(6, 0, 0, 0x50000 | errno.EDOM) + insn(6, 0, 0, 0x7FFF0000)
        buffer = ctypes.create_string_buffer(body)
        libc.prctl(38, 1, 0, 0, 0)
        fprog = ctypes.create_string_buffer(struct.pack("H6xQ", 4, ctypes.addressof(buffer)))
        assert libc.syscall(317, 1, 0, fprog) == 0
        denied()
        # ... and a listener of its own it cannot have: it would take ours away
        print(libc.syscall(317, 1, 8, fprog), errno.errorcode[ctypes.get_errno()])
    """
    done = confined(as_user, POLICY.format(action="kill"), program(code))
    assert done.stdout == "got EDOM\n-1 EBUSY\n"
    assert done.denials == ()


@pytest.mark.parametrize(("policy", "command"), [("write: fd == 1\n", ["/bin/true"]), ("write, brk: 1\n", ["/bin/ls"])])
def test_a_program_that_dies_in_its_loader_is_told_so(as_user: AsUser, policy: str, command: list[str]) -> None:
    told = only(confined(as_user, policy, command))
    assert told["startup"] is True
    assert told["rule"] is None


def test_the_first_process_of_a_pid_namespace_dies_of_a_kill_like_any_other(as_user: AsUser) -> None:
    if os.geteuid() != 0:
        pytest.skip("a pid namespace takes root")
    # signals whose default is to kill do nothing to it
    if as_user([]):
        pytest.skip("a pid namespace takes root")
    code = "import os, sys\nif os.getpid() == 1: os.getpgid(0)\nprint('alive', os.getpid())"
    command = ["unshare", "--pid", "--fork", *python(code)]
    done = confined(as_user, POLICY.format(action="kill"), command)
    assert (done.returncode, done.stdout) == (-31, "")
    assert only(done)["call"] == "getpgid(0)"


def test_a_program_being_debugged_dies_too(as_user: AsUser) -> None:
    # a tracer is in the way of ours, and could withhold the signal
    code = f"""
        child = os.fork()
        if child == 0:
            {DISPOSITIONS["caught"]}
            denied()
            os._exit(3)
        assert libc.ptrace(0x4206, child, 0, 0) == 0  # PTRACE_SEIZE
        while True:
            _, status = os.waitpid(child, 0x40000000)
            if not os.WIFSTOPPED(status): break
            libc.ptrace(7, child, 0, 0)  # PTRACE_CONT, without the signal
        print("ended by", os.WTERMSIG(status))
    """
    done = confined(
        as_user,
        POLICY.format(action="kill"),
        program("time.sleep(0)\n" + textwrap.dedent(code).replace("denied()", "time.sleep(0.3); denied()")),
    )
    assert done.stdout == "ended by 9\n"


def test_a_call_that_since_answers_is_said_to_be_newer() -> None:
    code = "import ctypes; ctypes.CDLL(None).syscall(437, -1, 0, 0, 0)"
    rules = ["-e", "since: 5.4", "-e", "default: allow"]
    done = subprocess.run(
        [sys.executable, "-m", "sysgate", "run", *rules, "--", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "no rule for openat2, which came after the kernel of `since`" in done.stderr
