"""A system call as a person would write it: `openat(AT_FDCWD, "/etc/shadow", O_RDONLY)`.

Every value is cut to what the kernel uses of it before it is shown, so garbage in the upper half of a register does
not show either. Whatever comes from the program's memory is escaped: it must not be able to move the cursor, end
the line or turn the text round (docs: Unicode TR 36, bidirectional spoofing).
"""

from __future__ import annotations

from sysgate.facts import calls, constants, prototypes, spelling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sysgate.call import Call
    from sysgate.facts.constants import Family
    from sysgate.facts.prototypes import Argument

LONGEST = 256
"""Characters of a string that are shown; what is longer ends in …"""

_X32 = 0x4000_0000  # bit 30 of a number under AUDIT_ARCH_X86_64, arch/x86/include/uapi/asm/unistd.h __X32_SYSCALL_BIT


def shown(call: Call, strings: Mapping[int, bytes] | None = None) -> str:
    """The call in C's way, arguments by name where they have one.

    strings: what pointer arguments point at, by the argument's place in the list (from 0); shown quoted and escaped.
    A call no table knows shows its number and six words: `syscall_9999(0x1, 0x0, …)`. Arguments the kernel does not
    look at (open's mode without O_CREAT) are left out; `?` stands for one that no register holds.
    """
    name, arch = _named(call)
    prototype = prototypes.prototype(name, arch) if name else None
    if prototype is None or prototype.args is None:
        words = ", ".join(hex(word) for word in call.args)
        return f"{name or f'syscall_{call.nr}'}({words})"
    values = {each.name: _value(each, call.args) for each in prototype.args}
    parts = []
    for at, argument in enumerate(prototype.args[: _used(prototype.name, values, arch, len(prototype.args))]):
        value = values[argument.name]
        if value is None:
            parts.append("?")
        elif strings and at in strings:
            parts.append(quoted(strings[at]))
        else:
            parts.append(_argument(prototype.name, argument, value, values, arch))
    prefix = "x32:" if arch == "x32" and call.arch != "x32" else ""
    return f"{prefix}{name}({', '.join(parts)})"


def value(call: str, argument: str, arch: str, word: int) -> str:
    """One argument's value as `shown` has it, where the other arguments are not known: `O_RDONLY`, `AF_UNIX`, `7`.

    word: the value or the register that holds it, cut to what the kernel uses; hex where the call has no such argument.
    """
    prototype = prototypes.prototype(call, arch)
    found = prototype.argument(argument) if prototype else None
    if found is None:
        return hex(word)
    return _argument(call, found, _read(found, word), {}, arch)


def quoted(raw: bytes) -> str:
    """Bytes of a program's memory as a C string that is safe to print; `"…"…` where it was longer than LONGEST."""
    text = raw[: 4 * LONGEST].decode("utf-8", "surrogateescape")
    body = escaped(text[:LONGEST], quotes='"')
    return f'"{body}"' + ("…" if len(text) > LONGEST or len(raw) > 4 * LONGEST else "")


def escaped(text: str, quotes: str = "") -> str:
    """Text that cannot do anything when printed: what does not print is escaped, and `quotes` and backslashes are.

    Control characters, line and paragraph separators, and all that format without being seen (bidirectional
    controls among them) become escapes; undecodable bytes (surrogateescape) become \\xNN.
    """
    if text.isascii() and text.isprintable() and not any(each in text for each in quotes + "\\"):
        return text
    return "".join(map(_escape, text) if not quotes else (_escape(c) if c not in quotes else f"\\{c}" for c in text))


_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\"}


