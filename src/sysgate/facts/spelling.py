"""Numbers as the constants a person would write: `O_RDWR|O_CREAT`, `FUTEX_WAIT_PRIVATE`, `SIGKILL`."""

from __future__ import annotations

from sysgate.facts import constants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# Masks of a field of several bits inside a flags word: what lies in one is a value, not a sum of flags.
_FIELDS = (
    "O_ACCMODE",
    "S_IFMT",
    "MAP_TYPE",
    "FUTEX2_SIZE_MASK",
    "KEXEC_ARCH_MASK",
    "PER_MASK",
    "AT_STATX_SYNC_TYPE",
    "MOUNT_ATTR__ATIME",
)
# Masks of the huge page size, which stands 26 bits higher: include/uapi/asm-generic/hugetlb_encode.h.
_HUGE_PAGES = ("MAP_HUGE_MASK", "MFD_HUGE_MASK", "SHM_HUGE_MASK")
# Masks for the kernel's own use, and CSIGNAL, whose field holds a signal's number: never how a value is written.
_MASKS = {"SWAP_FLAG_PRIO_MASK", "PKEY_ACCESS_MASK", "MS_MGC_MSK", "STATMOUNT_SUPPORTED_MASK", "CSIGNAL"}
_NEVER = {*_FIELDS, *_HUGE_PAGES, *_MASKS}
# Zeros that people write; the others (MAP_FILE, AT_STATX_SYNC_AS_STAT, …) are left out.
_ZEROS = ("O_RDONLY", "PROT_NONE", "F_OK", "PER_LINUX", "PKEY_UNRESTRICTED")
# Flags that stand in an enum's family because they are or-ed to its values.
_FLAGS_IN_ENUMS = {
    "FUTEX_CLOCK_REALTIME",
    "FUTEX_PRIVATE_FLAG",
    "SCHED_RESET_ON_FORK",
    "MPOL_F_STATIC_NODES",
    "MPOL_F_RELATIVE_NODES",
    "MPOL_F_NUMA_BALANCING",
}
# Of several names for one number: the less usual ones, …
_SECOND = {
    *("AF_LOCAL", "AF_ROUTE", "IPPROTO_HOPOPTS", "MPOL_F_ADDR", "MPOL_F_MEMS_ALLOWED", "MPOL_F_NODE"),
    *("MSG_SENDPAGE_NOPOLICY", "NETLINK_INET_DIAG", "O_NDELAY", "SCHED_NORMAL", "SHM_NORESERVE", "SO_DETACH_BPF"),
    *("CGROUP_NS", "IPC_NS", "MNT_NS", "NET_NS", "PID_NS", "TIME_NS", "USER_NS", "UTS_NS"),
    *("STATMOUNT_BY_FD", "TFD_TIMER_ABSTIME", "FUTEX_PRIVATE_FLAG", "IP_RECVRETOPTS"),
}
# … and those that are right with one call only.
_FIRST: dict[str, set[str]] = {
    "name_to_handle_at": {"AT_HANDLE_FID", "AT_HANDLE_CONNECTABLE", "AT_HANDLE_MNT_ID_UNIQUE"},
    "shmget": {"SHM_NORESERVE"},
    "timerfd_settime": {"TFD_TIMER_ABSTIME"},
    "timerfd_settime64": {"TFD_TIMER_ABSTIME"},
    "unlinkat": {"AT_REMOVEDIR"},
    "wait4": {"WUNTRACED"},
    "waitpid": {"WUNTRACED"},
}


def one(value: int, families: Iterable[str], arch: str, bits: int = 64, call: str = "") -> str | None:
    """The constant of the families that is equal to value in its `bits` low bits; None where there is none.

    The first family that has one decides; of its names the most usual, or the one that belongs to the call.
    """
    low = (1 << bits) - 1
    for family in families:
        names = [
            name
            for name, known in constants.members(family, arch).items()
            if (known ^ value) & low == 0 and -(1 << bits - 1) <= known <= low and name not in _NEVER
        ]
        if names:
            return _usual(names, call)
    return None


def flags(value: int, families: Iterable[str], arch: str, call: str = "") -> str:
    """A flags word as names joined by `|`, in the order of their bits; bits without a name in hex, `0` for none.

    value: unsigned. The families' fields of several bits (the access mode of open) are read as fields.
    """
    names = _flag_names(families, arch)
    if value == 0:
        return next((zero for zero in _ZEROS if names.get(zero) == 0), "0")
    parts: list[tuple[int, str]] = []
    rest = value
    masks = [names[field] for field in _FIELDS if field in names]
    masks += [names[field] << 26 for field in _HUGE_PAGES if field in names]
    for mask in masks:
        inside = {name: bits for name, bits in names.items() if name not in _NEVER and bits & ~mask == 0}
        found = _usual([name for name, bits in inside.items() if bits == rest & mask], call)
        # A field that is zero is said only where its zero has a name that people write.
        if found and (rest & mask or found == "O_RDONLY"):
            parts.append((rest & mask, found))
        if found:
            rest &= ~mask
        names = {name: bits for name, bits in names.items() if name not in inside}
    for bits in sorted({bits for bits in names.values() if bits > 0}, key=lambda bits: (-bits.bit_count(), bits)):
        if rest & bits == bits:
            name = _usual([name for name, known in names.items() if known == bits and name not in _NEVER], call)
            if name:
                parts.append((bits, name))
                rest &= ~bits
    spelled = [name for _, name in sorted(parts)]
    return "|".join(spelled + ([hex(rest)] if rest else []))


def enum_with_flags(value: int, families: Iterable[str], arch: str, bits: int = 64, call: str = "") -> str | None:
    """One value with flags or-ed to it, `SOCK_STREAM|SOCK_CLOEXEC`; None where no value is left without its flags."""
    enums = [family for family in families if constants.kind(family) == "enum"]
    found = one(value, enums, arch, bits, call)
    if found:
        return found
    known = {name: bit for family in families for name, bit in constants.members(family, arch).items()}
    optional = {
        name
        for family in families
        for name in constants.members(family, arch)
        if constants.kind(family) == "flags" or name in _FLAGS_IN_ENUMS
    }
    rest, taken = value, []
    for name in sorted(optional, key=lambda name: (-known[name], name)):
        if rest & known[name] == known[name]:
            rest &= ~known[name]
            taken.append(name)
            found = one(rest, enums, arch, bits, call)
            if found:
                return "|".join([found, *reversed(taken)])
    return None


def ioctl(request: int, families: Iterable[str], arch: str) -> str | None:
    """The usual name of an ioctl request number on an architecture; None where it has none.

    Requests of different drivers share numbers: the name from the first family that lists one is taken.
    """
    names = constants.ioctl_names(arch, request)
    for family in families:
        listed = [name for name in names if name in constants.names(family)]
        if listed:
            return listed[0]
    return names[0] if names else None


def _flag_names(families: Iterable[str], arch: str) -> dict[str, int]:
    return {name: bits for family in families for name, bits in constants.members(family, arch).items()}


def _usual(names: list[str], call: str) -> str | None:
    first = _FIRST.get(call, set())
    return min(names, key=lambda name: (name not in first, name in _SECOND, name)) if names else None
