"""What a launch costs: ratios of runs made in turn, in one process.

    python bench/launch.py [ROUNDS]

`library`: sysgate.run of /bin/true, policy compiled before, to subprocess.run of the same. `command`: `sysgate run -p`
of /bin/true to `python3 -c pass`. `calls`: a program of 400,000 calls, half of which an argument decides, behind a
policy that allows them all, explained to not explained. Each round runs every candidate once, in random order, right
after what it is compared with; a ratio is the median over the rounds.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from time import perf_counter

import sysgate
from sysgate.launch.process import run

ARGV = ["/bin/true"]
DENY_LIST = "default: allow\nmkdir, mkdirat: 0 else errno(EACCES)\n"
ALLOW_LIST = """default: errno(EPERM)
brk, arch_prctl, set_tid_address, set_robust_list, rseq, prlimit64, readlink, getrandom, mprotect, read, close: 1
fstat, newfstatat, mmap, munmap, pread64, access, openat, exit_group: 1
"""
LONG = "@no_kernel_danger"  # 90 calls
MANY_CALLS = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1", "count=200000", "status=none"]
ALLOWED = "default: allow\nwrite: fd == 1 else errno(EPERM)\n"


def ratio(base: Callable[[], object], candidates: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """name → median ratio to base."""
    ratios: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    for _ in range(rounds):
        random.shuffle(names)
        for name in names:
            start = perf_counter()
            base()
            between = perf_counter()
            candidates[name]()
            ratios[name].append((perf_counter() - between) / (between - start))
    return {name: round(statistics.median(ratios[name]), 3) for name in candidates}


def plain(argv: list[str]) -> Callable[[], object]:
    return lambda: subprocess.run(argv)


def commanded(policy: str) -> Callable[[], object]:
    command = plain([os.path.join(sysconfig.get_path("scripts"), "sysgate"), "run", "-p", policy, "--", *ARGV])
    command()  # with its modules compiled
    return command


def confined(policy: sysgate.Policy, explain: bool, argv: list[str] = ARGV) -> Callable[[], object]:
    assert run(argv, policy, explain=explain).returncode == 0
    return lambda: run(argv, policy, explain=explain)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    library: dict[str, Callable[[], object]] = {"subprocess.run again": plain(ARGV)}
    command: dict[str, Callable[[], object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for title, text in (("deny-list", DENY_LIST), ("allow-list, execve by ticket", ALLOW_LIST)):
            policy = sysgate.Policy.parse(text)
            library[f"sysgate.run, {title}"] = confined(policy, False)
            library[f"sysgate.run, {title}, explained"] = confined(policy, True)
            file = os.path.join(folder, f"{len(command)}.policy")
            with open(file, "w", encoding="utf-8") as written:
                written.write(text)
            command[f"sysgate run, {title}"] = commanded(file)
        command[f"sysgate run, {LONG}"] = commanded(LONG)
        found = {
            "library": ratio(plain(ARGV), library, rounds),
            "command": ratio(plain([sys.executable, "-c", "pass"]), command, rounds // 10),
        }
    policy = sysgate.Policy.parse(ALLOWED)
    explained = {"allowed calls, explained": confined(policy, True, MANY_CALLS)}
    found["calls"] = ratio(confined(policy, False, MANY_CALLS), explained, rounds // 10)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