def _escape(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    if character.isprintable():  # false for Unicode's classes Cc, Cf, Cs, Co, Cn, Zl, Zp, and Zs but the space
        return character
    point = ord(character)
    if 0xDC80 <= point <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{point - 0xDC00:02x}"
    if point < 0x80:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x1_0000 else f"\\U{point:08x}"


def _named(call: Call) -> tuple[str | None, str]:
    # The call's name and the architecture to read its arguments by.
    if isinstance(call.arch, int):
        return None, ""
    name = calls.name(call.arch, call.nr)
    if name is None and call.arch == "x86_64" and call.nr & _X32:
        name = calls.name("x32", call.nr)
        return name, "x32" if name else call.arch
    return name, call.arch


def _value(argument: Argument, words: tuple[int, ...]) -> int | None:
    # What the kernel makes of its registers; None where none holds it.
    if not argument.regs:
        return None
    if len(argument.regs) == 2:
        low, high = (words[register] & 0xFFFF_FFFF for register in argument.regs)
        return _read(argument, high << 32 | low)
    return _read(argument, words[argument.regs[0]])


def _read(argument: Argument, word: int) -> int:
    # Its low bits as the kernel reads them.
    low = word & ((1 << argument.bits) - 1)
    return low - (1 << argument.bits) if argument.signed and low >> argument.bits - 1 else low


# fcntl commands without a third argument: fs/fcntl.c, do_fcntl().
_FCNTL_ALONE = ("F_GETFD", "F_GETFL", "F_GETOWN", "F_GETSIG", "F_GETLEASE", "F_GETPIPE_SZ", "F_GET_SEALS")
# futex operations by how many arguments they look at: futex(2).
_FUTEX_USES = {0: 4, 1: 3, 2: 3, 6: 4, 7: 2, 8: 4, 13: 4}


def _used(call: str, values: Mapping[str, int | None], arch: str, count: int) -> int:
    # How many of the arguments the kernel looks at, where earlier ones decide that.
    if call in {"open", "openat", "mq_open"}:
        given = values["oflag" if call == "mq_open" else "flags"] or 0
        asked = [constants.value(name, arch) or 0 for name in ("O_CREAT", "__O_TMPFILE")]
        return count if any(given & bit for bit in asked) else count - (2 if call == "mq_open" else 1)
    if call in {"fcntl", "fcntl64"}:
        alone = any(values["cmd"] == constants.value(name, arch) for name in _FCNTL_ALONE)
        return count - 1 if alone else count
    if call in {"futex", "futex_time64"}:
        return _FUTEX_USES.get((values["op"] or 0) & 0x7F, count)
    if call == "mremap":
        return count if (values["flags"] or 0) & 6 else count - 1  # MREMAP_FIXED, MREMAP_DONTUNMAP
    return count


def _argument(call: str, argument: Argument, value: int, values: Mapping[str, int | None], arch: str) -> str:
    unsigned = value & ((1 << argument.bits) - 1)
    if call == "ioctl" and argument.name == "cmd":
        families = [name for family in constants.families(call, "cmd") for name in family.families]
        return spelling.ioctl(unsigned, families, arch) or f"0x{unsigned:x}"
    for family in constants.families(call, argument.name):
        if _holds(family, values, arch):
            found = _spelled(family, call, argument, unsigned, arch)
            if found:
                return found
    if call == "prctl" and argument.name == "arg2":
        found = _prctl_value(values.get("option"), unsigned, arch)
        if found:
            return found
    return _number(argument, value, unsigned)


def _holds(family: Family, values: Mapping[str, int | None], arch: str) -> bool:
    # Whether an argument takes this family, the other arguments being what they are.
    if family.when.startswith("arch:"):
        return arch.startswith(family.when[5:])
    if not family.conditions:
        return family.when != "option-dependent" or "key_spec" in family.families
    for name, constant in family.conditions:
        value, wanted = values.get(name), constants.value(constant, arch)
        if value is not None and wanted is not None and (value - wanted) & 0xFFFF_FFFF == 0:
            return True
    return False


def _spelled(family: Family, call: str, argument: Argument, value: int, arch: str) -> str | None:
    if family.form == "zero":
        return None
    if family.when.startswith("QCMD"):
        return _quota(value, family.families, arch)
    if "big_endian" in family.when:
        swapped = (value & 0xFF) << 8 | value >> 8 & 0xFF if arch != "s390x" else value
        found = spelling.one(swapped, family.families, arch, 16) if value < 0x1_0000 else None
        return f"htons({found})" if found else None
    if family.form == "flags":
        if value == (1 << argument.bits) - 1:  # not a sum of flags: personality(0xffffffff) asks, mode -1 is a mistake
            return None
        return _flags(family.families, call, value, arch)
    if family.form == "enum+flags":
        return spelling.enum_with_flags(value, family.families, arch, argument.bits, call)
    found = spelling.one(value, family.families, arch, argument.bits, call)
    if found is None and "ipc_cmd" in family.families and value & 0x100:  # IPC_64, include/uapi/linux/ipc.h
        found = spelling.one(value & ~0x100, family.families, arch, argument.bits, call)
        return f"IPC_64|{found}" if found else None
    return found


def _flags(families: tuple[str, ...], call: str, value: int, arch: str) -> str:
    if families == ("file_mode",):
        kind, rest = spelling.one(value & 0o170000, families, arch), value & ~0o170000
        return f"{kind}|0{rest:o}" if value & 0o170000 and kind else _octal(value)
    parts, extra = [name for name in families if name not in {"file_mode", "signal"}], ""
    if "file_mode" in families:  # the rights of a new System V object, below its flags
        extra, value = _octal(value & 0o777), value & ~0o777
    elif "signal" in families and value & 0xFF:  # clone's low byte, CSIGNAL
        extra, value = spelling.one(value & 0xFF, ("signal",), arch) or str(value & 0xFF), value & ~0xFF
    spelled = spelling.flags(value, parts, arch, call)
    return extra if extra and value == 0 else f"{spelled}|{extra}" if extra and extra != "0" else spelled


def _quota(value: int, families: tuple[str, ...], arch: str) -> str | None:
    # QCMD(cmd, type) of include/uapi/linux/quota.h; the command is compared as 24 bits.
    command = spelling.one(value >> 8, families, arch, 24)
    kind = spelling.one(value & 0xFF, ("quota_type",), arch, 8) or str(value & 0xFF)
    return f"QCMD({command}, {kind})" if command else None


# prctl options whose second argument takes values that begin so.
_PRCTL_VALUES = {
    "PR_CAP_AMBIENT": "PR_CAP_AMBIENT_",
    "PR_MCE_KILL": "PR_MCE_KILL_",
    "PR_SET_DUMPABLE": "SUID_DUMP_",
    "PR_SET_MM": "PR_SET_MM_",
    "PR_SET_TSC": "PR_TSC_",
    "PR_SET_VMA": "PR_SET_VMA_",
}


def _prctl_value(option: int | None, value: int, arch: str) -> str | None:
    name = spelling.one(option or 0, ("prctl_option",), arch, 32)
    start = _PRCTL_VALUES.get(name or "")
    if start is None:
        return None
    found = [known for known, number in constants.members("prctl_value", arch).items() if number == value]
    return next((known for known in found if known.startswith(start)), None)


def _number(argument: Argument, value: int, unsigned: int) -> str:
    kind = argument.kind
    if kind in {"pointer", "path", "string", "address"}:
        return f"0x{unsigned:x}" if unsigned else "NULL"
    if kind == "mode":
        return _octal(unsigned)
    if kind == "flags":
        return f"0x{unsigned:x}" if unsigned else "0"
    if kind == "fd":  # as people count descriptors: close(-1), though the kernel's own type is unsigned
        return str(unsigned - (1 << argument.bits) if unsigned >> argument.bits - 1 else unsigned)
    if kind in {"uid", "gid"}:  # all ones is "no change" to chown, setresuid, …
        return "-1" if unsigned == (1 << argument.bits) - 1 else str(unsigned)
    # Words that may be addresses, and sizes no memory has, read better in hex.
    odd = unsigned >> 63 if kind == "size" else unsigned > 0xFFFF
    return f"0x{unsigned:x}" if odd and not argument.signed else str(value)


def _octal(value: int) -> str:
    return f"0{value:o}" if value else "0"
