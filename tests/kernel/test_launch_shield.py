"""Whoever waits for a confined program is out of its reach, also where nobody explains its refusals."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

# What a confined program of the same user would do: open its parent's memory, which has no filter of this policy.
REACH = "import os; open(f'/proc/{os.getppid()}/mem', 'r+b'); print('reached')"
# The environment's own Python may lie where an ordinary user cannot go.
PYTHON = shutil.which("python3", path="/usr/bin:/bin") or sys.executable
PROGRAM = [PYTHON, "-I", "-c", REACH]
LIBRARY = (
    "from sysgate import Policy, run\n"
    f"run([{PYTHON!r}, '-I', '-c', {REACH!r}], policy=Policy.parse('default: allow'), explain=False)"
)
SYSGATE = [sys.executable, "-m", "sysgate", "run"]

WAITING = {
    "explained": [*SYSGATE, "-e", "default: allow", "--", *PROGRAM],
    "native": [*SYSGATE, "--no-explain", "-e", "default: allow", "--", *PROGRAM],
    "a phase": [*SYSGATE, "--then", "@no_network", "--when", "listen", "--", *PROGRAM],
    "late seal": [*SYSGATE, "--then", "@no_network", "--when", "main", "--", *PROGRAM],
    "library": [sys.executable, "-c", LIBRARY],
}


def ordinary(command: list[str]) -> list[str]:
    """Root reaches every process, so the question is an ordinary user's."""
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    return [*drop, *command] if os.geteuid() == 0 else command


@pytest.mark.parametrize("how", WAITING)
def test_the_waiting_parent_cannot_be_reached(how: str) -> None:
    done = subprocess.run(ordinary(WAITING[how]), capture_output=True, text=True, timeout=60, cwd="/")
    assert "reached" not in done.stdout
    assert "PermissionError: [Errno 13] Permission denied: '/proc/" in done.stderr


def test_the_question_is_one() -> None:
    plain = [PYTHON, "-I", "-c", f"import subprocess; subprocess.run([{PYTHON!r}, '-I', '-c', {REACH!r}])"]
    done = subprocess.run(ordinary(plain), capture_output=True, text=True, timeout=60, cwd="/")
    if "reached" not in done.stdout:
        pytest.skip("Yama is not built into this kernel, or lets nobody reach a parent")


def test_the_caller_is_as_before_when_the_program_has_ended() -> None:
    code = "import ctypes; before = ctypes.CDLL(None).prctl(3)\n" + LIBRARY.replace(REACH, "pass")
    code += "\nprint(before, ctypes.CDLL(None).prctl(3))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    before, after = done.stdout.split()
    assert before == after
