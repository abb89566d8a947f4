"""`Abilities` tries what it tells of, and changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sysgate.kernel.abilities import Abilities, probe

CODE = """
import json
from sysgate.kernel.abilities import probe
found = probe()
print(json.dumps({name: getattr(found, name) for name in found._fields}))
"""


def probed(before: str = "", wrap: Callable[[Sequence[str]], list[str]] = list) -> dict[str, object]:
    done = subprocess.run(wrap([sys.executable, "-c", before + CODE]), capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def narrowed(rules: str) -> str:
    return f"import sysgate\nsysgate.Policy.parse({'default: allow' + chr(10) + rules!r}).install()\n"


def test_probing_leaves_no_filter_no_child_and_no_descriptor() -> None:
    fds = os.listdir("/proc/self/fd")
    probe()
    assert os.listdir("/proc/self/fd") == fds
    assert "Seccomp_filters:\t0\n" in Path("/proc/self/status").read_text()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_it_is_a_value() -> None:
    first, second = probe(), probe()
    assert first == second
    assert isinstance(first, Abilities)


def test_root_and_user_find_different_things(as_user: Callable[[Sequence[str]], list[str]]) -> None:
    found = probed(wrap=as_user)
    root = as_user([]) == [] and os.geteuid() == 0
    assert found["no_new_privs_needed"] is not root
    assert found["launch"] is True
    assert "errno" in found["actions"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("rules", "lost"),
    [
        ("seccomp: (op == 0) else errno(EPERM)", {"notify": False, "flags": [], "actions": []}),
        ("ptrace: 0 else errno(EPERM)", {"ptrace": False}),
        ("process_vm_readv: 0 else errno(EPERM)", {"read_memory": False}),
        ("clone3: 0 else errno(ENOSYS)", {"clone3": False}),
        ("pidfd_open: 0 else errno(ENOSYS)", {"pidfd": False}),
        ("bpf: 0 else errno(EPERM)", {"ebpf": False}),
        ("landlock_create_ruleset: 0 else errno(ENOSYS)", {"landlock": 0}),
        ("memfd_create: 0 else errno(EPERM)", {"launch": False}),
        ("mkdir: 0", {"filters": 1}),
    ],
)
def test_what_is_taken_away_is_missed(rules: str, lost: dict[str, object]) -> None:
    found = probed(narrowed(rules))
    assert {name: found[name] for name in lost} == lost
