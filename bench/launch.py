"""How much longer a launch takes than subprocess.run: ratios of runs made in turn, in one process.

    python bench/launch.py [ROUNDS]

Each round runs every candidate once, in random order, right after subprocess.run of the same program; a ratio is the
median over the rounds of (candidate / its neighbour).
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
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


def ratio(candidates: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """name → median ratio to subprocess.run."""
    ratios: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    for _ in range(rounds):
        random.shuffle(names)
        for name in names:
            start = perf_counter()
            subprocess.run(ARGV)
            between = perf_counter()
            candidates[name]()
            ratios[name].append((perf_counter() - between) / (between - start))
    return {name: round(statistics.median(ratios[name]), 3) for name in candidates}


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    candidates: dict[str, Callable[[], object]] = {"subprocess.run again": lambda: subprocess.run(ARGV)}
    for title, text in (("deny-list", DENY_LIST), ("allow-list, execve by ticket", ALLOW_LIST)):
        policy = sysgate.Policy.parse(text)
        for explain in (False, True):
            assert run(ARGV, policy, explain=explain).returncode == 0
            name = f"sysgate.run, {title}{', explained' if explain else ''}"
            candidates[name] = lambda policy=policy, explain=explain: run(ARGV, policy, explain=explain)  # type: ignore[misc]
    print(json.dumps(ratio(candidates, rounds), indent=1))


if __name__ == "__main__":
    main()
