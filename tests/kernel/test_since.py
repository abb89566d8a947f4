"""`since: 5.4` on the running kernel: later calls and unknown numbers answer ENOSYS, older ones are the kernel's."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest

from sysgate.facts import ages, calls

# Every argument is -1, so that a call which does pass is refused by the kernel itself, with another errno.
CODE = """
import ctypes, json, sys
import sysgate
numbers = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
sysgate.Policy.parse("since: 5.4\\ndefault: allow\\n").install()
answers = []
for number in numbers:
    ctypes.set_errno(0)
    libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6)
    answers.append(ctypes.get_errno())
print(json.dumps(answers))
"""


def test_newcomers_and_unknown_numbers_answer_enosys() -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("needs x86_64")
    table = calls.table("x86_64")
    # The kernel asks no filter about these two, and kills who calls them out of place (kernel/seccomp.c, 6.14).
    asked = {call: number for call, number in table.items() if call not in ("uretprobe", "uprobe")}
    later = sorted(number for call, number in asked.items() if (ages.since(call) or (0,)) > (5, 4))
    assert table["openat2"] in later
    assert table["clone3"] not in later  # of 5.3
    unknown = [number for number in range(600) if number not in table.values()] + [100_000, 0x3FFF_FFFF, -1, -2]
    older = [table[call] for call in ("openat", "clone3", "io_uring_register", "pidfd_open", "close", "mprotect")]
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps([*later, *unknown, *older])], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert answers[: -len(older)] == [errno.ENOSYS] * (len(later) + len(unknown))
    assert errno.ENOSYS not in answers[-len(older) :]
