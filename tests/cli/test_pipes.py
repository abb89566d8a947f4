"""Policies that come through pipes, as shells make them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SYSGATE = f"{sys.executable} -m sysgate"
POLICY = "default: allow\nmkdir: 0 else errno(EROFS)\n"


def bash(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, cwd="/")


@pytest.mark.parametrize(
    "policy",
    [
        "-p <(printf '{text}')",
        "-p /dev/stdin < <(printf '{text}')",
        "-p - < <(printf '{text}')",
        "-p - <<< $'{text}'",
        "-p <(printf 'default: allow\\n') -p <(sleep 0.2; printf '{text}')",
        "-p <(printf 'default: allow\\n') -e 'mkdir: 0 else errno(EROFS)'",
    ],
)
def test_run_takes_a_policy_from_a_pipe(policy: str) -> None:
    options = policy.replace("{text}", POLICY.replace("\n", "\\n"))
    words, _, redirected = options.partition(" <") if options.startswith(("-p -", "-p /")) else (options, "", "")
    done = bash(f"{SYSGATE} run --quiet {words} -- mkdir /tmp/sysgate-never {'<' * bool(redirected)}{redirected}")
    assert "Read-only file system" in done.stderr
    assert done.returncode == 1


def test_the_rule_of_a_refusal_is_in_the_pipe() -> None:
    done = bash(f"{SYSGATE} run -p - -- mkdir /tmp/sysgate-never <<< $'default: allow\\nmkdir: 0 else errno(EROFS)'")
    assert "<stdin>:2: mkdir: 0 else errno(EROFS)" in done.stderr


def test_a_generator_that_gives_nothing_is_no_policy() -> None:
    done = bash(f"{SYSGATE} run -p <(false) -- true")
    assert done.returncode == 125
    assert "nothing comes from it" in done.stderr


@pytest.mark.parametrize("command", ["check", "fmt", "compile", "run -p"])
def test_a_closed_standard_input_is_said(command: str) -> None:
    done = bash(f"{SYSGATE} {command} - <&- {'true' * command.startswith('run')}")
    assert done.returncode == (125 if command.startswith("run") else 1)
    assert "<stdin>: standard input is closed" in done.stderr


def test_other_commands_read_pipes_too() -> None:
    assert bash(f"{SYSGATE} check <(printf 'read: 1\\n')").returncode == 0
    assert bash(f"{SYSGATE} explain <(printf 'read: 1\\n') read").stdout.startswith("read on ")
    assert bash(f"{SYSGATE} diff <(printf 'read: 1\\n') <(printf 'read: 0\\n')").returncode == 1


def test_fmt_does_not_put_a_file_in_the_place_of_a_pipe(tmp_path: Path) -> None:
    assert "`sysgate fmt -` reads and prints" in bash(f"{SYSGATE} fmt <(printf 'read:1\\n')").stderr
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    done = bash(f"printf 'read:1\\n' > {fifo} & {SYSGATE} fmt {fifo}")
    assert "is no file" in done.stderr
    assert fifo.is_fifo()


def test_programs_come_through_pipes_like_policies() -> None:
    policy, program = "<(printf 'read: 1\\n')", f"<({SYSGATE} compile <(printf 'read: 1\\n'))"
    for words in (f"{policy} {program}", f"{program} {policy}", f"{program} {program}"):
        assert bash(f"{SYSGATE} diff {words}").returncode == 0, words
    assert bash(f"{SYSGATE} prove {program} {program}").returncode == 0
    assert bash(f"{SYSGATE} compile <(printf 'read: 1\\n') | {SYSGATE} diff - {policy}").returncode == 0


@pytest.mark.parametrize("command", ["disasm -", "prove @startup -", "diff - @startup"])
def test_a_program_from_a_closed_standard_input_is_said(command: str) -> None:
    done = bash(f"{SYSGATE} {command} <&-")
    assert (done.returncode, done.stdout) == (1, "")
    assert "<stdin>: standard input is closed" in done.stderr


def test_a_policy_where_a_program_is_wanted_is_said() -> None:
    done = bash(f"{SYSGATE} prove @startup <(printf 'read: 1\\n')")
    assert done.returncode == 1
    assert "text, and no program: `sysgate compile` makes one of a policy" in done.stderr
