"""A gate as libseccomp's rules: ways in which an answer is given, each some comparisons that must all hold.

What libseccomp has no words for (a call that is neither refused nor allowed by default under an `else`, one bit unset)
is left out. So its program may mean less than the policy, which a proof will tell.
"""

from __future__ import annotations

from itertools import product
from typing import Any as Json

from bench.chain import among

from sysgate.facts import arches, calls
from sysgate.policy.ruleset import All, Any, Compare, Constant, Expr, Gate, Not, Segment, Shares, Term

# libseccomp's names of the architectures that it has; others go unanswered.
NAMES = {
    "x86_64": "x86_64",
    "i386": "x86",
    "x32": "x32",
    "aarch64": "aarch64",
    "arm": "arm",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "ppc64le": "ppc64le",
    "mips64el": "mipsel64",
    "mips64el_n32": "mipsel64n32",
    "mipsel": "mipsel",
}
WORD = (1 << 64) - 1
MOST_WAYS = 12

Condition = tuple[int, str, int, int]  # argument, operator, value, mask: as in ../shared/bench/policies
Way = tuple[Condition, ...]
NO_ARGUMENT: Condition = (9, "eq", 0, 0)  # which libseccomp refuses, so that the rule is counted as left out


class Unsaid(Exception):
    """libseccomp has no words for it."""


def rules(gate: Gate) -> dict[str, Json] | None:
    """The policy for bench.libseccomp.program; None where it has an architecture that libseccomp does not know."""
    (_, segments), *_ = gate.entries
    usual = max(segments, key=lambda segment: segment.high - segment.low)
    if usual.rules:
        return None
    told: dict[str, Json] = {"default": usual.answer.ret, "badarch": gate.foreign.ret, "arches": {}}
    for audit, segments in gate.entries:
        for arch in arches.by_audit(audit):
            if arch.name not in NAMES:
                return None
            found = {}
            for name, number in calls.table(arch.name).items():
                segment = next(one for one in segments if one.low <= number & 0xFFFF_FFFF <= one.high)
                if (segment.rules, segment.answer) != (usual.rules, usual.answer):
                    found[name] = _cases(segment)
            if found or arch.name != "x32":
                told["arches"][NAMES[arch.name]] = found
    return told


# The first case that holds answers, libseccomp's rules stand in no order: each case gets the others' opposite.
def _cases(segment: Segment) -> list[tuple[int, list[Condition]]]:
    if not segment.rules:
        return [(segment.answer.ret, [])]
    cases = []
    for rule in segment.rules:
        before: list[Expr] = []
        for expr, action in (*rule.cases, (Constant(True), rule.otherwise)):
            parts = (expr, *(Not(other) for other in before))
            try:
                cases += [(action.ret, list(way)) for way in ways(All(parts), holds=True)]
            except Unsaid:
                cases.append((action.ret, [NO_ARGUMENT]))
            before.append(expr)
    return cases


def ways(expr: Expr, *, holds: bool) -> list[Way]:
    """Ways in which an expression holds, or does not; one of them always applies then. Raises Unsaid."""
    if isinstance(expr, Constant):
        return [()] if expr.holds is holds else []
    if isinstance(expr, Not):
        return ways(expr.inner, holds=not holds)
    if isinstance(expr, (All, Any)):
        parts = [ways(part, holds=holds) for part in expr.parts]
        if isinstance(expr, All) is not holds:
            return _few([way for part in parts for way in part])
        count = 1
        for part in parts:
            count *= len(part)
        if count > MOST_WAYS:
            raise Unsaid
        return [tuple(one for way in each for one in way) for each in product(*parts)]
    term = expr.term
    if len(term.regs) > 1:
        raise Unsaid
    if isinstance(expr, Shares):
        mask = expr.mask & (1 << term.bits) - 1
        if not holds:
            return [((term.regs[0], "meq", 0, mask),)]
        return _few([((term.regs[0], "meq", 1 << bit, 1 << bit),) for bit in range(64) if mask >> bit & 1])
    spans = among(expr)
    holds = holds is not (isinstance(expr, Compare) and expr.op == "!=")
    if not holds and len(spans) == 1 and term.bits == 64 and term.mask is None and spans[0][0] == spans[0][1]:
        return [((term.regs[0], "ne", spans[0][0], 0),)]
    return _few([way for span in (spans if holds else _others(term, spans)) for way in _span(term, *span)])


# It takes minutes for many rules of one call.
def _few(found: list[Way]) -> list[Way]:
    if len(found) > MOST_WAYS:
        raise Unsaid
    return found


# The values of a term that are in none of the spans.
def _others(term: Term, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    after, found = 0, []
    for low, high in sorted(spans):
        if low > after:
            found.append((after, low - 1))
        after = max(after, high + 1)
    last = (1 << term.bits) - 1
    return [*found, (after, last)] if after <= last else found


def _span(term: Term, low: int, high: int) -> list[Way]:
    (register,) = term.regs
    last = (1 << term.bits) - 1
    kept = last if term.mask is None else term.mask & last
    if (low, high) == (0, last):
        return [()]
    if low == high:
        return [((register, "eq", low, 0) if kept == WORD else (register, "meq", low, kept),)]
    if kept != WORD:
        raise Unsaid  # order is told of whole words alone
    above, below = (register, "ge", low, 0), (register, "le", high, 0)
    return [((above,) if high == last else (below,) if low == 0 else (above, below))]
