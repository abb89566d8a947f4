"""The recorded call streams of ../shared/bench, and what a program costs on them.

Counted as ../shared/bench/README.md says, so that figures compare with the peers'.
"""

from __future__ import annotations

import functools
import lzma
import struct
from collections import Counter
from typing import NamedTuple

from bench.policies import SHARED, X86_64

from sysgate.bpf import bitmap, insn, machine
from sysgate.bpf.program import Program

# crosvm's stream is drawn from a published frequency file, not recorded: the means leave it out.
NAMES = ("gcc", "gitlog", "nginx", "python", "redis", "sqlite", "targz")
BITMAP = 470  # entries of the constant-allow bitmap on the x86_64 kernel where the peers were measured
# uretprobe and uprobe pass whatever the program says; no stream makes them (kernel/seccomp.c, seccomp_uprobe_exception)
ALWAYS_SERVED = (335, 336)

_RECORD = struct.Struct("<iIQ6Q")


class Figures(NamedTuple):
    """instructions; mean executed over all calls, and over those the bitmap does not serve; longest static path;
    share of the calls that the bitmap serves."""

    instructions: int
    mean: float
    unserved: float
    longest: int
    served: float


@functools.cache
def stream(name: str) -> Counter[tuple[int, int, tuple[int, ...], int]]:
    """How often each (architecture, number, arguments, instruction pointer) was called."""
    raw = lzma.decompress((SHARED / "bench" / "streams" / f"{name}.xz").read_bytes())
    return Counter((arch, nr & 0xFFFF_FFFF, tuple(args), ip) for nr, arch, ip, *args in _RECORD.iter_unpack(raw))


def profile() -> dict[int, float]:
    """By number, the share of calls in all streams together, each stream weighing the same."""
    shares: Counter[int] = Counter()
    for name in NAMES:
        calls = stream(name)
        total = sum(calls.values())
        for (_, nr, _, _), count in calls.items():
            shares[nr] += count / total / len(NAMES)  # type: ignore[assignment]
    return dict(shares)


def served_numbers(program: Program) -> frozenset[int]:
    """The numbers of the bench kernel's bitmap that a program serves."""
    return frozenset(nr for nr in range(BITMAP) if nr in ALWAYS_SERVED or bitmap.constant_allow(program, X86_64, nr))


def figures(program: Program) -> Figures:
    """What a program costs on the seven streams."""
    served = served_numbers(program)
    means, unserved_means, shares = [], [], []
    for name in NAMES:
        steps = calls = unserved_steps = unserved_calls = 0
        for (arch, nr, args, ip), count in stream(name).items():
            taken = machine.run(program, arch, nr, args, ip)[1] * count
            steps += taken
            calls += count
            if nr not in served or arch != X86_64:
                unserved_steps += taken
                unserved_calls += count
        means.append(steps / calls)
        unserved_means.append(unserved_steps / unserved_calls if unserved_calls else 0.0)
        shares.append(1 - unserved_calls / calls)
    return Figures(
        len(program.insns),
        sum(means) / len(means),
        sum(unserved_means) / len(means),
        longest(program),
        sum(shares) / len(means),
    )


def mean(program: Program, name: str) -> float:
    """Instructions executed per call of one stream."""
    calls = stream(name)
    steps = sum(machine.run(program, arch, nr, args, ip)[1] * count for (arch, nr, args, ip), count in calls.items())
    return steps / sum(calls.values())


def longest(program: Program) -> int:
    """Instructions on the longest path, whether or not a call can take it."""
    lengths = [0] * (len(program.insns) + 1)
    for at in range(len(program.insns) - 1, -1, -1):
        code, jt, jf, k = program.insns[at]
        if code in insn.JUMPS:
            rest = max(lengths[at + 1 + jt], lengths[at + 1 + jf])
        elif code == insn.JA:
            rest = lengths[at + 1 + k]
        elif code in (insn.RET_K, insn.RET_A):
            rest = 0
        else:
            rest = lengths[at + 1]
        lengths[at] = 1 + rest
    return lengths[0]
