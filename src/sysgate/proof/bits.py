"""Functions of single bits as reduced ordered decision diagrams: what holds for expressions that mix words.

A function is the index of a node; equal functions have equal indices. FALSE and TRUE are functions without a
variable; so is every `constant`, which stands for an answer.
"""

from __future__ import annotations

from sysgate.proof.arithmetic import FALSE, TRUE, Arithmetic
from sysgate.proof.budget import Spent
from sysgate.proof.spans import Spans
from sysgate.proof.symbols import Symbols

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

CONSTANT = 1 << 30  # the level of a function without a variable: below all variables


class Bits(Arithmetic):
    """A store of functions over bits of data words. budget: steps it may take before it raises Spent.

    levels: the place of each (word, bit) in the order of variables, from 0 up.
    """

    def __init__(self, levels: Mapping[tuple[int, int], int], budget: int) -> None:
        super().__init__()
        self.levels = levels
        self.level = [CONSTANT, CONSTANT]
        self.low = [FALSE, TRUE]
        self.high = [FALSE, TRUE]
        self.constants: dict[int, int] = {}
        self._names: dict[tuple[int, int, int], int] = {}
        self._chosen: dict[tuple[int, int, int], int] = {}
        self._hard: set[int] = set()
        self._left = budget

    def constant(self, value: int) -> int:
        """The function that is always this value, which is not a truth value."""
        if value not in self.constants:
            self.constants[value] = len(self.level)
            self.level.append(CONSTANT)
            self.low.append(value)
            self.high.append(value)
        return self.constants[value]

    def variable(self, word: int, bit: int) -> int:
        """The function that is a bit of a word."""
        return self.node(self.levels[word, bit], FALSE, TRUE)

    def choose(self, which: int, yes: int, no: int) -> int:
        """yes where which is TRUE, no where it is FALSE."""
        if which == TRUE or yes == no:
            return yes
        if which == FALSE:
            return no
        if yes == TRUE and no == FALSE:
            return which
        key = (which, yes, no)
        found = self._chosen.get(key)
        if found is not None:
            return found
        self._left -= 1
        if self._left < 0:
            raise Spent("the words are mixed in too many ways")
        level, low, high = self.level, self.low, self.high
        top = min(level[which], level[yes], level[no])
        which_low, which_high = (low[which], high[which]) if level[which] == top else (which, which)
        yes_low, yes_high = (low[yes], high[yes]) if level[yes] == top else (yes, yes)
        no_low, no_high = (low[no], high[no]) if level[no] == top else (no, no)
        made = self.node(top, self.choose(which_low, yes_low, no_low), self.choose(which_high, yes_high, no_high))
        self._chosen[key] = made
        return made

    def some(self, function: int) -> dict[int, int]:
        """Values of variables, by level, for which a function is TRUE, whatever the others are; it is not FALSE."""
        found = {}
        while function != TRUE:
            value = int(self.low[function] == FALSE)
            found[self.level[function]] = value
            function = self.high[function] if value else self.low[function]
        return found

    def variables(self, function: int) -> set[int]:
        """The levels of the variables that a function depends on."""
        found = set()
        seen = {function}
        todo = [function]
        while todo:
            node = todo.pop()
            if self.level[node] != CONSTANT:
                found.add(self.level[node])
                for half in (self.low[node], self.high[node]):
                    if half not in seen:
                        seen.add(half)
                        todo.append(half)
        return found

    def tested(self, symbols: Symbols, value: int, spans: Spans, budget: int) -> int | None:
        """TRUE where a register's value lies in spans; None where that takes more steps than budget."""
        if value in self._hard:
            return None
        left = self._left
        self._left = min(left, budget)
        granted = self._left
        try:
            return self.member(self.word(symbols, value), spans)
        except Spent:
            self._hard.add(value)
            return None
        finally:
            self._left += left - granted

    def node(self, level: int, low: int, high: int) -> int:
        """low where the variable of that level is 0, high where it is 1; both ask only later variables."""
        if low == high:
            return low
        key = (level, low, high)
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = len(self.level)
            self.level.append(level)
            self.low.append(low)
            self.high.append(high)
        return name
