"""`sysgate disasm` lists programs, and says in words what is none."""

from __future__ import annotations

import json

import pytest

from sysgate.bpf import insn
from sysgate.bpf.program import Program, to_bytes

X86_64 = 0xC000_003E
PROGRAM = Program(
    (
        (insn.LD_ABS, 0, 0, insn.ARCH),
        (insn.JEQ_K, 0, 6, X86_64),
        (insn.LD_ABS, 0, 0, insn.NR),
        (insn.JEQ_K, 0, 3, 257),  # openat
        (insn.LD_ABS, 0, 0, 32),  # its flags
        (insn.JSET_K, 2, 0, 3),
        (insn.JA, 0, 0, 0),
        (insn.RET_K, 0, 0, 0x7FFF_0000),
        (insn.RET_K, 0, 0, 0x0005_000D),
    ),
    False,
)


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "raw.bpf"
    path.write_bytes(to_bytes(PROGRAM))
    return path


LISTING = """\
0000  ld   [4]                      A = architecture
0001  jeq  #0xc000003e, 0002, 0008  if A == x86_64 → 0002, else 0008
0002  ld   [0]                      A = call number
0003  jeq  #0x101, 0004, 0007       if A == 257 (openat) → 0004, else 0007
0004  ld   [32]                     A = args[2] (flags), low half
0005  jset #0x3, 0008, 0006         if A & 0x3 → 0008, else 0006
0006  ja   0007                     → 0007
0007  ret  #0x7fff0000              allow
0008  ret  #0x5000d                 errno(EACCES)
"""


def test_a_program_is_listed_with_names(sysgate, raw):
    done = sysgate("disasm", str(raw))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == LISTING


def test_a_program_is_read_from_standard_input(sysgate, raw):
    with raw.open("rb") as opened:
        done = sysgate("disasm", "-", stdin=opened)
    assert done.stdout == LISTING


def test_json_has_an_object_an_instruction(sysgate, raw):
    shown = json.loads(sysgate("disasm", str(raw), "--json").stdout)
    assert [(one["code"], one["jt"], one["jf"], one["k"]) for one in shown] == list(PROGRAM.insns)
    assert [one["at"] for one in shown] == list(range(9))
    assert shown[3]["meaning"] == "if A == 257 (openat) → 0004, else 0007"


def test_the_names_are_those_of_the_architecture_asked_for(sysgate, tmp_path):
    path = tmp_path / "raw.bpf"
    path.write_bytes(to_bytes(Program(((insn.LD_ABS, 0, 0, 0), (insn.JEQ_K, 0, 0, 5), (insn.RET_K, 0, 0, 0)), False)))
    assert "(fstat)" in sysgate("disasm", str(path), "--arch", "x86_64").stdout
    assert "(open)" in sysgate("disasm", str(path), "--arch", "i686").stdout
    done = sysgate("disasm", str(path), "--arch", "x86_46")
    assert done.returncode == 1
    assert "unknown architecture 'x86_46'" in done.stderr


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "a program has at least one instruction"),
        (b"\x06\0\0", "3 bytes: a program is a whole number of 8-byte instructions"),
        (b"openat: 1\n  ", "instruction 0: seccomp has no instruction with code"),
        (bytes(40_000), "5000 instructions: the kernel takes at most 4096"),
        (b"\x05\0\0\0\xff\xff\xff\xff\x06\0\0\0\0\0\0\0", "instruction 0: ja jumps past the end"),
    ],
)
def test_what_is_no_program_is_refused_with_the_reason(sysgate, tmp_path, content, reason):
    path = tmp_path / "x.bpf"
    path.write_bytes(content + bytes(-len(content) % 8 if content.startswith(b"openat") else 0))
    done = sysgate("disasm", str(path))
    assert done.returncode == 1
    assert f"{path}: {reason}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_read_is_said(sysgate, tmp_path):
    done = sysgate("disasm", str(tmp_path / "absent"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "No such file or directory" in done.stderr
    assert "directory" in sysgate("disasm", str(tmp_path)).stderr
