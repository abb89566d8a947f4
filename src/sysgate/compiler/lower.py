"""Typed rules → decision diagrams over 32-bit words.

The compiler's own reading of what a term, a comparison and a rule mean (DESIGN, "Arguments"): in words and
intervals of unsigned numbers, apart from policy/meaning's integers and the prover's sets on purpose.
"""

from __future__ import annotations

from sysgate.action import Action
from sysgate.compiler.diagram import FULL, LEAF, Diagram, Order, low, submask_from
from sysgate.policy.ruleset import All, Among, Any, Compare, Constant, Not, Shares, atoms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sysgate.policy.ruleset import Bound, Expr, Term

    Spans = list[tuple[int, int]]
    # What a literal looks at: low word and its mask, high word (or None) and its mask.
    Looks = tuple[int, int, int | None, int]
    Entry = tuple[Looks | None, Spans, Expr]

# More variables than this on one call and no diagram is tried: it would be as deep, and hardly ever small.
MAX_VARIABLES = 64
# Values that masks of one word may leave together for these to be one mask.
MOST_VALUES = 4


def looks(term: Term, mask: int | None) -> Looks:
    """The halves that a term lies in, and which of their bits count. mask: further to the term's own; None for none."""
    counted = (1 << term.bits) - 1
    for each in (term.mask, mask):
        if each is not None:
            counted &= each
    first, last = term.regs[0], term.regs[-1]
    if term.bits <= 32:
        return low(first), counted, None, 0
    high = low(last) if len(term.regs) == 2 else low(first) + 1
    return low(first), counted & FULL, high, counted >> 32


