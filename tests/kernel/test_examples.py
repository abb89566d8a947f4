"""The examples run their real programs, and each shows something being refused."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

import sysgate

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SIGSYS = -signal.SIGSYS


def load(name: str) -> sysgate.Policy:
    return sysgate.Policy.load(EXAMPLES / name)


def behind(name: str, argv: list[str], **kwargs: object) -> sysgate.Completed:
    return sysgate.run(argv, policy=load(name), capture_output=True, text=True, timeout=30, **kwargs)


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> str:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler to build the static example")
    made = tmp_path_factory.mktemp("static") / "static"
    options = ["-nostdlib", "-static", "-O1", "-fno-stack-protector"]
    subprocess.run(["cc", *options, "-o", made, EXAMPLES / "2011" / "static.c"], check=True)
    return str(made)


def test_the_rules_of_2011_run_a_static_program(static: str) -> None:
    done = behind("2011/static.policy", [static], input="hello\n")
    assert (done.returncode, done.stdout, done.denials) == (0, "hello\n", ())
    assert done.confined


def test_the_rules_of_2011_kill_it_when_it_asks_for_more(static: str) -> None:
    done = behind("2011/static.policy", [static, "mkdir"], input="hello\n")
    assert (done.returncode, done.stdout) == (SIGSYS, "")
    (denial,) = done.denials
    assert denial.text == 'mkdir("forbidden", 0700)'
    assert (denial.action, denial.rule) == ("kill_process", None)


def test_the_rules_of_2011_run_a_dynamic_program() -> None:
    done = behind("2011/dynamic.policy", ["head", "-c", "3"], input="hello\n")
    assert (done.returncode, done.stdout, done.denials) == (0, "hel", ())


def test_the_rules_of_2011_kill_a_dynamic_program_that_asks_for_more(tmp_path: Path) -> None:
    done = behind("2011/dynamic.policy", ["mkdir", str(tmp_path / "x")])
    assert done.returncode == SIGSYS
    assert not (tmp_path / "x").exists()
    assert len(done.denials) == 1


def test_cat_reads_files_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("inside\n")
    done = behind("cat.policy", ["cat", str(file)])
    assert (done.returncode, done.stdout, done.denials) == (0, "inside\n", ())
    touch = behind("cat.policy", ["touch", str(tmp_path / "b")])
    assert touch.returncode == 1
    assert not (tmp_path / "b").exists()
    assert any(denial.call.name == "openat" and denial.action == "errno" for denial in touch.denials)


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    pixels = zlib.compress(b"".join(b"\0" + bytes([100]) * width for _ in range(height)))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("kind", "document", "summary"),
    [
        ("json", json.dumps({"a": [1] * 20000}).encode(), "dict of 1"),
        ("xml", b"<a><b/><c>" + b"<d/>" * 5000 + b"</c></a>", "<a> with 5002 elements inside"),
        ("png", png(300, 200), "300×200, mean 99"),
    ],
)
def test_the_worker_parses_with_memory_and_pipes_alone(kind: str, document: bytes, summary: str) -> None:
    worker = [sys.executable, str(EXAMPLES / "worker.py"), kind]
    done = subprocess.run(worker, input=document, capture_output=True, timeout=30)
    assert (done.returncode, done.stdout.decode().strip()) == (0, summary), done.stderr


def test_the_worker_cannot_open_a_file() -> None:
    code = f"""
import sysgate
sysgate.Policy.load({str(EXAMPLES / "worker.policy")!r}).install()
open("/etc/passwd")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30)
    assert done.returncode == SIGSYS


def test_a_shell_without_exotic_interfaces() -> None:
    bpf = "import ctypes as c; x = c.CDLL(None, use_errno=True); print(x.syscall(321, 0, 0, 0), c.get_errno())"
    done = behind("no-exotic-kernel.policy", ["sh", "-c", f"echo free; {sys.executable} -c '{bpf}'"])
    assert done.stdout == "free\n-1 38\n"
    assert [denial.call.name for denial in done.denials] == ["bpf"]


NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="no node to run the JIT example")
def test_the_jit_computes_but_cannot_write_connect_or_start_programs(tmp_path: Path) -> None:
    script = tmp_path / "script.js"
    target = tmp_path / "written"
    script.write_text(f"""
let sum = 0; for (let i = 0; i < 1e6; i++) sum += i; console.log(sum);
const tried = (what, f) => {{ try {{ f(); console.log(what, "done"); }} catch (e) {{ console.log(what, e.code); }} }};
tried("write", () => require("fs").writeFileSync({str(target)!r}, "x"));
tried("spawn", () => {{ const r = require("child_process").spawnSync("/bin/true"); if (r.error) throw r.error; }});
require("net").connect(1, "127.0.0.1").on("error", e => console.log("connect", e.code));
""")
    done = behind("jit.policy", [str(NODE), str(script)])
    lines = done.stdout.splitlines()
    assert lines[0] == "499999500000", done.stderr
    assert "write EROFS" in lines
    assert any(line.startswith("spawn E") for line in lines)
    assert "connect EACCES" in lines
    assert not target.exists()


def test_sqlite_touches_only_the_file_that_is_open(tmp_path: Path) -> None:
    database, other = tmp_path / "app.db", tmp_path / "other.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE people (name)")
        connection.execute("INSERT INTO people VALUES ('Ada')")
    connection.close()

    def ask(query: str) -> subprocess.CompletedProcess[str]:
        script = [sys.executable, str(EXAMPLES / "sqlite.py"), str(database), query]
        return subprocess.run(script, capture_output=True, text=True, timeout=30)

    assert ask("SELECT name FROM people").stdout == "Ada\n"
    assert ask("INSERT INTO people VALUES ('Bo')").returncode == 0
    assert ask("SELECT count(*) FROM people").stdout == "2\n"
    refused = ask(f"ATTACH '{other}' AS other")
    assert refused.returncode == 1
    assert "unable to open database" in refused.stderr
    assert not other.exists()


# Calls that 2011 first had to make filterable, made raw: (number, arguments), the errno expected.
FILTERABLE: list[tuple[str, tuple[int, ...], int | None]] = [
    ("clone", (0x10000000 | 17, 0, 0, 0, 0), 1),  # CLONE_NEWUSER: EPERM, by the rule
    ("unshare", (0x10000000,), 1),
    ("unshare", (0,), None),  # nothing to unshare: passes
    ("vfork", (), 11),
    ("iopl", (3,), 13),
    ("modify_ldt", (1, 0, 0), 13),
    ("modify_ldt", (0, 0, 0), None),  # reading passes
]


@pytest.mark.parametrize(("call", "args", "errno"), FILTERABLE)
def test_the_calls_that_2011_made_filterable(call: str, args: tuple[int, ...], errno: int | None) -> None:
    from sysgate.facts import calls

    number = calls.number("x86_64", call)
    code = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.syscall({", ".join(map(str, (number, *args)))}), ctypes.get_errno())
"""
    done = behind("2011/filterable.policy", [sys.executable, "-c", code])
    result, got = map(int, done.stdout.split())
    assert (result == -1 and got == errno) if errno else result >= 0, done.stderr
    assert [denial.call.name for denial in done.denials] == ([call] if errno else [])


def test_every_example_is_proved(sysgate: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    files = sorted(map(str, EXAMPLES.rglob("*.policy")))
    assert len(files) >= 8
    assert sysgate("check", *files).returncode == 0
