"""`sysgate compile` and `sysgate prove`, as a person types them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sysgate import Policy, Program

POLICY = "default: errno(EPERM)\nread: fd == 0\nwrite: fd in {1, 2}\nexit_group: 1\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "a.policy"
    made.write_text(POLICY)
    return made


def test_raw_is_the_instruction_array_and_nothing_else(sysgate, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.bpf"
    assert sysgate("compile", str(file), "-o", str(out), "--format", "raw").returncode == 0
    program = Program.from_bytes(out.read_bytes())
    assert out.stat().st_size == 8 * len(program)
    assert program.decide("write", (2,)).action == "allow"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bpf", "a.policy"]


def test_json_holds_the_same_instructions(sysgate, file: Path) -> None:
    told = json.loads(sysgate("compile", str(file), "--format", "json", "--arch", "s390x").stdout)
    program = Policy.load(file).compile("s390x")
    assert (told["arches"], told["big_endian"]) == (["s390x"], True)
    assert [(i["code"], i["jt"], i["jf"], i["k"]) for i in told["instructions"]] == list(program.insns)


def test_c_compiles(sysgate, file: Path, tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    source = tmp_path / "filter.c"
    made = sysgate("compile", str(file), "--format", "c").stdout
    source.write_text(f"{made}int main(void) {{ return !program.len; }}\n")
    subprocess.run(["cc", "-Wall", "-Werror", "-o", tmp_path / "filter", source], check=True)
    subprocess.run([tmp_path / "filter"], check=True)


def test_a_listing_names_calls(sysgate, file: Path) -> None:
    assert "write" in sysgate("compile", str(file), "--format", "listing").stdout


def test_the_same_policy_gives_the_same_bytes(sysgate, file: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        sysgate("compile", str(file), "-o", str(tmp_path / name))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    "profile",
    [
        '{"read": 10, "write": 5}',
        "read: 10  # often\nwrite: 5\n",
        '{"read": 10, "ioctl": {"count": 7, "values": {"cmd": {"TCGETS": 5, "0x5413": 1}}}}',
    ],
)
def test_a_profile_may_be_json_or_lines(sysgate, file: Path, tmp_path: Path, profile: str) -> None:
    counts = tmp_path / "counts"
    counts.write_text(profile)
    done = sysgate("compile", str(file), "--profile", str(counts), "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ("read 10", "counts:1:1"),
        ("read: \u0665", "counts:1:1"),
        ('{"read": "x"}', "counts:1:2: the profile counts how often read comes, which is not 'x'"),
        ('{"write": 1,\n "read": NaN}', "counts:2:2: "),
        ("raed: 1", "counts:1:1: the profile counts 'raed', which is no call of x86_64: did you mean read?"),
        ("write: 1\n  raed: 1  # raed", "counts:2:3: "),
        ('{"ioctl": {"count": 1, "values": {"cmd": {"TCGET": 1}}}}', "did you mean TC"),
        ('{"write": 1,\n "read" 1}', "counts:2:9: the profile is no JSON: "),
        ('{"read": ' + "9" * 5000 + "}", "a number in it is too long"),
        ("read: " + "9" * 5000, "counts:1:1"),
        ("read: " + "9" * 400, "counts:1:1"),
        ('{"read": ' + "9" * 400 + "}", "read"),
        ('{"read": ' * 100_000, "no JSON"),
        ("{", "JSON"),
        ('{"read": {"count": 1, "values": {"df": {"1": 1}}}}', "df"),
        ('{"read": {"values": {}}}', "count"),
    ],
)
def test_a_wrong_profile_is_said(sysgate, file: Path, tmp_path: Path, profile: str, said: str) -> None:
    counts = tmp_path / "counts"
    counts.write_text(profile)
    done = sysgate("compile", str(file), "--profile", str(counts), "-o", str(tmp_path / "out"))
    assert done.returncode == 1
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_dash_is_standard_output(sysgate, file: Path, tmp_path: Path) -> None:
    done = sysgate("compile", str(file), "-o", "-", "--format", "listing", cwd=tmp_path)
    assert done.stdout == sysgate("compile", str(file), "--format", "listing").stdout != ""
    assert not (tmp_path / "-").exists()


def test_a_profile_is_no_device_without_end(sysgate, file: Path) -> None:
    assert "a device, not a file" in sysgate("compile", str(file), "--profile", "/dev/zero", "-o", "/dev/null").stderr


def test_a_wrong_policy_leaves_the_output_alone(sysgate, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("before")
    file.write_text("raed: 1\n")
    assert sysgate("compile", str(file), "-o", str(out)).returncode == 1
    assert out.read_text() == "before"


def test_a_link_stays_one_and_a_descriptor_is_written_to(sysgate, file: Path, tmp_path: Path) -> None:
    out, link = tmp_path / "out", tmp_path / "link"
    link.symlink_to(out)
    for _ in range(2):
        assert sysgate("compile", str(file), "-o", str(link)).returncode == 0
        assert link.is_symlink()
        assert Program.from_bytes(out.read_bytes()).decide("write", (2,)).action == "allow"
    line = f"{sys.executable} -m sysgate compile {file} -o /dev/fd/1 > {tmp_path}/by_name"
    assert subprocess.run(["sh", "-c", line]).returncode == 0
    assert (tmp_path / "by_name").read_bytes() == out.read_bytes()


def test_what_cannot_be_written_leaves_nothing_behind(sysgate, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("before")
    line = f"ulimit -f 0; {sys.executable} -m sysgate compile {file} -o {out}"
    done = subprocess.run(["bash", "-c", f"trap '' XFSZ; {line}"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"sysgate: {out}: File too large\n")
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.policy", "out"]


def test_nothing_is_compiled_into_a_closed_standard_output(file: Path) -> None:
    line = f"{sys.executable} -m sysgate compile {file} >&-"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
    assert done.returncode == 1
    assert "standard output is closed" in done.stderr


def test_byte_orders_do_not_mix(sysgate, file: Path) -> None:
    done = sysgate("compile", str(file), "--arch", "x86_64", "--arch", "s390x", "--format", "json")
    assert done.returncode == 1
    assert "big-endian" in done.stderr


def test_a_program_is_proved_against_its_policy(sysgate, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.bpf"
    sysgate("compile", str(file), "-o", str(out))
    assert sysgate("prove", str(file)).returncode == 0
    assert "equal" in sysgate("prove", str(file), str(out)).stdout
    assert sysgate("prove", str(out), str(out)).returncode == 0
    assert json.loads(sysgate("prove", "--json", str(file), str(out)).stdout)["proved"] is True


def test_a_difference_is_shown_by_a_call_and_exit_1(sysgate, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.bpf"
    sysgate("compile", str(file), "-o", str(out))
    file.write_text(POLICY.replace("fd in {1, 2}", "fd in {1, 3}"))
    done = sysgate("prove", str(file), str(out))
    assert done.returncode == 1
    assert "counterexample: write(" in done.stderr
    told = json.loads(sysgate("prove", "--json", str(file), str(out)).stdout)
    assert told["proved"] is False
    assert told["counterexample"]["nr"] == 1
    assert told["counterexample"]["args"][0] & 0xFFFFFFFF in (2, 3)


def test_what_is_neither_policy_nor_program_is_said(sysgate, file: Path, tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"\x00\x01\x02")
    for words in ((str(file), str(junk)), (str(junk),), (str(file), str(tmp_path / "none"))):
        done = sysgate("prove", *words)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
