"""A mask with bits that the argument does not have."""

from __future__ import annotations

from sysgate.lint.finding import Finding, Subject, at
from sysgate.policy import ruleset
from sysgate.policy.ruleset import atoms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CHECK = "wide-mask"


def check(subject: Subject) -> Iterator[Finding]:
    """`mode & 0x10000` where mode has 16 bits: the kernel never sees that bit, nor does the rule."""
    for _, _, bound in subject.bounds():
        for expr, _ in bound.cases:
            for atom in atoms(expr):
                mask = atom.mask if isinstance(atom, ruleset.Shares) else atom.term.mask
                if mask is None or mask < 0:
                    continue
                above = mask >> atom.term.bits << atom.term.bits
                if above:
                    message = f"bits {above:#x} of the mask never match: {atom.term.name} has {atom.term.bits} bits"
                    yield at(bound.origin, CHECK, message, "leave them out, or compare a raw register (reg0 … reg5)")
                elif mask == 0:
                    yield at(bound.origin, CHECK, f"no bit of {atom.term.name} is looked at: the mask is 0", "")
