"""Notes about confined processes: found again by who may, and whatever lies there instead is no note."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sysgate.api import Policy
from sysgate.kernel import procfs
from sysgate.life import registry
from sysgate.life.status import read

POLICY = Policy.parse("default: allow\nmkdir: 0 else errno(EACCES)\n", "app.policy")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "sysgate"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def mine(pid: int) -> list[registry.Entry]:
    return [entry for entry in registry.entries(os.getuid()) if entry.pid == pid]


def test_a_note_is_found_again_and_says_what_was_put_in_force(folder: Path, sleeper: subprocess.Popen[bytes]) -> None:
    path = registry.record(sleeper.pid, POLICY, form="native", how="sysgate run")
    assert path is not None
    (entry,) = mine(sleeper.pid)
    assert (entry.form, entry.how, entry.name, entry.owner) == ("native", "sysgate run", "app.policy", os.getuid())
    assert entry.started == procfs.start_time(sleeper.pid)
    assert read(entry) == POLICY
    assert folder.stat().st_mode & 0o777 == 0o700
    assert Path(path).stat().st_mode & 0o777 == 0o600
    registry.forget(path)
    registry.forget(path)
    assert mine(sleeper.pid) == []


def test_a_note_about_a_process_that_ended_is_tidied_up(folder: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        path = registry.record(process.pid, POLICY, form="native", how="x")
        process.kill()
    assert path is not None
    assert mine(process.pid) == []
    assert not Path(path).exists()


def test_a_pid_used_again_is_another_process(folder: Path, sleeper: subprocess.Popen[bytes]) -> None:
    path = registry.record(sleeper.pid, POLICY, form="native", how="x")
    assert path is not None
    text = Path(path).read_text()
    started = procfs.start_time(sleeper.pid)
    older = Path(path.replace(f".{started}.", f".{started - 1}."))  # type: ignore[operator]
    older.write_text(text.replace(f"started: {started}", f"started: {started - 1}"))  # type: ignore[operator]
    Path(path).unlink()
    assert mine(sleeper.pid) == []


def test_a_note_says_in_its_name_what_it_says_inside(folder: Path, sleeper: subprocess.Popen[bytes]) -> None:
    path = registry.record(sleeper.pid, POLICY, form="native", how="x")
    assert path is not None
    os.rename(path, path + "7")
    assert mine(sleeper.pid) == []


@pytest.mark.parametrize("what", ["empty", "garbage", "cut off", "a pipe", "a link", "a folder", "huge", "unreadable"])
def test_whatever_else_lies_there_is_no_note(folder: Path, sleeper: subprocess.Popen[bytes], what: str) -> None:
    path = registry.record(sleeper.pid, POLICY, form="native", how="x")
    assert path is not None
    note = Path(path)
    raw = note.read_bytes()
    note.unlink()
    if what == "empty":
        note.touch()
    elif what == "garbage":
        note.write_bytes(b"sysgate registry 1\n\xff\xfe\0pid: \x80\n\n")
    elif what == "cut off":
        note.write_bytes(raw[:60])
    elif what == "a pipe":
        os.mkfifo(note)
    elif what == "a link":
        (folder.parent / "elsewhere").write_bytes(raw)
        note.symlink_to(folder.parent / "elsewhere")
    elif what == "a folder":
        note.mkdir()
    elif what == "huge":
        with note.open("wb") as file:
            file.truncate(64 << 20)
    else:
        note.write_bytes(raw)
        note.chmod(0)
        if os.geteuid() == 0:
            return  # nothing is unreadable to root
    assert mine(sleeper.pid) == []


@pytest.mark.parametrize("what", ["others may write", "a link", "a file"])
def test_a_folder_that_others_could_have_made_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sleeper: subprocess.Popen[bytes], what: str
) -> None:
    monkeypatch.setattr(registry, "_places", lambda uid: (str(tmp_path / "sysgate"),))
    folder = tmp_path / "sysgate"
    if what == "others may write":
        folder.mkdir()
        folder.chmod(0o777)
    elif what == "a link":
        (tmp_path / "real").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "real")
    else:
        folder.touch()
    assert registry.record(sleeper.pid, POLICY, form="native", how="x") is None
    assert registry.entries(os.getuid()) == ()


def test_a_folder_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving a folder away takes root")
    monkeypatch.setattr(registry, "_places", lambda uid: (str(tmp_path / "sysgate"),))
    (tmp_path / "sysgate").mkdir(mode=0o700)
    os.chown(tmp_path / "sysgate", 65534, 65534)
    assert registry.record(os.getpid(), POLICY, form="native", how="x") is None


@pytest.mark.parametrize("text", ['include "/etc/passwd"', "read: fd ==", "\0", 'default: allow\ninclude "x"'])
def test_a_note_is_read_without_opening_what_it_names(text: str) -> None:
    entry = registry.Entry(1, 1, 1, "", "native", "x", "sysgate", "app.policy", text)
    assert read(entry) is None


def test_a_name_with_a_newline_stays_on_its_line(folder: Path, sleeper: subprocess.Popen[bytes]) -> None:
    policy = Policy.parse("default: allow", "a\nform: forged\n\nmkdir: 1")
    registry.record(sleeper.pid, policy, form="native", how="x")
    (entry,) = mine(sleeper.pid)
    assert (entry.form, read(entry)) == ("native", policy)


@pytest.mark.parametrize("field", ["name", "how"])
def test_what_a_note_says_cannot_reach_into_a_terminal(
    folder: Path, sleeper: subprocess.Popen[bytes], field: str
) -> None:
    path = registry.record(sleeper.pid, POLICY, form="native", how="run")
    assert path is not None
    head, line, rest = Path(path).read_text().partition(f"\n{field}: ")
    Path(path).write_text(f"{head}{line}a\x1b[2J\r\u202eb\n{rest.partition(chr(10))[2]}")
    (entry,) = mine(sleeper.pid)
    assert getattr(entry, field).isprintable()
    assert getattr(entry, field).startswith("a\\")
