"""Programs back into a policy: the rules a person would have written, proved to mean the same."""

from __future__ import annotations

from sysgate.analyse import reading, ruled
from sysgate.analyse.writing import Writing
from sysgate.errors import BpfError
from sysgate.facts import arches as facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.analyse.reading import Reading
    from sysgate.bpf.program import Program
    from sysgate.policy import ast

_WHERE_FROM = "<program>"


def to_policy(programs: Sequence[Program], arches: Sequence[str] | None = None) -> ast.Policy:
    """The policy that a stack of programs enforces, the first installed first; other architectures are killed.

    arches: names; None for those the programs test for, x32's calls then going by their numbers on x86_64. Raises
    BpfError where they test for none, or decide by what no rule can say; ProofError should the policy differ.
    """
    from sysgate.policy.include import parse

    names, read = _read(programs, arches)
    policy = parse(Writing(read.space, _numbers(read, names)).text(), _WHERE_FROM)
    _prove(policy, programs, names, read)
    return policy


def to_text(programs: Sequence[Program], arches: Sequence[str] | None = None) -> str:
    """That policy as it was written, with its groups and constants; not proved."""
    names, read = _read(programs, arches)
    return Writing(read.space, _numbers(read, names)).text()


def _read(programs: Sequence[Program], asked: Sequence[str] | None) -> tuple[tuple[str, ...], Reading]:
    names = _tested(programs) if asked is None else _known(asked)
    audits = list(dict.fromkeys(_audit(name) for name in names))
    read = reading.read(programs, audits)
    return names, read


def _numbers(read: Reading, names: Sequence[str]) -> list[reading.Numbers]:
    return [reading.of_arch(read.space, read.diagrams[_audit(name)], name, beside_x32="x32" in names) for name in names]


def _known(asked: Sequence[str]) -> tuple[str, ...]:
    found = set()
    for name in asked:
        known = facts.arch(name)
        if known is None:
            raise BpfError(f"unknown architecture {name!r}; known: {', '.join(facts.ARCHES)}")
        found.add(known.name)
    # x86_64 and x32 share one AUDIT_ARCH value: a policy for x32 alone would leave the other's numbers open.
    return _sorted(found | ({"x86_64"} if "x32" in found else set()))


def _tested(programs: Sequence[Program]) -> tuple[str, ...]:
    audits = reading.tested(programs)
    found = {arch.name for audit in audits for arch in facts.by_audit(audit)} - {"x32"}
    if not found:
        unknown = ", ".join(f"{audit:#x}" for audit in audits)
        what = f"only for {unknown}, which no table has" if audits else "for no architecture"
        raise BpfError(f"the program tests {what}: say which one it is for")
    return _sorted(found)


def _sorted(names: set[str]) -> tuple[str, ...]:
    return tuple(name for name in facts.ARCHES if name in names)


def _audit(name: str) -> int:
    known = facts.arch(name)
    assert known is not None
    return known.audit


def _prove(policy: ast.Policy, programs: Sequence[Program], names: Sequence[str], read: Reading) -> None:
    """Raises ProofError where the policy and the programs differ."""
    from sysgate.policy import resolve
    from sysgate.proof import prove

    gate = resolve.gate_of(policy, names)
    if len(programs) == 1:
        prove(gate, programs[0], audits=tuple(audit for audit, _ in gate.entries))
        return
    for audit, segments in gate.entries:
        made = ruled.diagram(read.space, segments)
        if made != read.diagrams[audit]:
            raise ruled.difference(read.space, facts.by_audit(audit)[0].name, read.diagrams[audit], made)
