"""`sysgate fmt` as people and their tools call it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., "CompletedProcess[str]"]
UGLY, CANONICAL = "read:fd==1 # x\n", "read: fd == 1  # x\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "app.policy"
    path.write_text(UGLY)
    return path


def test_a_file_is_rewritten_in_place(sysgate: Run, file: Path) -> None:
    file.chmod(0o640)
    done = sysgate("fmt", str(file))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"reformatted {file}\n1 file reformatted\n"
    assert file.read_text() == CANONICAL
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert os.listdir(file.parent) == [file.name]
    written = file.stat()
    again = sysgate("fmt", str(file))
    assert again.stderr == "1 file left unchanged\n"
    assert file.stat().st_ino == written.st_ino


def test_a_closed_standard_output_is_no_mistake() -> None:
    line = f"printf 'read:1' | {sys.executable} -m sysgate fmt - >&-"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_link_stays_one(sysgate: Run, file: Path) -> None:
    link = file.with_name("link")
    link.symlink_to(file.name)
    assert sysgate("fmt", str(link)).returncode == 0
    assert link.is_symlink()
    assert file.read_text() == CANONICAL


def test_check_writes_nothing_and_tells_by_its_exit_code(sysgate: Run, file: Path) -> None:
    done = sysgate("fmt", "--check", str(file))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"would reformat {file}\n1 file would be reformatted\n"
    assert file.read_text() == UGLY
    file.write_text(CANONICAL)
    done = sysgate("fmt", "--check", str(file))
    assert (done.returncode, done.stderr) == (0, "1 file would be left unchanged\n")


def test_diff_shows_what_would_change(sysgate: Run, file: Path) -> None:
    done = sysgate("fmt", "--diff", str(file))
    assert done.returncode == 1
    assert done.stdout.splitlines()[2:] == ["@@ -1 +1 @@", "-read:fd==1 # x", "+read: fd == 1  # x"]
    assert file.read_text() == UGLY
    assert sysgate("fmt", "--diff", "-", input=CANONICAL).returncode == 0
    assert sysgate("fmt", "--diff", "--check", "-", input=UGLY).returncode == 1
    done = sysgate("fmt", "--diff", "-", input="read: 1")
    assert "last newline" in done.stdout


def test_standard_input_goes_to_standard_output(sysgate: Run) -> None:
    done = sysgate("fmt", "-", input=UGLY)
    assert (done.returncode, done.stdout, done.stderr) == (0, CANONICAL, "")
    done = sysgate("fmt", "--check", "-", input=UGLY)
    assert (done.returncode, done.stdout) == (1, "")
    done = sysgate("fmt", "--stdin-filename", "app.policy", "-", input="read: fd = 1\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("app.policy:1:10: equality is `==`\n")


def test_a_file_with_mistakes_stays_as_it_is_and_others_are_done(sysgate: Run, file: Path) -> None:
    wrong = file.with_name("wrong.policy")
    wrong.write_text("read: fd = 1\nwrite:1\n")
    done = sysgate("fmt", str(wrong), str(file), str(file.parent / "none"), str(file.parent))
    assert done.returncode == 1
    assert wrong.read_text() == "read: fd = 1\nwrite:1\n"
    assert file.read_text() == CANONICAL
    assert f"{wrong}:1:10" in done.stderr
    assert done.stderr.endswith("1 file reformatted, 3 files cannot be read\n")


def test_json_tells_what_was_done(sysgate: Run, file: Path) -> None:
    wrong = file.with_name("wrong.policy")
    wrong.write_text("read: fd = 1\n")
    done = sysgate("fmt", "--json", str(file), str(wrong))
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (1, "")
    assert told["changed"] == [str(file)]
    assert told["errors"][0]["line"] == 1
    assert told["ok"] is False
    told = json.loads(sysgate("fmt", "--json", "--check", str(file)).stdout)
    assert told == {"ok": True, "changed": [], "unchanged": [str(file)], "errors": []}


def test_what_cannot_be_written_is_said_and_leaves_nothing_behind(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sysgate import SysgateError
    from sysgate.cli import fmt

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(SysgateError, match="cannot be written: Permission denied"):
        fmt._replace(str(file), CANONICAL)
    assert os.listdir(file.parent) == [file.name]
    assert file.read_text() == UGLY
