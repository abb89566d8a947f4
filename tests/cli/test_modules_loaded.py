"""What `sysgate run` loads, by name: starting is part of the design, and every module costs some 0.15 ms."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Slow to load, each for its own reason: generated code, enums, compiled patterns, whole parsers.
NEVER = {
    "argparse",
    "asyncio",
    "collections",
    "contextlib",
    "dataclasses",
    "difflib",
    "email",
    "enum",
    "functools",
    "gettext",
}
NEVER |= {
    "inspect",
    "json",
    "locale",
    "logging",
    "pathlib",
    "re",
    "shutil",
    "signal",
    "socket",
    "subprocess",
    "tempfile",
}
NEVER |= {"ctypes", "threading", "types", "typing", "urllib"}
# The standard library's that do get loaded.
STANDARD = {"__future__", "_bisect", "_ctypes", "_operator", "_socket", "_struct"}
STANDARD |= {"errno", "fcntl", "gc", "math", "mmap", "select"}
# The rooms a plain run enters.
ROOMS = {
    "action",
    "bpf",
    "call",
    "cli",
    "compiler",
    "decision",
    "errors",
    "facts",
    "kernel",
    "launch",
    "policy",
    "proof",
}
ROOMS |= {"ready", "supervise", "value"}
OF_A_ROOM = {
    "cli": {"imports", "main", "quick", "run"},
    "launch": {
        *("channel", "child", "foreground", "job", "note"),
        *("orders", "plan", "prepared", "search", "watched"),
    },
    "supervise": {"keeper", "leaf", "shield"},
    "kernel": {"dumpable", "libc", "native", "notify", "process", "procfs", "signalfd", "task"},
}
MOST = 103

CODE = """
import os
import sys
before, leave = set(sys.modules), os._exit
def told(code):
    print(*sorted(set(sys.modules) - before), flush=True)
    leave(code)
os._exit = told
from sysgate.cli.main import entry
entry()
"""


@pytest.fixture(scope="module", params=[[], ["--no-explain"]], ids=str)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    policy = tmp_path_factory.mktemp("modules") / "app.policy"
    policy.write_text("default: allow\nmkdir, mkdirat: mode == 0700 else errno(EACCES)\nsocket: family == AF_UNIX\n")
    argv = [sys.executable, "-c", CODE, "run", *request.param, "-p", str(policy), "--", "true"]
    return set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())


def test_nothing_slow_is_loaded(loaded: set[str]) -> None:
    assert not loaded & NEVER


def test_of_the_standard_library_only_what_is_named_here_is_loaded(loaded: set[str]) -> None:
    assert {name for name in loaded if name.partition(".")[0] != "sysgate"} <= STANDARD


def test_only_these_rooms_are_entered_and_of_these_only_so_much(loaded: set[str]) -> None:
    ours = [name.split(".") for name in loaded if name.startswith("sysgate.")]
    assert {parts[1] for parts in ours} <= ROOMS
    for room, most in OF_A_ROOM.items():
        assert {parts[2] for parts in ours if parts[1] == room and len(parts) > 2} <= most


def test_the_modules_are_not_too_many(loaded: set[str]) -> None:
    assert len([name for name in loaded if name.startswith("sysgate")]) <= MOST


def test_an_import_of_the_face_loads_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import sysgate; print(*sorted(set(sys.modules) - before))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(shown) <= {"__future__", "sysgate"}
