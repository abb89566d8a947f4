"""Conditions that set two words against each other bit by bit → tests of a register computed of both.

The language compares an argument with constants only, so what another tool's program asks of two arguments at once is
decompiled to a test for each bit:

    a & 1 && b & 1 || a & 2 && b & 2 || …                              →   (a & b & M) != 0
    (a & 1 && b & 1 || !(a & 1) && !(b & 1)) && (a & 2 && …) && …      →   (a ^ b) & M == 0
    a & 8 && b & 8 && (a & 4 && b & 4 || a & 2 && b & 2 && (…))        →   (a & b & M) >= C

and their negations, in any order of parts and words, among other conditions. Parts are known by what they come to for
each value of two bits, not by how they are written.
"""

from __future__ import annotations

from itertools import pairwise

from sysgate.compiler.computed import AND, XOR, register
from sysgate.compiler.lower import few, read, reverse
from sysgate.policy.ruleset import All, Among, Any, Bound, Compare, Not, Shares, Term

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sysgate.compiler.lower import Looks
    from sysgate.policy.ruleset import Expr

    Literal = Compare | Among | Shares
    # A bit of a word: the word, and the mask that has this bit alone.
    Bit = tuple[int, int]
    # Two words, the lesser first, that are the same halves of different registers.
    Pair = tuple[int, int]
    # Whether all bits of a level must be set or one is enough, and the bits.
    Level = tuple[bool, dict[Pair, int]]

# What a condition on a bit of each of two words comes to, as a table of four bits: the lowest says whether it holds
# where both are clear, then where only the second is set, only the first, both.
_FIRST, _SECOND = 0b1100, 0b1010
_BOTH, _NOT_BOTH, _DIFFER, _EQUAL, _ALWAYS = 0b1000, 0b0111, 0b0110, 0b1001, 0b1111
# The tables to be told by one bit of a computed word, and what that bit then is; among alternatives, and among
# conditions that must all hold. (There, "both" is but two masks: a & 3 == 3 && b & 3 == 3.)
_SOME = {_BOTH: (AND, 1), _DIFFER: (XOR, 1), _EQUAL: (XOR, 0)}
_EACH = {_NOT_BOTH: (AND, 0), _DIFFER: (XOR, 1), _EQUAL: (XOR, 0)}
# Bits from which on computing pays.
_FEW = 2


def joined(rules: Sequence[Bound]) -> Sequence[Bound]:
    """The rules with such conditions as comparisons of computed registers (compiler/computed), others as they are."""
    return [
        Bound(tuple([(_joined(expr), action) for expr, action in rule.cases]), rule.otherwise, rule.origin)
        for rule in rules
    ]


def _joined(expr: Expr) -> Expr:
    if isinstance(expr, Not):
        inner = _joined(expr.inner)
        return expr if inner is expr.inner else Not(inner)
    if not isinstance(expr, (Any, All)):
        return expr
    return _ordered(expr) or _masked(expr)


# Bits that come to one test, in no order.


def _masked(expr: Any | All) -> Expr:
    # The parts of one level that test the same bit of two words make one table, and the tables of two words one mask.
    either = isinstance(expr, Any)
    known = _SOME if either else _EACH
    parts = list(_unfolded(expr))
    tables: dict[tuple[Pair, int], tuple[int, list[int]]] = {}
    for place, part in enumerate(parts):
        found = _table_of_two(part)
        if found is not None:
            pair, bit, table = found
            before, places = tables.get((pair, bit), (0 if either else _ALWAYS, []))
            tables[pair, bit] = before | table if either else before & table, [*places, place]
    masks: dict[tuple[int, int, int], tuple[int, int, list[int]]] = {}
    for ((first, second), bit), (table, places) in tables.items():
        if table in known:
            operation, value = known[table]
            shift = 32 * (first % 2)
            key = operation, first // 2 - 2, second // 2 - 2
            mask, wanted, all_places = masks.get(key, (0, 0, []))
            masks[key] = mask | bit << shift, wanted | value * bit << shift, [*all_places, *places]
    instead: dict[int, Expr | None] = {}
    for key, (mask, wanted, places) in masks.items():
        if mask.bit_count() >= _FEW:
            term = _term((register(*key),), mask)
            instead.update(dict.fromkeys(places))
            # Some bit is as wanted: not all bits are otherwise.
            instead[min(places)] = Compare(term, "!=", mask & ~wanted) if either else Compare(term, "==", wanted)
    made = [instead[place] if place in instead else _joined(part) for place, part in enumerate(parts)]
    if all(new is part for new, part in zip(made, parts)):
        return expr
    left = tuple([part for part in made if part is not None])
    return left[0] if len(left) == 1 else type(expr)(left)


def _unfolded(expr: Any | All) -> Iterator[Expr]:
    # The parts, nested ones of the same kind unfolded.
    for part in expr.parts:
        if isinstance(part, type(expr)):
            yield from _unfolded(part)
        else:
            yield part


def _term(registers: tuple[int, ...], mask: int) -> Term:
    return Term("", 64 if mask >> 32 or len(registers) > 1 else 32, False, registers, mask)


def _table_of_two(part: Expr) -> tuple[Pair, int, int] | None:
    # The two words of which a part tests nothing but one bit, the same in both; that bit; and its table.
    columns: dict[Bit, int] = {}
    table = _table(part, columns)
    if table is None or len(columns) != 2:
        return None
    (first, bit), (second, other) = columns
    if bit != other or first % 2 != second % 2:
        return None
    if first > second:
        first, second = second, first
        table = table & 0b1001 | (table & 0b0100) >> 1 | (table & 0b0010) << 1
    return (first, second), bit, table


