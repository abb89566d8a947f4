"""The moment a process is waited for: when it first makes one of some calls, or its program's main."""

from __future__ import annotations

from sysgate.errors import PolicyError
from sysgate.facts import arches, calls
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAIN = "main"


class Moment(Value):
    """name: as it was written. numbers: by AUDIT_ARCH value the calls; empty for a program's main."""

    name: str
    numbers: tuple[tuple[int, frozenset[int]], ...]

    @property
    def main(self) -> bool:
        """Whether it is a program's main."""
        return not self.numbers

    def is_call(self, audit: int, nr: int) -> bool:
        """Whether a call is one of those waited for."""
        return any(audit == known and nr in numbers for known, numbers in self.numbers)


def moment(text: str, audits: Sequence[int]) -> Moment:
    """The moment that a text names: `main`, a call, or several: `accept,accept4`. audits: what the policy covers.

    Raises PolicyError for a name that no covered architecture has.
    """
    words = [word.strip().removesuffix("()") for word in text.split(",")]
    if words == [MAIN]:
        return Moment(MAIN, ())
    names = [(audit, arch.name) for audit in audits for arch in arches.by_audit(audit)]
    numbers: dict[int, set[int]] = {audit: set() for audit in audits}
    for word in words:
        known = False
        for audit, arch in names:
            call = calls.resolve(arch, word)
            nr = None if call is None else calls.number(arch, call)
            if nr is not None:
                numbers[audit].add(nr & 0xFFFF_FFFF)
                known = True
        if not known:
            raise _unknown(word, names[0][1])
    return Moment(text, tuple((audit, frozenset(found)) for audit, found in numbers.items()))


def _unknown(word: str, arch: str) -> PolicyError:
    from sysgate.facts.nearest import nearest

    near = nearest(word, calls.table(arch)) if word else ()
    hint = f"did you mean {near[0]}?" if near else "the name of a call, or main"
    return PolicyError(f"--when: there is no call {word!r}", hint=hint)
