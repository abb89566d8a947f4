"""Hash-consed decision diagrams over 32-bit words of struct seccomp_data.

A node looks at one word under one mask and goes on by the interval that the masked value falls into:

    (word, mask, cuts, kids)    value = data[word] & mask
                                value < cuts[0] → kids[0]; cuts[0] <= value < cuts[1] → kids[1]; …

A node is known by its index in `Diagram.nodes`; equal nodes have the same index, neighbouring kids differ, and a
cut is a value the masked word can have. A leaf is (LEAF, 0, (), (value,)); any hashable value will do.

Diagrams built by `apply` are ordered: along a path the words follow `Order`, and under one word the masks go before
the whole word. Chains (`compiler/chain`) are not ordered; everything that reads diagrams takes both.

Words: 0 the number, 1 the architecture, 4 + 2i the low half of args[i], 5 + 2i the high half. On little-endian
machines that is the offset in struct seccomp_data divided by four; on big-endian ones the halves lie the other way.
From COMPUTED on: halves of what two arguments make together (compiler/computed).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    Node = tuple[int, int, tuple[int, ...], tuple[int, ...]]

LEAF = -1
NR, ARCH, COMPUTED = 0, 1, 16
FULL = 0xFFFF_FFFF
_COMPUTED = tuple([word ^ 1 for word in range(COMPUTED, COMPUTED + 2 * 30)])


def low(argument: int) -> int:
    """The word that holds the low half of args[argument]."""
    return 4 + 2 * argument


class Overflow(Exception):
    """A diagram that outgrew its budget of nodes. Never leaves the compiler: the rule chain is taken instead."""


class Order:
    """In what order a diagram looks at words.

    words: the ones to look at first, in order; the others follow by index, but computed ones the high half first: they
    are mostly compared as a whole.
    """

    def __init__(self, words: Sequence[int] = ()) -> None:
        rest = [word for word in (*range(COMPUTED), *_COMPUTED) if word not in words]
        self._place = {word: place for place, word in enumerate([*words, *rest])}
        self._place[LEAF] = COMPUTED + len(_COMPUTED)

    def rank(self, node: Node) -> int:
        """Smaller comes first; leaves last."""
        return self._place[node[0]] << 33 | (1 << 32 if node[1] == FULL else node[1])


class Diagram:
    """A store of nodes. budget: how many more `make` may add before it raises Overflow."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._index: dict[tuple[object, ...], int] = {}
        self._values: list[object] = []
        self.budget = 1 << 60
        self.tests = 0  # that all nodes together take at least, as `least` counts them

    def leaf(self, value: Hashable) -> int:
        """The leaf that answers value."""
        key = (LEAF, value)
        found = self._index.get(key)
        if found is None:
            found = self._index[key] = len(self.nodes)
            self.nodes.append((LEAF, 0, (), (len(self._values),)))
            self._values.append(value)
        return found

    def value(self, index: int) -> object:
        """What a leaf answers."""
        return self._values[self.nodes[index][3][0]]

    def make(self, word: int, mask: int, cuts: Iterable[int], kids: Iterable[int]) -> int:
        """The node that looks at data[word] & mask; its only kid where all are the same.

        cuts: ascending, above 0, one fewer than kids. Cuts no masked value reaches are moved or dropped.
        """
        rest = iter(kids)
        cut_list: list[int] = []
        kept = [next(rest)]
        for cut, kid in zip(cuts, rest):
            if mask != FULL:
                reached = submask_from(cut, mask)
                if reached is None:
                    break
                cut = reached
                if cut_list and cut_list[-1] == cut:  # no value lies between the two cuts
                    kept.pop()
                    cut_list.pop()
            if kid != kept[-1]:
                cut_list.append(cut)
                kept.append(kid)
        if not cut_list:
            return kept[0]
        if mask | (mask & -mask) - 1 == FULL:  # only low bits are masked off: the whole word compares alike
            mask = FULL
        key = (word, mask, tuple(cut_list), tuple(kept))
        found = self._index.get(key)
        if found is None:
            self.budget -= 1
            if self.budget < 0:
                raise Overflow
            found = self._index[key] = len(self.nodes)
            self.nodes.append(key)
            self.tests += 1 + len(cut_list) // 2
        return found

    def least(self, root: int) -> int:
        """Instructions that a diagram takes if every one of its tests tells one value apart, as a `jeq` does."""
        nodes = self.nodes
        return sum([1 + len(nodes[index][2]) // 2 for index in self.below(root) if nodes[index][0] != LEAF])

    def apply(
        self,
        order: Order,
        first: int,
        second: int,
        combine: Callable[[int, int], int | None],
        memo: dict[tuple[int, int], int],
    ) -> int:
        """The diagram that asks both and joins their answers.

        combine: the joint answer for two node indexes where it is clear already, else None; it must be clear for
        two leaves. memo: shared between calls with the same combine and order.
        """
        done = combine(first, second)
        if done is not None:
            return done
        key = (first, second)
        found = memo.get(key)
        if found is not None:
            return found
        one, two = self.nodes[first], self.nodes[second]
        if one[0] == two[0] and one[1] == two[1]:
            cuts, pairs = _overlay(one, two)
        elif order.rank(one) < order.rank(two):
            cuts, pairs = list(one[2]), [(kid, second) for kid in one[3]]
        else:
            cuts, pairs = list(two[2]), [(first, kid) for kid in two[3]]
            one = two
        kids = [self.apply(order, left, right, combine, memo) for left, right in pairs]
        found = memo[key] = self.make(one[0], one[1], cuts, kids)
        return found

    def below(self, root: int) -> list[int]:
        """The indexes that can be reached from root, kids before their parents."""
        seen = {root}
        todo = [root]
        while todo:
            node = self.nodes[todo.pop()]
            if node[0] != LEAF:
                fresh = [kid for kid in node[3] if kid not in seen]
                seen.update(fresh)
                todo += fresh
        return sorted(seen)  # a node is made after its kids

    def replace(self, root: int, change: Callable[[int], int | None], memo: dict[int, int]) -> int:
        """The diagram with other nodes in places.

        change: the new index for an old one, or None to keep the node and go into its kids (a leaf stays).
        memo: shared between calls with the same change.
        """
        todo = [root]
        while todo:
            index = todo[-1]
            if index in memo:
                todo.pop()
                continue
            changed = change(index)
            word, mask, cuts, kids = self.nodes[index]
            if changed is None and word != LEAF:
                missing = [kid for kid in kids if kid not in memo]
                if missing:
                    todo += missing
                    continue
                changed = self.make(word, mask, cuts, [memo[kid] for kid in kids])
            memo[index] = index if changed is None else changed
            todo.pop()
        return memo[root]

    def decide(self, root: int, words: Sequence[int]) -> object:
        """The answer for sixteen words."""
        node = self.nodes[root]
        while node[0] != LEAF:
            value = words[node[0]] & node[1]
            place = 0
            for cut in node[2]:
                if value < cut:
                    break
                place += 1
            root = node[3][place]
            node = self.nodes[root]
        return self.value(root)


def submask_from(value: int, mask: int) -> int | None:
    """The least value' >= value with value' & ~mask == 0; None where there is none."""
    if value & ~mask == 0:
        return value
    # The highest bit outside the mask must go; to stay above, raise the lowest free mask bit above it.
    top = (value & ~mask).bit_length() - 1
    free = mask & ~value & ~((1 << top) - 1)
    if not free:
        return None
    raised = free & -free
    return (value & ~(raised - 1) | raised) & mask


def _overlay(one: Node, two: Node) -> tuple[list[int], list[tuple[int, int]]]:
    # Both partitions of the same masked word at once.
    cuts: list[int] = []
    i = j = 0
    pairs = [(one[3][0], two[3][0])]
    left, right = one[2], two[2]
    while i < len(left) or j < len(right):
        cut = min(left[i] if i < len(left) else FULL + 1, right[j] if j < len(right) else FULL + 1)
        if i < len(left) and left[i] == cut:
            i += 1
        if j < len(right) and right[j] == cut:
            j += 1
        cuts.append(cut)
        pairs.append((one[3][i], two[3][j]))
    return cuts, pairs
