"""A policy as the plain chain of rules, as simple compilers make it and people write it by hand.

The architecture, the number against one call after the other, a call's conditions as they are written, a load and a
test a half. Answers stand at the end, where jumps reach that far, else where they are first needed.
"""

from __future__ import annotations

from sysgate.action import ALLOW, Action
from sysgate.bpf import insn
from sysgate.bpf.program import Insn, Program
from sysgate.policy.ruleset import All, Among, Any, Compare, Constant, Expr, Gate, Not, Segment, Shares, Term

FAR = 255
WORD = 0xFFFF_FFFF
BEYOND = 1 << 64


class Refused(Exception):
    """The policy has what this compiler does not know: several rules for a call."""


def chain(gate: Gate) -> Program:
    """The program; it may be longer than a kernel takes."""
    made = _Chain(gate.big_endian)
    going = made.ret(gate.foreign)
    for audit, segments in reversed(gate.entries):
        going = made.jump(insn.JEQ_K, audit, made.numbers(segments), going)
    made.load(insn.ARCH)
    return Program(tuple(reversed(made.insns)), gate.big_endian)


class _Chain:
    """Written from the end: a place is how many instructions stand behind it, with it."""

    def __init__(self, big_endian: bool) -> None:
        self.insns: list[Insn] = []
        self.big_endian = big_endian
        self.answers: dict[int, int] = {}

    def load(self, offset: int) -> int:
        return self.add((insn.LD_ABS, 0, 0, offset))

    def add(self, one: Insn) -> int:
        self.insns.append(one)
        return len(self.insns)

    def ret(self, action: Action) -> int:
        """An answer within the reach of the next jump."""
        known = self.answers.get(action.ret)
        if known is None or len(self.insns) - known >= FAR:
            self.answers[action.ret] = known = self.add((insn.RET_K, 0, 0, action.ret))
        return known

    def jump(self, code: int, k: int, yes: int, no: int) -> int:
        """A test that goes on at yes or at no, by way of another jump where that is too far."""
        while max(len(self.insns) - yes, len(self.insns) - no) > FAR:
            far = min(yes, no)
            near = self.add((insn.JA, 0, 0, len(self.insns) - far))
            yes, no = (near if yes == far else yes), (near if no == far else no)
        here = len(self.insns)
        return self.add((code, here - yes, here - no, k))

    def numbers(self, segments: tuple[Segment, ...]) -> int:
        """The numbers of one architecture: what most of them get is the end of the chain."""
        usual = max(segments, key=lambda segment: segment.high - segment.low)
        after = self.meaning(usual)
        singles = [one for one in segments if one.low == one.high and not _alike(one, usual)]
        ranges = [one for one in segments if one.low != one.high and not _alike(one, usual)]
        for segment in reversed(singles):
            after = self.jump(insn.JEQ_K, segment.low, self.meaning(segment), after)
        for segment in reversed(ranges):
            found = self.meaning(segment)
            if segment.high < WORD:
                found = self.jump(insn.JGT_K, segment.high, after, found)
            after = self.jump(insn.JGE_K, segment.low, found, after) if segment.low else found
        if after < len(self.insns):
            self.add((insn.JA, 0, 0, len(self.insns) - after))
        return self.load(insn.NR)

    def meaning(self, segment: Segment) -> int:
        if not segment.rules:
            return self.ret(segment.answer)
        rules = [rule for rule in segment.rules if rule.cases or rule.otherwise != ALLOW]  # the strictest wins
        if len(rules) > 1:
            raise Refused
        (rule,) = rules or segment.rules[:1]
        after = self.ret(rule.otherwise)
        for expr, action in reversed(rule.cases):
            after = self.test(expr, self.ret(action), after)
        return after

    def test(self, expr: Expr, yes: int, no: int) -> int:
        if isinstance(expr, Constant):
            return yes if expr.holds else no
        if isinstance(expr, Not):
            return self.test(expr.inner, no, yes)
        if isinstance(expr, (All, Any)):
            going = yes if isinstance(expr, All) else no
            for part in reversed(expr.parts):
                going = self.test(part, *((going, no) if isinstance(expr, All) else (yes, going)))
            return going
        if isinstance(expr, Shares):
            return self.shares(expr.term, expr.mask, yes, no)
        if isinstance(expr, Compare) and expr.op == "!=":
            yes, no = no, yes
        for low, high in reversed(among(expr)):
            no = self.span(expr.term, low, high, yes, no)
        return no

    def span(self, term: Term, low: int, high: int, yes: int, no: int) -> int:
        """Where low <= value <= high; unsigned."""
        if low == high:
            return self.equal(term, low, yes, no)
        last = (1 << term.bits) - 1
        if high < last:
            yes = self.above(term, high, no, yes)
        return self.above(term, low - 1, yes, no) if low else yes

    def equal(self, term: Term, value: int, yes: int, no: int) -> int:
        for high in (False, True):
            mask = _half(term, high)
            if mask or value >> 32 * high & WORD:
                yes = self.word(term, high, insn.JEQ_K, value >> 32 * high & WORD, yes, no)
        return yes

    def above(self, term: Term, value: int, yes: int, no: int) -> int:
        """Where the value is greater; unsigned."""
        low = self.word(term, False, insn.JGT_K, value & WORD, yes, no)
        if not _half(term, True):
            return low if value >> 32 == 0 else no
        equal = self.word(term, True, insn.JEQ_K, value >> 32, low, no)
        return self.word(term, True, insn.JGT_K, value >> 32, yes, equal)

    def shares(self, term: Term, mask: int, yes: int, no: int) -> int:
        for high in (False, True):
            kept = mask >> 32 * high & _half(term, high)
            if kept:
                no = self.jump(insn.JSET_K, kept, yes, no)
                self.load(self.offset(term, high))
                no = len(self.insns)
        return no

    def word(self, term: Term, high: bool, code: int, k: int, yes: int, no: int) -> int:
        self.jump(code, k, yes, no)
        mask = _half(term, high)
        if mask != WORD:
            self.add((insn.AND_K, 0, 0, mask))
        return self.load(self.offset(term, high))

    def offset(self, term: Term, high: bool) -> int:
        if len(term.regs) == 2:
            index, upper = term.regs[high], False
        else:
            index, upper = term.regs[0], high
        return 16 + 8 * index + 4 * (upper != self.big_endian)


