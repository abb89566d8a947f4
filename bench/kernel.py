"""What programs cost on the kernel that runs here: nanoseconds a call, and microseconds to install."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from sysgate.bpf import insn
from sysgate.bpf.program import Program, to_bytes

# The smallest filter that must run at all: it looks at an argument, so the bitmap cannot answer for it.
TWO = to_bytes(Program(((insn.LD_ABS, 0, 0, 16), (insn.RET_K, 0, 0, 0x7FFF0000)), False))

# A call whose arguments each policy tests, made so that it fails at once: number and four arguments.
CALLS = {
    "P1": ("personality(0xffffffff)", 135, (0xFFFFFFFF, 0, 0, 0)),
    "P2": ("mmap(0, 0, PROT_READ, MAP_PRIVATE)", 9, (0, 0, 1, 2)),
    "P3": ("ioctl(-1, TCGETS)", 16, (0xFFFFFFFFFFFFFFFF, 0x5401, 0, 0)),
    "P5": ("read(-1, 0, 4096)", 0, (0xFFFFFFFFFFFFFFFF, 0, 4096, 0)),
}


class Cost(NamedTuple):
    """ns: least nanoseconds of a call. install: least microseconds of seccomp()."""

    ns: float
    install: float


def available() -> str:
    """Why nothing can be measured here; "" if it can."""
    if os.uname().machine != "x86_64":
        return "this is no x86_64"
    return "" if shutil.which("gcc") else "there is no gcc"


def measure(number: int, arguments: tuple[int, ...], filters: dict[str, bytes | None], rounds: int) -> dict[str, Cost]:
    """The cost of one call behind each filter, measured in turn; None is no filter at all."""
    with tempfile.TemporaryDirectory() as folder:
        measurer = Path(folder, "percall")
        source = Path(__file__).with_suffix("").with_name("percall.c")
        subprocess.run(["gcc", "-O2", "-o", measurer, source], check=True)
        names = []
        for at, raw in enumerate(filters.values()):
            names.append("-")
            if raw is not None:
                names[-1] = str(Path(folder, f"{at}.bpf"))
                Path(names[-1]).write_bytes(raw)
        command = [str(measurer), str(rounds), str(number), *map(str, arguments), *names]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    costs = [Cost(float(ns), float(install) / 1000) for ns, install in map(str.split, done.stdout.splitlines())]
    return dict(zip(filters, costs, strict=True))
