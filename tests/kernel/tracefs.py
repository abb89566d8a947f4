"""The kernel's trace events, mounted where a test may mount them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

TRACEFS = Path("/sys/kernel/tracing")


def mounted() -> Path:
    """Where tracefs is. Skips the test where it is not to be had."""
    if os.geteuid() != 0:
        pytest.skip("tracefs is for root")
    if (TRACEFS / "events").is_dir():
        return TRACEFS
    if subprocess.run(["mount", "-t", "tracefs", "nodev", TRACEFS], capture_output=True, check=False).returncode:
        pytest.skip("this kernel has no tracefs")
    return TRACEFS


def event_id(name: str) -> int:
    """The id of a call's enter event. Skips the test where there is none."""
    path = mounted() / "events/syscalls" / f"sys_enter_{name}" / "id"
    if not path.exists():
        pytest.skip("this kernel has no syscall events")
    return int(path.read_text())