def spans(literal: Compare | Among) -> Spans:
    """The values, as unsigned numbers of the term's width, for which a literal holds; sorted, apart."""
    term = literal.term
    top = (1 << term.bits) - 1
    if isinstance(literal, Compare) and literal.op == "==":  # nearly all there are
        value = literal.value
        return [(value & top, value & top)] if -(top + 1) // 2 <= value <= top else []
    signed = term.signed and term.mask is None

    def point(value: int) -> Spans:
        return [(value & top, value & top)] if -(top + 1) // 2 <= value <= top else []

    def between(start: int | None, end: int | None) -> Spans:
        # As integers. Beside a mask the value is unsigned, and so are negative constants already (policy/resolve).
        least, most = (-(top + 1) // 2, top // 2) if signed else (0, top)
        start = least if start is None else max(start, least)
        end = most if end is None else min(end, most)
        if start > end:
            return []
        if start >= 0:
            return [(start, end)]
        if end < 0:
            return [(start & top, end & top)]
        return [(0, end), (start & top, top)]

    if isinstance(literal, Among):
        return union(
            span for start, end in literal.items for span in (point(start) if end is None else between(start, end))
        )
    op, value = literal.op, literal.value
    if op == "!=":
        return complement(point(value), top)
    if op in ("<", "<="):
        return between(None, value - (op == "<"))
    return between(value + (op == ">"), None)


def union(parts: Iterable[tuple[int, int]]) -> Spans:
    """The spans that cover what any of the parts covers."""
    joined: Spans = []
    for start, end in sorted(parts):
        if joined and start <= joined[-1][1] + 1:
            if end > joined[-1][1]:
                joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def complement(parts: Spans, top: int) -> Spans:
    """What lies between 0 and top and in none of the spans."""
    rest: Spans = []
    free = 0
    for start, end in parts:
        if start > free:
            rest.append((free, start - 1))
        free = end + 1
    if free <= top:
        rest.append((free, top))
    return rest


def rectangles(parts: Spans) -> list[tuple[int, int, int, int]]:
    """64-bit spans as (least high half, most, least low half, most)."""
    made = []
    for start, end in parts:
        first, last = start >> 32, end >> 32
        if first == last:
            made.append((first, first, start & FULL, end & FULL))
            continue
        if start & FULL:
            made.append((first, first, start & FULL, FULL))
            first += 1
        if end & FULL != FULL:
            made.append((last, last, 0, end & FULL))
            last -= 1
        if first <= last:
            made.append((first, last, 0, FULL))
    return made


class Lowering:
    """Lowers the rules of one call number into a diagram store, looking at words in one order."""

    def __init__(self, diagram: Diagram, order: Order) -> None:
        self.diagram, self.order = diagram, order
        self.true, self.false = diagram.leaf(True), diagram.leaf(False)
        self._and: dict[tuple[int, int], int] = {}
        self._or: dict[tuple[int, int], int] = {}
        self._flip: dict[int, int] = {}
        self._first: dict[tuple[int, int], int] = {}
        self._strict: dict[tuple[int, int], int] = {}
        self._nothing = diagram.leaf(None)

    # Conditions: diagrams with leaves True and False.

    def condition(self, expr: Expr) -> int:
        """The diagram that is True where the expression holds."""
        if isinstance(expr, Not):
            inner = expr.inner
            if isinstance(inner, (Compare, Among, Shares)):
                return self.literal(*read(inner), self.false, self.true)
            return self.diagram.replace(self.condition(inner), self._flipped, self._flip)
        if isinstance(expr, Constant):
            return self.true if expr.holds else self.false
        if isinstance(expr, (Any, All)):
            conditions = [
                self.literal(where, held) if where else self.condition(part) for where, held, part in grouped(expr)
            ]
            if isinstance(expr, Any):
                return self._balanced(conditions, self._either, self._or, self.false)
            return self._balanced(conditions, self._both, self._and, self.true)
        return self.literal(*read(expr))

    def literal(self, where: Looks, held: Spans, yes: int | None = None, no: int | None = None) -> int:
        """The diagram that goes to yes (unsaid: True) where a place's value lies in the spans, else to no (False)."""
        ways = self.true if yes is None else yes, self.false if no is None else no
        low_word, low_mask, high_word, high_mask = where
        if high_word is None:
            return self._word(low_word, low_mask, held, ways)
        # Of all values but a few the few are swept: the many would lie side by side along the other half.
        parts, others = rectangles(held), rectangles(complement(held, (1 << 64) - 1))
        if len(others) < len(parts):
            parts, ways = others, (ways[1], ways[0])
        ranks = self.order.rank((low_word, low_mask, (), ())), self.order.rank((high_word, high_mask, (), ()))
        if ranks[0] > ranks[1]:
            return self._plane(high_word, high_mask, low_word, low_mask, parts, ways)
        turned = [(left, right, bottom, top) for bottom, top, left, right in parts]
        return self._plane(low_word, low_mask, high_word, high_mask, turned, ways)

    def _word(self, word: int, mask: int, held: Spans, ways: tuple[int, int]) -> int:
        yes, no = ways
        if not held:
            return no
        if mask == 0:
            return yes if held[0][0] == 0 else no
        cuts: list[int] = []
        kids = [no]
        for start, end in held:
            if start == 0:
                kids = [yes]
            else:
                cuts.append(start)
                kids.append(yes)
            if end < FULL:
                cuts.append(end + 1)
                kids.append(no)
        return self.diagram.make(word, mask, cuts, kids)

    def _plane(
        self,
        word: int,
        mask: int,
        other: int,
        other_mask: int,
        parts: list[tuple[int, int, int, int]],
        ways: tuple[int, int],
    ) -> int:
        # Rectangles (word's least and most, other's least and most): sweep along the word that comes first.
        starts = sorted(parts)
        edges = sorted({edge for part in parts for edge in (part[0], part[1] + 1)} | {0})
        if mask == 0:
            edges = [0]
        active: list[tuple[int, int, int, int]] = []
        kids: list[int] = []
        at = 0
        for edge in edges:
            if edge > FULL:
                break
            active = [part for part in active if part[1] >= edge]
            while at < len(starts) and starts[at][0] <= edge:
                active.append(starts[at])
                at += 1
            kids.append(
                self._word(other, other_mask, union([part[2:] for part in active]), ways) if active else ways[1]
            )
        return self.diagram.make(word, mask, edges[1 : len(kids)], kids) if mask else kids[0]

    def _balanced(
        self,
        parts: list[int],
        combine: Callable[[int, int], int | None],
        memo: dict[tuple[int, int], int],
        nothing: int,
    ) -> int:
        # Halves of halves: n parts that hardly touch join in n log n steps, not n².
        while len(parts) > 1:
            joined = [
                self.diagram.apply(self.order, parts[at], parts[at + 1], combine, memo)
                for at in range(0, len(parts) - 1, 2)
            ]
            parts = joined + parts[2 * len(joined) :]
        return parts[0] if parts else nothing

    def _both(self, one: int, two: int) -> int | None:
        if one == self.false or two == self.false:
            return self.false
        if one == self.true or one == two:
            return two
        return one if two == self.true else None

    def _either(self, one: int, two: int) -> int | None:
        if one == self.true or two == self.true:
            return self.true
        if one == self.false or one == two:
            return two
        return one if two == self.false else None

    def _flipped(self, index: int) -> int | None:
        return self.false if index == self.true else self.true if index == self.false else None

    # Rules: diagrams whose leaves are Actions.

    def rules(self, rules: Sequence[Bound]) -> int:
        """The diagram of the strictest of all rules' answers, of equals the later. Raises Overflow."""
        return self._balanced([self._bound(rule) for rule in rules], self._stricter, self._strict, self._nothing)

    def _bound(self, rule: Bound) -> int:
        # Cases in a row with one answer are one condition; the last of these knows what comes instead.
        parts = []
        rest = self.diagram.leaf(rule.otherwise)
        end = len(rule.cases)
        while end:
            at = end
            action = rule.cases[at - 1][1]
            while at and rule.cases[at - 1][1] == action:
                at -= 1
            conditions = [expr for expr, _ in rule.cases[at:end]]
            expr = conditions[0] if len(conditions) == 1 else Any(tuple(conditions))
            no = rest if end == len(rule.cases) else self._nothing
            parts.append(self._chosen(expr, self.diagram.leaf(action), no))
            end = at
        parts.reverse()
        return self._balanced(parts or [rest], self._earlier, self._first, self._nothing)

    def _chosen(self, expr: Expr, yes: int, no: int) -> int:
        while isinstance(expr, Not):
            expr, yes, no = expr.inner, no, yes
        if isinstance(expr, (Compare, Among, Shares)):
            return self.literal(*read(expr), yes, no)
        if isinstance(expr, (Any, All)):
            entries = grouped(expr)
            if len(entries) == 1 and entries[0][0] is not None:
                return self.literal(entries[0][0], entries[0][1], yes, no)
        leaves = {self.true: yes, self.false: no}
        return self.diagram.replace(self.condition(expr), leaves.get, {})

    def _earlier(self, one: int, two: int) -> int | None:
        if one == self._nothing or one == two:
            return two
        return one if two == self._nothing or self.diagram.nodes[one][0] == LEAF else None

    def _stricter(self, one: int, two: int) -> int | None:
        if one == two:
            return two
        first, second = (self.diagram.nodes[index][0] == LEAF for index in (one, two))
        if not (first and second):
            return None
        left, right = self.diagram.value(one), self.diagram.value(two)
        assert isinstance(left, Action)
        assert isinstance(right, Action)
        return two if right.rank <= left.rank else one


def read(literal: Compare | Among | Shares) -> tuple[Looks, Spans]:
    """Where a literal looks, and for which values there it holds."""
    if isinstance(literal, Shares):
        return looks(literal.term, literal.mask), [(1, (1 << literal.term.bits) - 1)]
    return looks(literal.term, None), spans(literal)


def grouped(expr: Any | All) -> list[Entry]:
    """The parts of an expression, nested ones of the same kind unfolded, those that look at the same word made one.

    Entries are (where, values, part); where is None for a part that is no literal.
    """
    kind = type(expr)
    places: dict[Looks, list[Spans]] = {}
    entries: list[tuple[Looks | None, Expr]] = []
    todo = list(reversed(expr.parts))
    while todo:
        part = todo.pop()
        if isinstance(part, kind):
            todo += reversed(part.parts)
            continue
        literal = part.inner if isinstance(part, Not) else part
        if isinstance(literal, (Compare, Among, Shares)):
            where, held = read(literal)
            if literal is not part:
                held = complement(held, (1 << literal.term.bits) - 1)
            if where not in places:
                places[where] = []
                entries.append((where, part))
            places[where].append(held)
        else:
            entries.append((None, part))
    made: list[Entry] = []
    for place, part in entries:
        if place is None:
            made.append((None, [], part))
        elif kind is Any:
            made.append((place, union(span for held in places[place] for span in held), part))
        else:
            made.append((place, _common(places[place]), part))
    return _masks_joined(made, either=kind is Any) if len(places) > 1 else made


def _masks_joined(entries: list[Entry], *, either: bool) -> list[Entry]:
    # Several masks of a word that each leave few values are one mask, and so is the reverse of that:
    #     (flags & 3) == 1 && !(flags & 0x40)    →   (flags & 0x43) == 1
    #     (flags & 3) != 1 || flags & 0x40       →   (flags & 0x43) != 1
    joined: list[Entry] = []
    places: dict[tuple[int, int | None], tuple[int, list[int]]] = {}  # by words: where in `joined`, and the values
    for entry in entries:
        where, held, part = entry
        values = None if where is None else few(where, reverse(where, held) if either else held)
        if where is not None and values is not None:
            words = where[0], where[2]
            if words not in places:
                places[words] = len(joined), values
            else:
                at, others = places[words]
                before = joined[at][0]
                assert before is not None
                both = before[0], before[1] | where[1], before[2], before[3] | where[3]
                shared = (before[1] | before[3] << 32) & (where[1] | where[3] << 32)
                left = sorted({value | other for value in values for other in others if not (value ^ other) & shared})
                if _tests(both, left) < _tests(before, others) + _tests(where, values):
                    held = union((value, value) for value in left)
                    joined[at] = both, reverse(both, held) if either else held, part
                    places[words] = at, left
                    continue
        joined.append(entry)
    return joined


def _tests(where: Looks, values: list[int]) -> int:
    # About how many instructions tell whether the masked bits have one of the values.
    mask = where[1] | where[3] << 32
    if len(values) == 1 and (not values[0] or not mask & (mask - 1)):
        return 1  # a jset
    return len(values) + (where[1] != FULL)


def reverse(where: Looks, held: Spans) -> Spans:
    """The values of a place that lie in none of the spans."""
    return complement(union(held), FULL if where[2] is None else (1 << 64) - 1)


def few(where: Looks, held: Spans) -> list[int] | None:
    """The values that the masked bits have in the spans, if they are few."""
    mask = where[1] | where[3] << 32
    found: list[int] = []
    for start, end in held:
        value = submask_from(start, mask)
        while value is not None and value <= end:
            if len(found) == MOST_VALUES:
                return None
            found.append(value)
            value = submask_from(value + 1, mask)
    return found


def _common(parts: list[Spans]) -> Spans:
    # What lies in all: the complement of what lies outside any. 2**64 values at most.
    top = (1 << 64) - 1
    if len(parts) == 1:
        return parts[0]
    return complement(union(span for held in parts for span in complement(held, top)), top)


def variables(rules: Sequence[Bound]) -> set[tuple[int, int]]:
    """The (word, mask) pairs that rules look at."""
    found: set[tuple[int, int]] = set()
    for rule in rules:
        for expr, _ in rule.cases:
            for one in atoms(expr):
                mask = one.mask if isinstance(one, Shares) else None
                low_word, low_mask, high_word, high_mask = looks(one.term, mask)
                found.add((low_word, low_mask))
                if high_word is not None:
                    found.add((high_word, high_mask))
    return found


def bit_by_bit(looked: set[tuple[int, int]]) -> bool:
    """Whether two words may be set against each other: several single bits are looked at in two of them.

    looked: (word, mask) pairs.
    """
    words: dict[int, int] = {}
    for _, mask in looked:
        if mask and not mask & mask - 1:
            words[mask] = words.get(mask, 0) + 1
    return len([mask for mask, count in words.items() if count > 1]) > 1
