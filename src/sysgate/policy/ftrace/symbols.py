"""The running kernel's function addresses, for `field.function == name`: kernel/kallsyms.c through /proc/kallsyms."""

from __future__ import annotations

from bisect import bisect_right
from functools import cache

from sysgate.value import Value


class Symbols(Value):
    """Which functions this kernel has.

    names: each with its address; all 0 where this user may not see addresses. starts: every address, sorted.
    text: the ranges of addresses that are code (is_ksym_addr), each from … before.
    """

    names: dict[str, int]
    starts: tuple[int, ...]
    text: tuple[tuple[int, int], ...]

    @property
    def visible(self) -> bool:
        """Whether this user is shown addresses."""
        return self.starts[-1:] > (0,)

    def span(self, address: int) -> tuple[int, int] | None:
        """The function around an address: its first address and the one after its last; None outside kernel code."""
        limit = next((end for begin, end in self.text if begin <= address < end), None)
        if limit is None:
            return None
        at = bisect_right(self.starts, address)
        return self.starts[at - 1], self.starts[at] if at < len(self.starts) else limit


@cache
def running() -> Symbols | None:
    """The functions of the kernel that runs here; None where it does not list them."""
    try:
        with open("/proc/kallsyms", encoding="ascii", errors="replace") as file:
            rows = [line.split() for line in file]
    except OSError:
        return None
    names: dict[str, int] = {}
    starts = set()
    for address, _, name, *owner in rows:
        # A fourth column is the module, BPF program or trampoline something belongs to: not the kernel's own symbol.
        if not owner:
            starts.add(int(address, 16))
            names.setdefault(name, int(address, 16))
    ends = (("_stext", "_etext"), ("_sinittext", "_einittext"))
    text = tuple((names.get(begin, 0), names.get(end, 0)) for begin, end in ends)
    return Symbols(names, tuple(sorted(starts)), text)
