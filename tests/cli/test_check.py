"""`sysgate check`, as a person types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

KEYS = {"file", "syscalls", "rules", "arches", "instructions", "proved", "const_allow", "warnings"}


def test_a_right_policy_is_ok(sysgate, tmp_path: Path) -> None:
    file = tmp_path / "a.policy"
    file.write_text("read: 1\nwrite: fd == 1 || fd == 2\nrt_sigreturn, restart_syscall, exit_group: 1\n")
    done = sysgate("check", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert "5 calls in 3 rules" in done.stdout
    assert "proved" in done.stdout


def test_json_is_one_object_with_an_entry_a_file(sysgate, tmp_path: Path) -> None:
    right, wrong = tmp_path / "right.policy", tmp_path / "wrong.policy"
    right.write_text("read: 1\n")
    wrong.write_text("raed: 1\nwrite: fdd == 1\n")
    done = sysgate("check", "--json", str(right), str(wrong))
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert told["ok"] is False
    (entry,) = told["policies"]
    assert set(entry) == KEYS
    assert (entry["file"], entry["syscalls"], entry["rules"], entry["proved"]) == (str(right), 1, 1, True)
    assert entry["const_allow"] == 1
    assert [(error["line"], error["column"]) for error in told["errors"]] == [(1, 1), (2, 8)]
    assert "read" in told["errors"][0]["hint"]


def test_warnings_do_not_fail(sysgate, tmp_path: Path) -> None:
    file = tmp_path / "a.policy"
    file.write_text("kill: pid < 0xffffffff\n")
    done = sysgate("check", str(file))
    assert done.returncode == 0
    assert f"{file}:1: warning: `pid < 4294967295` always holds" in done.stdout


def test_a_policy_may_come_on_standard_input_or_be_a_ready_one(sysgate) -> None:
    assert sysgate("check", "-", input="read: 1\n").returncode == 0
    ready = ("@startup", "@python", "@no_network", "@no_new_programs", "@no_kernel_danger")
    assert sysgate("check", *ready).returncode == 0


def test_a_file_that_is_not_there_is_said(sysgate, tmp_path: Path) -> None:
    done = sysgate("check", str(tmp_path / "none"))
    assert done.returncode == 1
    assert "none" in done.stderr
    assert "Traceback" not in done.stderr


def test_standard_output_may_be_full_or_closed(sysgate) -> None:
    with open("/dev/full", "w") as full:
        done = sysgate("check", "@startup", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, "sysgate: cannot write: No space left on device\n")
    closed = subprocess.run(["sh", "-c", f"{sys.executable} -m sysgate check @startup >&-"], capture_output=True)
    assert (closed.returncode, closed.stderr) == (0, b"")


@pytest.mark.parametrize("name", ["a\nb.policy", "a\x1b[31mb.policy", "a\u202eb.policy"])
def test_a_files_name_cannot_act_on_the_terminal(sysgate, tmp_path, name: str) -> None:
    for text in ("raed: 1\n", "openat: flags < O_CREAT\nunlink: 1\n", None, b"\xff\n"):
        file = tmp_path / name
        if text is not None:
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        for words in (["check"], ["fmt", "--check"], ["fmt", "--diff"], ["diff", "/dev/null"], ["prove", "/dev/null"]):
            done = sysgate(*words, str(file))
            assert name not in done.stdout + done.stderr, words
        for words in (["explain", str(file), "openat"], ["run", "-p", str(file), "--", "true"]):
            done = sysgate(*words)
            assert name not in done.stdout + done.stderr, words
        for words in (
            ["disasm", str(file)],
            ["disasm", "--policy", str(file)],
            ["compile", str(file), "-o", str(file)],
        ):
            done = sysgate(*words)
            assert name not in done.stdout + done.stderr, words
        file.unlink(missing_ok=True)
    done = sysgate("run", "--complain", "-o", str(tmp_path / name / "x"), "--", "true")
    assert name not in done.stderr
    done = sysgate("run", "-e", "default: allow", "--", str(tmp_path / name))
    assert name not in done.stderr
    assert done.returncode == 127
