"""`sysgate prove`, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

POLICY = "read, write: fd < 3\nopenat: (flags & O_ACCMODE) == O_RDONLY else errno(EROFS)\n"


@pytest.fixture
def files(sysgate, tmp_path: Path) -> Path:
    (tmp_path / "a.policy").write_text(POLICY)
    (tmp_path / "wider.policy").write_text(POLICY.replace("fd < 3", "fd <= 3"))
    for name in ("a", "wider"):
        done = sysgate("compile", f"{name}.policy", "-o", f"{name}.bpf", "--arch", "x86_64", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    return tmp_path


def test_a_policy_is_proved_against_what_sysgate_compiles(sysgate, files: Path) -> None:
    done = sysgate("prove", "a.policy", "--arch", "x86_64", cwd=files)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("proved equal: a.policy and its program answer every call on x86_64 alike (")


def test_a_program_is_proved_against_a_policy(sysgate, files: Path) -> None:
    assert sysgate("prove", "a.policy", "a.bpf", "--arch", "x86_64", cwd=files).returncode == 0


def test_where_they_differ_exit_is_1_with_a_call_that_shows_it(sysgate, files: Path) -> None:
    done = sysgate("prove", "a.policy", "wider.bpf", "--arch", "x86_64", cwd=files)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "the program answers allow where the policy says kill_process" in done.stderr
    assert "counterexample: read(3, " in done.stderr or "counterexample: write(3, " in done.stderr


def test_two_programs_are_proved_against_each_other(sysgate, files: Path) -> None:
    same = sysgate("prove", "a.bpf", "a.bpf", "--json", cwd=files)
    assert same.returncode == 0
    told = json.loads(same.stdout)
    assert (told["proved"], told["method"]) == (True, "boxes")
    assert told["instructions"] > 5
    other = sysgate("prove", "a.bpf", "wider.bpf", "--json", cwd=files)
    assert other.returncode == 1
    told = json.loads(other.stdout)
    assert told["proved"] is False
    assert told["counterexample"]["arch"] == "x86_64"
    assert told["counterexample"]["args"][0] & 0xFFFF_FFFF == 3


def test_a_program_from_standard_input(sysgate, files: Path) -> None:
    raw = (files / "a.bpf").read_bytes()
    done = sysgate("prove", "a.policy", "-", "--arch", "x86_64", cwd=files, input=raw, text=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.bpf"], "a.bpf is a program"),
        (["a.policy", "none.bpf"], "none.bpf: No such file"),
        (["a.policy", "a.policy"], "a.policy: "),
        (["none.policy"], "none.policy"),
        (["a.policy", "--arch", "vax"], "unknown architecture"),
    ],
)
def test_what_cannot_be_compared_is_said_in_words(sysgate, files: Path, words: list[str], said: str) -> None:
    done = sysgate("prove", *words, cwd=files)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
