"""The calls on which programs for the same policy are compared: the same for every rival.

recorded: the seven streams of ../shared/bench, each weighing the same; on another architecture their calls of the same
names, with the same arguments. Of a program's architectures each weighs the same, a 32-bit one beside a 64-bit one a
tenth. uniform: every call that the policy lets pass, if only for some arguments, equally often; its arguments drawn
from the constants of its rules.
"""

from __future__ import annotations

import functools
from random import Random

from bench import streams

from sysgate.action import Action
from sysgate.bpf import insn, machine
from sysgate.bpf.program import Program
from sysgate.facts import arches, calls
from sysgate.policy.ruleset import All, Among, Any, Compare, Expr, Gate, Not, Segment, Shares

# (audit, number) → by (arguments, instruction pointer) its share of all calls
Traffic = dict[tuple[int, int], dict[tuple[tuple[int, ...], int], float]]

WIDE = 1 << 31  # __AUDIT_ARCH_64BIT
NARROW_SHARE = 0.1
DRAWN = 16  # of a call with conditions, so many
WORD = (1 << 64) - 1
PASSES = {Action("allow"), Action("log"), Action("notify")}


def mean(program: Program, traffic: Traffic) -> float:
    """Instructions executed per call."""
    steps = whole = 0.0
    for (audit, nr), calls_made in traffic.items():
        share = sum(calls_made.values())
        whole += share
        args, ip = next(iter(calls_made))
        way = machine.path(program, audit, nr, args, ip)
        if any(program.insns[at][0] == insn.LD_ABS and program.insns[at][3] > insn.ARCH for at in way):
            steps += sum(machine.run(program, audit, nr, *call)[1] * part for call, part in calls_made.items())
        else:  # it has asked for nothing in which the others differ
            steps += len(way) * share
    return steps / whole


def recorded(gate: Gate) -> Traffic:
    """What ordinary programs call, on the architectures of a gate."""
    audits = [audit for audit, _ in gate.entries]
    wide = any(audit & WIDE for audit in audits)
    found: Traffic = {}
    for audit in audits:
        share = 1.0 if audit & WIDE or not wide else NARROW_SHARE
        for number, made in _on(audit).items():
            found[number] = {call: part * share for call, part in made.items()}
    return found


@functools.cache
def _on(audit: int) -> Traffic:
    (arch, *_) = arches.by_audit(audit)
    numbers = calls.table(arch.name)
    found: Traffic = {}
    for stream in streams.NAMES:
        known = []
        for (_, nr, args, ip), count in streams.stream(stream).items():
            name = calls.name("x86_64", nr)
            if name is not None and name in numbers:
                known.append((numbers[name] & 0xFFFF_FFFF, (args, ip), count))
        total = sum(count for *_, count in known)
        for number, call, count in known:
            made = found.setdefault((audit, number), {})
            made[call] = made.get(call, 0.0) + count / total / len(streams.NAMES)
    return found


def uniform(gate: Gate) -> Traffic:
    """Each call that may pass, once."""
    found: Traffic = {}
    for audit, segments in gate.entries:
        random = Random(audit)
        (arch, *_) = arches.by_audit(audit)  # hardly anybody calls x32
        for number in sorted(number & 0xFFFF_FFFF for number in calls.table(arch.name).values()):
            segment = next(one for one in segments if one.low <= number <= one.high)
            if not _may_pass(segment):
                continue
            values = _values(segment)
            made = found.setdefault((audit, number), {})
            for _ in range(DRAWN if values else 1):
                args = tuple(random.choice(values.get(register, [0])) for register in range(6))
                made[args, 0] = made.get((args, 0), 0.0) + (1 / DRAWN if values else 1.0)
    return found


def _may_pass(segment: Segment) -> bool:
    if not segment.rules:
        return segment.answer in PASSES
    return all(bool({rule.otherwise, *(action for _, action in rule.cases)} & PASSES) for rule in segment.rules)


# By register, values on both sides of what the rules compare it with.
def _values(segment: Segment) -> dict[int, list[int]]:
    found: dict[int, set[int]] = {}
    for rule in segment.rules:
        for expr, _ in rule.cases:
            _collect(expr, found)
    return {register: sorted(values) for register, values in found.items()}


def _collect(expr: Expr, found: dict[int, set[int]]) -> None:
    if isinstance(expr, (All, Any)):
        for part in expr.parts:
            _collect(part, found)
    elif isinstance(expr, Not):
        _collect(expr.inner, found)
    elif isinstance(expr, (Compare, Shares, Among)):
        if isinstance(expr, Compare):
            near = {expr.value, expr.value - 1, expr.value + 1}
        elif isinstance(expr, Shares):
            near = {expr.mask & -expr.mask, expr.mask, ~expr.mask}
        else:
            near = {end for item in expr.items for end in item if end is not None}
        for edge in {0, *near}:
            for place, register in enumerate(expr.term.regs):
                kept = edge & WORD if len(expr.term.regs) == 1 else edge >> 32 * place & 0xFFFF_FFFF
                found.setdefault(register, set()).add(kept)
