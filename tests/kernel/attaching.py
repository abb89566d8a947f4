"""Processes to attach to, and the attaching: both as root or as an ordinary user, and outside of pytest's process."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

AsUser = Callable[[Sequence[str]], list[str]]

SOURCES = Path(__file__).parent
NO_MKDIR = ("default: allow", "mkdir, mkdirat: 0 else errno(EACCES)")
BOTH_ABIS = (*NO_MKDIR, "[i386]", "getpid: 1")


@cache
def built(source: str, *flags: str) -> str:
    """A program compiled from a source beside the tests; the test is skipped where that cannot be done."""
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc here")
    folder = tempfile.mkdtemp(prefix="sysgate-test-")
    os.chmod(folder, 0o755)
    program = str(Path(folder, "program"))
    command = ["gcc", "-O1", "-pthread", *flags, "-o", program, str(SOURCES / source)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"gcc cannot build for {' '.join(flags) or 'this machine'} here")
    return program


@contextmanager
def target(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A running process that has said that it is ready."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for tid in os.listdir(f"/proc/{process.pid}/task"):
            _until_it_waits(f"/proc/{process.pid}/task/{tid}/stat")
        yield process
    finally:
        process.kill()
        process.communicate()


def _until_it_waits(stat: str) -> None:
    # Some never do; a little patience is enough for the others.
    for _ in range(20):
        if Path(stat).read_text().rpartition(")")[2].split()[0] != "R":
            return
        time.sleep(0.01)


def attach(as_user: AsUser, pid: int, *rules: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """`sysgate attach` with these rules."""
    words = [word for rule in rules for word in ("-e", rule)]
    command = as_user([sys.executable, "-m", "sysgate", "attach", str(pid), *words, *options])
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def state(pid: int) -> tuple[list[str], ...]:
    """All that attaching could change and /proc shows: of each thread its state, filters and signals, and its call."""
    keys = ("State", "TracerPid", "Seccomp", "Seccomp_filters", "NoNewPrivs", "SigPnd", "ShdPnd", "SigBlk")
    found = []
    for tid in sorted(os.listdir(f"/proc/{pid}/task")):
        folder = Path(f"/proc/{pid}/task/{tid}")
        lines = (folder / "status").read_text().splitlines()
        call = (folder / "syscall").read_text() if os.geteuid() == 0 else ""
        # A sleep that was stopped and goes on is in restart_syscall, with the arguments and the end it had.
        call = call.replace("219 ", "35 ", 1) if call.startswith("219 ") else call
        found.append([line for line in lines if line.partition(":")[0] in keys] + [call])
    return tuple(found)


NGINX_CONF = """
worker_processes 2;
daemon off;
pid {folder}/pid;
error_log {folder}/errors;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; location / {{ return 200 "here\\n"; }} }}
}}
"""


def nginx(folder: Path, port: int) -> list[str]:
    """The command for an nginx that answers on a port of this machine; the test is skipped where there is none."""
    program = next((path for path in ("/usr/sbin/nginx", "/usr/bin/nginx") if os.path.exists(path)), None)
    if program is None:
        pytest.skip("there is no nginx here")
    (folder / "conf").write_text(NGINX_CONF.format(folder=folder, port=port))
    return [program, "-p", str(folder), "-c", str(folder / "conf"), "-e", str(folder / "errors")]


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for_port(port: int) -> None:
    for _ in range(200):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("the server does not listen")
