"""`sysgate attach`, as it is typed."""

from __future__ import annotations

import json
import subprocess

import pytest


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_it_says_what_it_did(sysgate, sleeper):
    done = sysgate("attach", str(sleeper.pid), "-e", "default: allow", "-e", "mkdir: 0")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"process {sleeper.pid} is behind the policy (1 thread), from now on\n"


def test_json_holds_the_same(sysgate, sleeper):
    done = sysgate("attach", str(sleeper.pid), "-e", "default: allow", "--json")
    said = json.loads(done.stdout)
    assert (said["pid"], said["threads"], said["warning"]) == (sleeper.pid, 1, "")
    assert said["stopped"] > 0


def test_it_warns_where_a_stopped_sleep_could_not_go_on(sysgate):
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    done = sysgate("attach", str(process.pid), "-e", "read, write, exit_group: 1", "-e", "close, munmap: 1")
    process.communicate(b"")
    assert (done.returncode, "restart_syscall" in done.stderr, process.returncode) == (0, True, 0)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("1",), 2, "what is allowed?"),
        (("x", "-e", "default: allow"), 2, "invalid int value"),
        (("4194303", "-e", "default: allow"), 1, "there is no process 4194303"),
        (("4194303", "-e", "raed: 1"), 1, "did you mean read?"),
        (("4194303", "-e", "default: allow", "--when", "lisen"), 1, "did you mean listen?"),
    ],
)
def test_mistakes_are_said_and_nothing_is_touched(sysgate, words, code, said):
    done = sysgate("attach", *words)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