def _alike(one: Segment, two: Segment) -> bool:
    return one.rules == two.rules and (bool(one.rules) or one.answer == two.answer)


# What a half of a value keeps: the kernel's bits of it, under the rule's own mask.
def _half(term: Term, high: bool) -> int:
    kept = (1 << term.bits) - 1
    if term.mask is not None:
        kept &= term.mask
    return kept >> 32 * high & WORD


def among(expr: Compare | Among) -> list[tuple[int, int]]:
    """The values, unsigned, for which a comparison holds; for `!=` those for which it does not."""
    if isinstance(expr, Among):
        return [
            span
            for low, high in expr.items
            for span in (_equal(expr.term, low) if high is None else _spans(expr.term, low, high))
        ]
    if expr.op in ("==", "!="):
        return _equal(expr.term, expr.value)
    if expr.op in ("<", "<="):
        return _spans(expr.term, -BEYOND, expr.value - (expr.op == "<"))
    return _spans(expr.term, expr.value + (expr.op == ">"), BEYOND)


def _equal(term: Term, value: int) -> list[tuple[int, int]]:
    if not -(1 << term.bits - 1) <= value < 1 << term.bits:
        return []
    value &= (1 << term.bits) - 1
    return [(value, value)]


def _spans(term: Term, low: int, high: int) -> list[tuple[int, int]]:
    bits = term.bits
    if not term.signed or term.mask is not None:
        low, high = max(low, 0), min(high, (1 << bits) - 1)
        return [(low, high)] if low <= high else []
    low, high = max(low, -(1 << bits - 1)), min(high, (1 << bits - 1) - 1)
    if low > high:
        return []
    if low < 0 <= high:
        return [(0, high), (low + (1 << bits), (1 << bits) - 1)]
    return [(low % (1 << bits), high % (1 << bits))]
