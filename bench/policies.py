"""The neutral policies of ../shared/bench: read, evaluated, and said as a Gate and in sysgate's language.

`Neutral.decide` is the bench's own reading of the JSON and shares nothing with sysgate, so that it can judge it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

from sysgate.action import from_ret
from sysgate.decision import Origin
from sysgate.policy.ruleset import All, Bound, Compare, Constant, Expr, Gate, Segment, Shares, Term

SHARED = Path(os.environ.get("SYSGATE_SHARED") or Path(__file__).parents[2] / "shared")
NAMES = ("P1", "P2", "P2x", "P3", "P4", "P5", "P6")

X86_64 = 0xC000003E
WORD = (1 << 64) - 1
X32 = range(0x40000000, 0x80000000)


class Condition(NamedTuple):
    """(args[arg] & mask) op value, as ../shared/bench/README.md has it."""

    arg: int
    op: str
    value: int
    mask: int

    def holds(self, args: tuple[int, ...]) -> bool:
        a = args[self.arg]
        if self.op == "meq":
            return a & self.mask == self.value
        if self.op == "any":
            return a & self.mask != 0
        if self.op == "sub":
            return a & ~self.mask & WORD == 0
        return {
            "eq": a == self.value,
            "ne": a != self.value,
            "lt": a < self.value,
            "le": a <= self.value,
            "gt": a > self.value,
            "ge": a >= self.value,
        }[self.op]


class Neutral(NamedTuple):
    """One policy: answers are the 32-bit values a program returns."""

    name: str
    default: int
    badarch: int
    x32: int
    rules: dict[int, list[tuple[int, list[Condition]]]]

    def decide(self, audit: int, nr: int, args: tuple[int, ...]) -> int:
        """The answer to a call: first match wins."""
        if audit != X86_64:
            return self.badarch
        for answer, conditions in self.rules.get(nr, ()):
            if all(condition.holds(args) for condition in conditions):
                return answer
        return self.x32 if nr in X32 else self.default

    def interesting(self) -> list[int]:
        """Argument values on both sides of every boundary the policy has."""
        values = {0, 1, WORD, 1 << 31, 1 << 32, 1 << 63}
        for rules in self.rules.values():
            for _, conditions in rules:
                for _, _, value, mask in conditions:
                    values |= {value - 1, value, value + 1, mask, ~mask, value | 1 << 32, value | mask}
        return sorted({value & WORD for value in values})

    def gate(self) -> Gate:
        """The policy as the compiler takes it."""
        edges = sorted({0, X32.start, X32.stop, *self.rules, *(nr + 1 for nr in self.rules)})
        segments = []
        plain: dict[int, Bound] = {}  # as policy/resolve has it, numbers under one rule share it
        for low, after in zip(edges, [*edges[1:], 1 << 32]):
            no_rule = self.x32 if low in X32 else self.default
            rules: tuple[Bound, ...] = ()
            if low in self.rules:
                cases = [(_expr(conditions), from_ret(answer)) for answer, conditions in self.rules[low]]
                origin = Origin(self.name, low, str(low))
                if cases[0][0] == Constant(True):
                    answer = self.rules[low][0][0]
                    rules = (plain.setdefault(answer, Bound((), cases[0][1], origin)),)
                else:
                    rules = (Bound(tuple(cases), from_ret(no_rule), origin),)
            segments.append(Segment(low, after - 1, rules, from_ret(no_rule), None))
        return Gate(((X86_64, tuple(segments)),), from_ret(self.badarch), False)

    def text(self) -> str:
        """The policy in sysgate's language: raw registers, calls by number."""
        lines = [f"# {self.name} of the compiler bench", f"default: {_said(self.default)}"]
        if self.badarch == 0:
            lines[1] = "default: kill_thread"
        lines.append("[x86_64]")
        for nr, rules in sorted(self.rules.items()):
            cases = [(_test(conditions), _said(answer)) for answer, conditions in rules]
            if cases[0][0] == "1":
                rule = "1" if cases[0][1] == "allow" else f"0 else {cases[0][1]}"
            else:
                otherwise = _said(self.default)
                inside = "; ".join(f"{test} -> {answer}" for test, answer in cases)
                rule = f"{{ {inside}; else {otherwise} }}"
            lines.append(f"{nr}: {rule}")
        return "\n".join(lines) + "\n"


def load(name: str) -> Neutral:
    """A policy of the bench by its name."""
    raw = json.loads((SHARED / "bench" / "policies" / f"{name}.json").read_text())
    rules = {
        int(nr): [(answer, [Condition(*condition) for condition in conditions]) for answer, conditions in listed]
        for nr, listed in raw["rules"].items()
    }
    # x32 numbers get the default of an allow-list; under a deny-list they are refused, which sysgate does by kill.
    x32 = 0x8000_0000 if raw.get("denylist") else raw["default"]
    return Neutral(name, raw["default"], raw["badarch"], x32, rules)


def _expr(conditions: list[Condition]) -> Expr:
    parts: list[Expr] = []
    for arg, op, value, mask in conditions:
        term = Term(f"reg{arg}", 64, False, (arg,))
        if op == "any":
            parts.append(Shares(term, mask))
        elif op in ("meq", "sub"):
            kept = mask if op == "meq" else ~mask & WORD
            parts.append(Compare(Term(f"reg{arg}", 64, False, (arg,), kept), "==", value))
        else:
            sign = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}[op]
            parts.append(Compare(term, sign, value))
    if not parts:
        return Constant(True)
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _test(conditions: list[Condition]) -> str:
    parts = []
    for arg, op, value, mask in conditions:
        if op == "any":
            parts.append(f"reg{arg} & {mask:#x}")
        elif op in ("meq", "sub"):
            kept = mask if op == "meq" else ~mask & WORD
            parts.append(f"(reg{arg} & {kept:#x}) == {value:#x}")
        else:
            sign = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}[op]
            parts.append(f"reg{arg} {sign} {value:#x}")
    return " && ".join(parts) if parts else "1"


def _said(answer: int) -> str:
    action = from_ret(answer)
    if action.kind == "kill_process":
        return "kill"
    return f"errno({action.data})" if action.kind == "errno" else action.kind
