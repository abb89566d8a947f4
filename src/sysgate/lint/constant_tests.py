"""A test that holds for every value of its argument, or for none."""

from __future__ import annotations

from sysgate.lint.finding import Finding, Subject, at
from sysgate.policy import ruleset
from sysgate.policy.ruleset import atoms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sysgate.policy.ruleset import Term

CHECK = "constant-test"


def check(subject: Subject) -> Iterator[Finding]:
    """Tests such as `pid < 0xffffffff` or `fd == 0x100000001`, with the range that makes them constant."""
    for _, _, bound in subject.bounds():
        for expr, _ in bound.cases:
            for atom in atoms(expr):
                said = _said(atom)
                if said:
                    yield at(bound.origin, CHECK, *said)


def _said(atom: ruleset.Compare | ruleset.Shares | ruleset.Among) -> tuple[str, str] | None:
    term = atom.term
    if isinstance(atom, ruleset.Compare):
        holds = _compare(term, atom.op, atom.value)
        written = f"{_written(term)} {atom.op} {atom.value}"
        return None if holds is None else (f"`{written}` {_verdict(holds)}", _range(term))
    if isinstance(atom, ruleset.Among):
        for low, high in atom.items:
            if high is None and _compare(term, "==", low) is False:
                return f"{low} in the set of {_written(term)} never matches", _range(term)
            if high is not None and (high < _least(term) or low > _most(term)):
                return f"{low}..{high} in the set of {_written(term)} never matches", _range(term)
    return None


def _compare(term: Term, op: str, value: int) -> bool | None:
    low, high = _least(term), _most(term)
    if op in ("==", "!="):
        possible = -(1 << term.bits - 1) <= value < 1 << term.bits
        if possible and term.mask is not None:
            possible = value & ((1 << term.bits) - 1) & ~term.mask == 0
        return None if possible else op == "!="
    truths = {
        "<": (high < value, low >= value),
        "<=": (high <= value, low > value),
        ">": (low > value, high <= value),
        ">=": (low >= value, high < value),
    }
    holds, fails = truths[op]
    return True if holds else False if fails else None


def _least(term: Term) -> int:
    return -(1 << term.bits - 1) if term.signed and term.mask is None else 0


def _most(term: Term) -> int:
    if term.mask is not None:
        return term.mask & ((1 << term.bits) - 1)
    return (1 << term.bits - term.signed) - 1


def _written(term: Term) -> str:
    return term.name if term.mask is None else f"({term.name} & {term.mask:#x})"


def _verdict(holds: bool) -> str:
    return "always holds" if holds else "never holds"


def _range(term: Term) -> str:
    kind = "signed" if term.signed else "unsigned"
    if term.mask is not None:
        return f"only bits of {term.mask & ((1 << term.bits) - 1):#x} are left of {term.name} ({term.bits} bits)"
    return f"{term.name} is {kind}, {term.bits} bits: {_least(term)} … {_most(term)}"
