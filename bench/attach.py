"""How long attaching takes and how long a thread stands still for it: `python bench/attach.py [CYCLES]`.

Each cycle starts a `sleep`, attaches to it, checks that it lives on behind one filter more, and ends it. Then CYCLES
more on targets that stay: a fresh busy Python of five threads for every fifty, since each attach adds a filter.
Milliseconds, medians and the fastest tenth; on a busy machine waiting for a processor is most of the median.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from time import perf_counter

import sysgate
from sysgate.kernel import procfs
from sysgate.life import registry
from sysgate.life.attach import attach

POLICY = "default: allow\nmkdir, mkdirat: 0 else errno(EACCES)\nptrace: 0\n"
BUSY = """
import threading, time
def works():
    while True: sum(range(500)); time.sleep(0.001)
for _ in range(4): threading.Thread(target=works, daemon=True).start()
print("ready", flush=True)
works()
"""
EACH = 50  # attaches to one busy target


def cycles(count: int, policy: sysgate.Policy) -> tuple[list[float], list[float]]:
    """Milliseconds of each attach, and of each stop, on fresh sleeps."""
    whole, stopped = [], []
    for _ in range(count):
        target = subprocess.Popen(["sleep", "60"])
        while (found := procfs.status(target.pid)) is None or found.state != "S" or found.name != b"sleep":
            pass
        started = perf_counter()
        done = attach(target.pid, policy)
        whole.append((perf_counter() - started) * 1e3)
        stopped.append(done.stopped / 1e6)
        healthy(target, 1)
        target.kill()
        target.wait()
    return whole, stopped


def busy(count: int, policy: sysgate.Policy) -> tuple[list[float], list[float]]:
    """The same on busy Pythons of five threads, EACH times each."""
    whole, stopped = [], []
    for first in range(0, count, EACH):
        target = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True)
        assert target.stdout is not None
        target.stdout.readline()
        for number in range(1, min(EACH, count - first) + 1):
            started = perf_counter()
            done = attach(target.pid, policy)
            if number == 1:  # later ones also read and ask the filters that are there
                whole.append((perf_counter() - started) * 1e3)
                stopped.append(done.stopped / 1e6)
            assert done.threads == 5
            healthy(target, number)
        target.kill()
        target.wait()
    return whole, stopped


def healthy(target: subprocess.Popen[str] | subprocess.Popen[bytes], filters: int) -> None:
    """Fails where a target is not alive, untraced, and behind this many filters."""
    found = procfs.status(target.pid)
    assert target.poll() is None
    assert found is not None
    assert (found.filters, found.tracer) == (filters, 0)


def figures(times: list[float]) -> dict[str, float]:
    """Median, and the fastest tenth."""
    return {
        "median": round(statistics.median(times), 3),
        "tenth": round(sorted(times)[len(times) // 10], 3),
    }


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    policy = sysgate.Policy.parse(POLICY)
    found: dict[str, object] = {"cycles": count, "load": os.getloadavg()[0]}
    kinds: dict[str, Callable[[int, sysgate.Policy], tuple[list[float], list[float]]]] = {"sleep": cycles, "busy": busy}
    for name, measure in kinds.items():
        whole, stopped = measure(count, policy)
        found[name] = {"attach_ms": figures(whole), "stopped_ms": figures(stopped)}
    noted = []
    for _ in range(100):
        started = perf_counter()
        registry.forget(registry.record(os.getpid(), policy, form="bench", how="bench"))
        noted.append((perf_counter() - started) * 1e3)
    found["of_which_registry_ms"] = figures(noted)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