def _table(expr: Expr, columns: dict[Bit, int]) -> int | None:
    # columns: of the bits met so far, two at most.
    if isinstance(expr, Not):
        inner = _table(expr.inner, columns)
        return None if inner is None else inner ^ _ALWAYS
    if isinstance(expr, (Any, All)):
        either = isinstance(expr, Any)
        table = 0 if either else _ALWAYS
        for part in expr.parts:
            found = _table(part, columns)
            if found is None:
                return None
            table = table | found if either else table & found
        return table
    if not isinstance(expr, (Compare, Among, Shares)):
        return None
    where, held = read(expr)
    place = _place(where)
    if place is None or place[1] & place[1] - 1:
        return None
    word, mask, whole = place
    if (word, mask) not in columns:
        if len(columns) == 2:
            return None
        columns[word, mask] = _SECOND if columns else _FIRST
    column = columns[word, mask]
    when_set = column if any(first <= whole <= last for first, last in held) else 0
    return when_set | (column ^ _ALWAYS if held and held[0][0] == 0 else 0)


def _place(where: Looks) -> tuple[int, int, int] | None:
    # The only word that is looked at, its mask, and the value that has all of that.
    low, low_mask, high, high_mask = where
    if high is None or not high_mask:
        return (low, low_mask, low_mask) if low_mask else None
    return None if low_mask else (high, high_mask, high_mask << 32)


# Bits that decide one after the other, the highest first: where it is as in C, lower ones still count.


def _ordered(expr: Any | All) -> Compare | None:
    # (a & b & M) >= C says: the bits that come before the highest clear one of C are all set, and that one is, too, or
    # what follows holds; and so on.
    for flipped in (False, True):
        levels = _levels(expr, flipped=flipped)
        if levels is not None:
            break
    else:
        return None
    placed = _placed(levels)
    if placed is None:
        return None
    registers, masks = placed
    bound = sum([mask for mask, (every, _) in zip(masks, levels) if every])
    if not levels[-1][0]:
        bound |= masks[-1] & -masks[-1]  # any of the last bits: from the lowest of these on
    return Compare(_term(registers, sum(masks)), "<" if flipped else ">=", bound)


def _levels(expr: Any | All, *, flipped: bool) -> list[Level] | None:
    # From the outside in, in turns: bits that must all be set in both words, and bits of which one is enough. flipped:
    # read the reverse of the expression. None where there is more to it.
    levels: list[Level] = []
    rest: tuple[Any | All, bool] | None = (expr, flipped)
    while rest is not None:
        outer, flipped = rest
        every = isinstance(outer, All) != flipped
        rest = None
        words: dict[int, int] = {}
        bits: dict[Pair, int] = {}
        for part, turned in _parts(outer, every, flipped=flipped):
            if isinstance(part, (Any, All)):
                found = None if every else _table_of_two(part)
                if found is not None and found[2] == (_NOT_BOTH if turned else _BOTH):
                    bits[found[0]] = bits.get(found[0], 0) | found[1]
                elif rest is None:
                    rest = part, turned
                else:
                    return None
            elif every and isinstance(part, (Compare, Among, Shares)):
                word = _all_set(part, flipped=turned)
                if word is None:
                    return None
                words[word[0]] = words.get(word[0], 0) | word[1]
            else:
                return None
        if every:
            paired = _paired(words)
            if paired is None:
                return None
            bits = paired
        if not bits:
            return None
        levels.append((every, bits))
    return levels if len(levels) > 1 else None


def _parts(expr: Expr, every: bool, *, flipped: bool) -> Iterator[tuple[Expr, bool]]:
    # The parts of a level, whatever says so: !(a || !b) is !a && b. With each whether its reverse is meant.
    while isinstance(expr, Not):
        expr, flipped = expr.inner, not flipped
    if isinstance(expr, (Any, All)) and (isinstance(expr, All) != flipped) == every:
        for part in expr.parts:
            yield from _parts(part, every, flipped=flipped)
    else:
        yield expr, flipped


def _all_set(literal: Literal, *, flipped: bool) -> Bit | None:
    # The bits, and their word, for which a literal, or its reverse, says that all are set.
    where, held = read(literal)
    place = _place(where)
    if place is None or few(where, reverse(where, held) if flipped else held) != [place[2]]:
        return None
    return place[:2]


def _paired(words: Mapping[int, int]) -> dict[Pair, int] | None:
    # Bits by word as bits by pair of words; None where they are not the same in two.
    bits: dict[Pair, int] = {}
    for half in (0, 1):
        some = sorted([word for word in words if word % 2 == half])
        if some:
            if len(some) != 2 or words[some[0]] != words[some[1]]:
                return None
            bits[some[0], some[1]] = words[some[0]]
    return bits


def _placed(levels: Sequence[Level]) -> tuple[tuple[int, ...], list[int]] | None:
    # The registers in which the bits lie, and which of theirs each level has; None where they do not descend.
    pairs: list[Pair] = []
    for _, bits in levels:
        pairs += sorted([pair for pair in bits if pair not in pairs], key=lambda pair: -(pair[0] % 2))
    if len(pairs) > 2:
        return None
    masks = [bits.get(pairs[-1], 0) | (bits.get(pairs[0], 0) << 32 if len(pairs) > 1 else 0) for _, bits in levels]
    if any(upper & -upper <= lower for upper, lower in pairwise(masks)):
        return None
    registers = tuple([register(AND, first // 2 - 2, second // 2 - 2) for first, second in reversed(pairs)])
    halves = [first % 2 for first, _ in reversed(pairs)]
    if halves == [1]:
        masks = [mask << 32 for mask in masks]
    elif halves == [0, 1] and registers[0] == registers[1]:
        registers = registers[:1]
    elif any(halves):
        return None
    return registers, masks
