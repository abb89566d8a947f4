"""`sysgate diff` tells policies and programs apart, and exits 1 when it can."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def files(tmp_path):
    (tmp_path / "one.policy").write_text("[x86_64]\nread: fd > 2\nwrite: 1\n")
    (tmp_path / "other.policy").write_text("[x86_64]\nread: fd >= 2 else errno(EPERM)\nwrite: 1\n")
    (tmp_path / "same.policy").write_text("[x86_64]\nwrite: 1\nread: !(fd <= 2)\n")
    return tmp_path


def test_the_differences_are_shown_and_the_exit_code_is_one(sysgate, files):
    done = sysgate("diff", "one.policy", "other.policy", "--arch", "x86_64", cwd=files)
    assert done.returncode == 1
    assert done.stdout == (
        "--- one.policy\n+++ other.policy\n[x86_64]\n"
        "read: fd < 2\n    - kill\n    + errno(EPERM)\n"
        "read: fd == 2\n    - kill\n    + allow\n"
    )


def test_equal_meaning_is_said_and_the_exit_code_is_zero(sysgate, files):
    done = sysgate("diff", "one.policy", "same.policy", "--arch", "x86_64", cwd=files)
    assert (done.returncode, done.stdout) == (0, "the two mean the same on x86_64\n")


def test_json_tells_every_difference(sysgate, files):
    done = sysgate("diff", "one.policy", "other.policy", "--arch", "amd64", "--json", cwd=files)
    found = json.loads(done.stdout)
    assert (done.returncode, found["equal"], found["arches"]) == (1, False, ["x86_64"])
    assert found["differences"][1] == {
        "arches": ["x86_64"],
        "calls": ["read"],
        "condition": "fd == 2",
        "one": {"action": "kill_process", "data": 0},
        "other": {"action": "allow", "data": 0},
    }


def test_a_raw_program_is_compared_like_a_policy(sysgate, files):
    made = sysgate("compile", "one.policy", "-o", "one.bpf", "--format", "raw", "--arch", "x86_64", cwd=files)
    assert made.returncode == 0, made.stderr
    assert sysgate("diff", "one.policy", "one.bpf", "--arch", "x86_64", cwd=files).returncode == 0
    assert sysgate("diff", "one.bpf", "other.policy", "--arch", "x86_64", cwd=files).returncode == 1
    assert sysgate("diff", "one.bpf", "one.bpf", cwd=files).returncode == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["one.policy", "absent.policy"], "absent.policy: cannot be read"),
        (["one.policy", "other.policy", "--arch", "vax"], "unknown architecture 'vax'"),
        (["one.policy", "broken.policy"], "broken.policy:1:"),
    ],
)
def test_what_cannot_be_compared_is_said_in_words(sysgate, files, words, reason):
    (files / "broken.policy").write_text("raed: 1\n")
    done = sysgate("diff", *words, cwd=files)
    assert done.returncode == 1
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
