"""Truth values as wires of a circuit, each gate written down as clauses for the search in `sat`."""

from __future__ import annotations

from sysgate.proof.arithmetic import FALSE, TRUE, Arithmetic


class Gates(Arithmetic):
    """A circuit over the bits of a call. A wire is a literal of `sat`, FALSE or TRUE. clauses: what the gates say."""

    def __init__(self) -> None:
        super().__init__()
        self.clauses: list[tuple[int, ...]] = []
        self.inputs: dict[tuple[int, int], int] = {}
        self.variables = 0
        self._gates: dict[tuple[int, ...], int] = {}

    def variable(self, word: int, bit: int) -> int:
        """As Arithmetic.variable; any word will do."""
        if (word, bit) not in self.inputs:
            self.inputs[word, bit] = self._wire()
        return self.inputs[word, bit]

    def negation(self, one: int) -> int:
        """As Arithmetic.negation."""
        return one ^ 1

    def choose(self, which: int, yes: int, no: int) -> int:
        """As Arithmetic.choose."""
        if which in (FALSE, TRUE):
            return yes if which else no
        if yes == no:
            return yes
        if yes == no ^ 1:
            return self._parity(which, no)
        if yes in (TRUE, which):
            return self._conjunction(which ^ 1, no ^ 1) ^ 1
        if yes in (FALSE, which ^ 1):
            return self._conjunction(which ^ 1, no)
        if no in (FALSE, which):
            return self._conjunction(which, yes)
        if no in (TRUE, which ^ 1):
            return self._conjunction(which, yes ^ 1) ^ 1
        if which & 1:
            which, yes, no = which ^ 1, no, yes
        key = (which, yes, no)
        if key not in self._gates:
            wire = self._gates[key] = self._wire()
            self.clauses += [
                (which ^ 1, yes ^ 1, wire),
                (which ^ 1, yes, wire ^ 1),
                (which, no ^ 1, wire),
                (which, no, wire ^ 1),
                # These follow, and let more be seen at once.
                (yes ^ 1, no ^ 1, wire),
                (yes, no, wire ^ 1),
            ]
        return self._gates[key]

    def _conjunction(self, one: int, two: int) -> int:
        if one > two:
            one, two = two, one
        if one <= TRUE:
            return two if one else FALSE
        if one == two:
            return one
        if one == two ^ 1:
            return FALSE
        if (one, two) not in self._gates:
            wire = self._gates[one, two] = self._wire()
            self.clauses += [(one, wire ^ 1), (two, wire ^ 1), (one ^ 1, two ^ 1, wire)]
        return self._gates[one, two]

    def _parity(self, one: int, two: int) -> int:
        turned = (one ^ two) & 1
        one, two = sorted((one & ~1, two & ~1))
        if one <= TRUE:
            return two ^ turned
        if one == two:
            return turned
        key = (one, two, -1)
        if key not in self._gates:
            wire = self._gates[key] = self._wire()
            self.clauses += [
                (one, two, wire ^ 1),
                (one ^ 1, two ^ 1, wire ^ 1),
                (one ^ 1, two, wire),
                (one, two ^ 1, wire),
            ]
        return self._gates[key] ^ turned

    def _wire(self) -> int:
        self.variables += 1
        return 2 * self.variables
