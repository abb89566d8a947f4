"""A word of which the kernel drops the upper half, though it declares it in full."""

from __future__ import annotations

from sysgate.lint.finding import Finding, Subject, at
from sysgate.policy import ruleset
from sysgate.policy.ruleset import atoms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CHECK = "dropped-half"

# Seen on Linux 6.18 (tests/kernel/test_typed_arguments.py). import_iovec() in lib/iov_iter.c counts in 32 bits; fcntl,
# keyctl and semctl take an int or a pointer, by command (fs/fcntl.c, security/keys/keyctl.c, ipc/sem.c).
_DROPPED = {
    "fcntl": ("arg",),
    "kcmp": ("idx1", "idx2"),
    "keyctl": ("arg2",),
    "preadv": ("vlen",),
    "preadv2": ("vlen",),
    "process_madvise": ("vlen",),
    "process_vm_readv": ("liovcnt",),
    "process_vm_writev": ("liovcnt",),
    "pwritev": ("vlen",),
    "pwritev2": ("vlen",),
    "readv": ("vlen",),
    "semctl": ("arg",),
    "vmsplice": ("nr_segs",),
    "writev": ("vlen",),
}


def check(subject: Subject) -> Iterator[Finding]:
    """`fcntl: arg != 5`: passed by 5 with anything above its 32 bits, which the kernel takes for 5."""
    for _, call, bound in subject.bounds():
        for name in _DROPPED.get(call, ()):
            tests = [atom for expr, _ in bound.cases for atom in atoms(expr) if _whole(atom, name)]
            if tests:
                message = f"{call} may use only 32 bits of {name}, and the rule compares 64"
                hint = f"compare ({name} & 0xffffffff), so that nothing above hides a value"
                yield at(bound.origin, CHECK, message, hint)


def _whole(atom: ruleset.Compare | ruleset.Shares | ruleset.Among, name: str) -> bool:
    if isinstance(atom, ruleset.Shares) or atom.term.mask is not None:
        return False
    return atom.term.name == name and atom.term.bits == 64
