"""System calls by name and number, on each architecture, and the other names they go by."""

from __future__ import annotations

from sysgate.facts import table as files
from sysgate.facts.arches import ARCHES, letter, lettered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_numbers: dict[str, dict[str, int]] = {}
_names: dict[str, dict[int, str]] = {}

# Names that 2011's rule files use (form A on i386) and no table has: the kernel had dropped the call before.
_GONE = frozenset({"vm"})


def table(arch: str) -> Mapping[str, int]:
    """Name → number as `seccomp_data.nr` shows it, for one of ARCHES; empty for any other architecture."""
    if arch not in _numbers:
        if arch not in ARCHES:
            return {}
        words = files.text(f"calls_{arch}").split()
        _numbers[arch] = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    return _numbers[arch]


def number(arch: str, name: str) -> int | None:
    """The number of a call on an architecture; None where that lacks it."""
    return table(arch).get(name)


def name(arch: str, nr: int) -> str | None:
    """The call behind a number of `seccomp_data.nr`; None where no call has it."""
    if arch not in _names:
        _names[arch] = {known: called for called, known in table(arch).items()}
    return _names[arch].get(nr)


def NAMES() -> tuple[str, ...]:  # noqa: N802 - a constant that is read when first asked for
    """Every call of any architecture, sorted."""
    return tuple(fields[0] for fields in files.rows("names"))


def arches_with(name: str) -> tuple[str, ...]:
    """The architectures that have a call of this name, in table order."""
    found = files.row("names", name)
    return lettered(found[1]) if found else ()


def _other(arch: str, name: str, kinds: tuple[str, ...]) -> str | None:
    if arch not in ARCHES:
        return None
    here = letter(arch)
    for _, kind, call, letters in files.rows_of("aliases", name):
        if kind in kinds and here in letters:
            return call
    return None


def entry_point(arch: str, name: str) -> str | None:
    """The call that a kernel function or tracing event of this name (without `sys_`) serves on an architecture.

    Only names that are not the call's own are found: `newfstat` is fstat; `fstat` gives None.
    """
    return _other(arch, name, ("entry", "compat-entry", "event"))


def alias(arch: str, name: str) -> str | None:
    """The call that headers, C libraries or other tools know by this name on an architecture."""
    return _other(arch, name, ("name",))


def resolve(arch: str, written: str) -> str | None:
    """The call of this architecture that a written name means; None where it has no such call.

    As written first, then without `sys_`; each time first a call's name, then an entry point's, then an alias.
    """
    here = table(arch)
    for spelled in (written, written[4:]) if written.startswith("sys_") else (written,):
        if spelled in here:
            return spelled
        found = entry_point(arch, spelled) or alias(arch, spelled)
        if found:
            return found
    return None


def known(written: str) -> bool:
    """Whether some architecture, or some kernel of the past, has a call that goes by this name."""
    for spelled in (written, written.removeprefix("sys_")):
        if spelled in _GONE or files.row("names", spelled) or files.row("aliases", spelled):
            return True
    return False


def gone(written: str) -> bool:
    """Whether this is a name of 2011's rule files for a call that no kernel of the tables has: it never matches."""
    return written.removeprefix("sys_") in _GONE


def other_names() -> tuple[tuple[str, str, str, tuple[str, ...]], ...]:
    """Every other name of a call: (name, kind, call, architectures), sorted by name.

    kind: "entry", "compat-entry" or "event" for the kernel's functions and events, "name" for those of others.
    """
    return tuple((name, kind, call, lettered(letters)) for name, kind, call, letters in files.rows("aliases"))


def spellings() -> tuple[str, ...]:
    """Every name that `known` accepts, without `sys_` before it, sorted: what to suggest a nearest spelling from."""
    return tuple(sorted({fields[0] for file in ("names", "aliases") for fields in files.rows(file)}))


def entry(arch: str, name: str) -> str | None:
    """The kernel function behind a call; `-` where the call is numbered but not implemented; None without the call."""
    if number(arch, name) is None:
        return None
    here = letter(arch)
    for _, function, letters in files.rows_of("entries", name):
        if here in letters:
            return function
    return f"sys_{name}"
