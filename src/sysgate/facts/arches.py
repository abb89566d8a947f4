"""The architectures sysgate knows: how each numbers, counts bits and calls itself."""

from __future__ import annotations

import sys
from os import uname

from sysgate.errors import CompileError
from sysgate.facts import table
from sysgate.value import Value


class Arch(Value):
    """One ABI of Linux.

    audit_name, audit: its AUDIT_ARCH constant, the value in `seccomp_data.arch` (x86_64 and x32 share one).
    word_bits: size of long and of pointers; register_bits: of a register that carries an argument.
    nr_base: added to the numbers of its table; nr_flag: a bit set in all of them.
    machine: what `uname -m` says. abi: data model, for people. pair64: how a 64-bit value is split over registers.
    libseccomp, oci: its names there. quirks: what is surprising about it, for people.
    """

    name: str
    aliases: tuple[str, ...]
    audit_name: str
    audit: int
    word_bits: int
    register_bits: int
    big_endian: bool
    nr_base: int
    nr_flag: int
    machine: str
    abi: str
    pair64: str
    libseccomp: str
    oci: str
    quirks: str


def _parse(fields: list[str]) -> Arch:
    name, aliases, audit_name, audit, word, register, endian, base, flag, *rest = fields
    return Arch(
        name,
        tuple(aliases.split(",")),
        audit_name,
        int(audit, 16),
        int(word),
        int(register),
        endian == "big",
        int(base),
        int(flag or "0", 16),
        *rest,
    )


# Written out, for most look-ups need no more of arches.txt, whose order it is; a test compares the two.
ARCHES: tuple[str, ...] = (
    "x86_64",
    "x32",
    "i386",
    "aarch64",
    "arm",
    "riscv64",
    "s390x",
    "ppc64le",
    "mips64el",
    "mips64el_n32",
    "mipsel",
    "loongarch64",
)
"""Names in the order of the tables."""

_KNOWN: dict[str, Arch] = {}


def arch(name: str) -> Arch | None:
    """The architecture of that name or alias; None where there is none."""
    if name not in _KNOWN:
        for fields in table.rows("arches"):
            if name == fields[0] or name in fields[1].split(","):
                _KNOWN[name] = _parse(fields)
                break
    return _KNOWN.get(name)


def named(name: str) -> Arch:
    """The architecture of that name or alias. Raises CompileError, with the names there are, where there is none."""
    known = arch(name) if isinstance(name, str) else None
    if known is None:
        raise CompileError(f"unknown architecture {name!r}; known: {', '.join(ARCHES)}")
    return known


def spellings() -> tuple[str, ...]:
    """Every name and alias, in table order: what to suggest a nearest spelling from."""
    return (*ARCHES, *(alias for fields in table.rows("arches") for alias in fields[1].split(",")))


def by_audit(audit: int) -> tuple[Arch, ...]:
    """The architectures that `seccomp_data.arch` calls `audit`: none, one, or x86_64 and x32."""
    return tuple([_parse(fields) for fields in table.rows("arches") if int(fields[3], 16) == audit])


def letter(name: str) -> str:
    """The letter that stands for an architecture in the data files. name: one of ARCHES."""
    return chr(ord("a") + ARCHES.index(name))


def lettered(letters: str) -> tuple[str, ...]:
    """The architectures behind letters of the data files, in table order."""
    return tuple(ARCHES[ord(each) - ord("a")] for each in letters)


# uname's machine → the ABI of a 64-bit and of a 32-bit process there. uname alone will not do: a 32-bit process on a
# 64-bit kernel sees the kernel's machine, and `setarch i686` shows a 64-bit process a 32-bit one.
_MACHINES = {
    "x86_64": ("x86_64", "i386"),
    "aarch64": ("aarch64", "arm"),
    "mips64": ("mips64el", "mipsel"),
    "mips": ("mips64el", "mipsel"),
}


def native() -> Arch | None:
    """The architecture this process runs on; None where the tables lack it."""
    machine = uname().machine
    if machine in {"i386", "i486", "i586", "i686"}:
        machine = "x86_64"
    elif machine.startswith("armv"):
        machine = "aarch64"
    wide, narrow = _MACHINES.get(machine, (machine, ""))
    found = arch(wide if sys.maxsize > 1 << 32 else narrow)
    return found if found and found.big_endian == (sys.byteorder == "big") else None
