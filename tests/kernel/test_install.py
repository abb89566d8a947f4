"""`install` puts the calling process behind its policy, or says why not and changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

import sysgate
from sysgate.bpf.program import Program
from sysgate.kernel import process
from sysgate.kernel.abilities import probe
from sysgate.launch.install import install
from sysgate.value import replace

STATUS = """
def status(task="self"):
    lines = open(f"/proc/{task}/status").read().splitlines()
    said = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)
    return tuple(int(said[key]) for key in ("NoNewPrivs", "Seccomp", "Seccomp_filters"))
"""


def python(code: str, wrap: Callable[[Sequence[str]], list[str]] = list) -> str:
    """What a fresh interpreter prints, its last error's line included."""
    argv = wrap([sys.executable, "-c", "import os, sys, threading, sysgate, errno\n" + STATUS + code])
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    return done.stdout + "\n".join(done.stderr.strip().splitlines()[-1:])


def test_the_policy_holds_for_this_process_and_its_children(as_user: Callable[[Sequence[str]], list[str]]) -> None:
    shown = python(
        """
sysgate.Policy.parse("default: allow\\nmkdir, mkdirat: 0 else errno(ENOSR)").install()
try: os.mkdir("/tmp/never")
except OSError as error: print(errno.errorcode[error.errno])
os.system("mkdir /tmp/never 2>&1 | grep -c streams")
""",
        as_user,
    )
    assert shown == "ENOSR\n1\n"


def test_no_new_privs_is_set_only_where_the_kernel_demands_it(as_user: Callable[[Sequence[str]], list[str]]) -> None:
    code = 'sysgate.Policy.parse("default: allow").install(); print(status())'
    assert python(code, as_user) == ("(0, 2, 1)\n" if as_user([]) == [] and os.geteuid() == 0 else "(1, 2, 1)\n")


@pytest.mark.parametrize("tsync", [True, False])
def test_tsync_decides_whether_other_threads_are_brought_along(tsync: bool) -> None:
    code = f"""
ready, go = threading.Event(), threading.Event()
seen = []
def other():
    ready.set(); go.wait(); seen.append(status("thread-self")[1:])
thread = threading.Thread(target=other); thread.start(); ready.wait()
sysgate.Policy.parse("default: allow").install(tsync={tsync})
go.set(); thread.join()
print(status("thread-self")[1:], seen)
"""
    assert python(code) == f"(2, 1) [{'(2, 1)' if tsync else '(0, 0)'}]\n"


def test_a_thread_that_cannot_be_brought_along_is_named_and_nothing_is_installed() -> None:
    code = """
ready, go = threading.Event(), threading.Event()
def other():
    sysgate.Policy.parse("default: allow").install(tsync=False)
    ready.tid = threading.get_native_id()
    ready.set(); go.wait()
thread = threading.Thread(target=other); thread.start(); ready.wait()
try: sysgate.Policy.parse("default: allow\\nmkdir: 0").install()
except sysgate.KernelError as error:
    print(errno.errorcode[error.errno], str(ready.tid) in str(error), isinstance(error, OSError))
print(status("thread-self")[1:])
go.set()
"""
    assert python(code) == "ESRCH True True\n(0, 0)\n"


def test_a_stack_of_filters_that_grows_too_deep_is_refused_in_words() -> None:
    code = """
from sysgate.bpf.program import Program
from sysgate.launch.install import install
allow = Program(((0x20, 0, 0, 0),) * 4095 + ((0x06, 0, 0, 0x7FFF0000),), False)
count = 0
try:
    while True: install(allow); count += 1
except sysgate.KernelError as error:
    print(count, errno.errorcode[error.errno], "too long together" in str(error), status()[2])
"""
    assert python(code) == "7 ENOMEM True 7\n"  # 7 × (4096 + 4) instructions fit into 32768


@pytest.mark.parametrize(("flag", "shown"), [("log", "True"), ("spec_allow", "True"), ("tsync", "True")])
def test_flags_reach_the_kernel(flag: str, shown: str) -> None:
    code = f"""
import sysgate.kernel.seccomp as seccomp
given = []
real = seccomp.set_mode_filter
seccomp.set_mode_filter = lambda flags, program: given.append(flags) or real(flags, program)
sysgate.Policy.parse("default: allow").install(**{{"tsync": False, {flag!r}: True}})
print(given[-1] == seccomp.FLAGS[{flag!r}], status()[1:])
"""
    assert python(code) == f"{shown} (2, 1)\n"


@pytest.mark.parametrize("action", ["notify", "trace", "trace(3)"])
@pytest.mark.parametrize(
    "text",
    ["default: {}", "default: allow\nmkdir: 0 else {}", "default: allow\nmkdir: {{ mode == 0 -> {}; else allow }}"],
)
def test_an_action_without_someone_to_answer_it_is_refused(text: str, action: str) -> None:
    policy = sysgate.Policy.parse(text.format(action))
    before = process.own_standing()
    with pytest.raises(sysgate.SysgateError, match=action.partition("(")[0]):
        policy.install()
    with pytest.raises(sysgate.SysgateError, match=action.partition("(")[0]):
        sysgate.run(["true"], policy=policy)
    assert process.own_standing() == before


ALLOW = Program(((0x06, 0, 0, 0x7FFF0000),), False)
KILL = Program(((0x06, 0, 0, 0x80000000),), False)


@pytest.mark.parametrize(
    ("program", "asked", "lost", "said"),
    [
        (ALLOW, {}, "tsync", "does not know the seccomp flag tsync"),
        (ALLOW, {"tsync": False, "log": True}, "log", "does not know the seccomp flag log"),
        (ALLOW, {"tsync": False, "spec_allow": True}, "spec_allow", "does not know the seccomp flag spec_allow"),
        (KILL, {}, "kill_process", "does not know the action kill_process"),
        (Program(((0x06, 0, 0, 0x7FFC0000),), False), {}, "log", "does not know the action log"),
    ],
)
def test_what_a_lesser_kernel_lacks_is_said_before_anything_is_installed(
    program: Program, asked: dict[str, bool], lost: str, said: str
) -> None:
    full = probe()
    flags = full.flags if said.endswith(f"action {lost}") else tuple(flag for flag in full.flags if flag != lost)
    actions = tuple(action for action in full.actions if action != lost) if "action" in said else full.actions
    with pytest.raises(sysgate.KernelError, match=said):
        install(program, abilities=replace(full, flags=flags, actions=actions), **asked)


def test_the_words_for_refusals_name_what_to_look_for() -> None:
    from errno import EACCES, EBUSY, EINVAL, ENOMEM, ENOSYS, EXDEV

    from sysgate.kernel.seccomp import refusal

    assert "3.17" in refusal(ENOSYS)
    assert "listener already" in refusal(EBUSY)
    assert "too old" in refusal(EINVAL)
    assert "32,768" in refusal(ENOMEM)
    assert "no_new_privs" in refusal(EACCES)
    assert refusal(EXDEV) == f"seccomp(2): {os.strerror(EXDEV)}"
