"""Rebuilds numbers and prototypes from a kernel source tree and says where the committed facts are stale.

    python tools/check_kernel.py linux-6.12             exit 1 where tree and facts disagree
    python tools/check_kernel.py linux-6.12 --write DIR also writes what was rebuilt: calls_ARCH.txt in the form of
                                                        src/sysgate/facts/data, and definitions.txt

Numbers come from the .tbl files, with the ABI columns that each architecture's Makefile selects. A call the tree
has and the facts lack is stale, and so is the reverse where the call is not newer than the tree.

Prototypes come from SYSCALL_DEFINE and COMPAT_SYSCALL_DEFINE. A call's own entry point (sys_NAME, outside arch/) must
agree with the facts in names and types. Other entry points of an ABI (sys_futex_time32, compat_sys_ioctl) may call
their arguments otherwise, as the facts list them anew only where order, size, sign, registers or number differ:
there each argument must have the same size and sign, and a name that both have must stand in the same place. Of
several definitions (CONFIG_CLONE_BACKWARDS and the like) one must agree. Entry points written without these macros
are counted and not compared.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from sysgate.facts import ages, calls, prototypes
from sysgate.facts.arches import ARCHES

# Architecture → folder below arch/, table, ABIs (None: as Makefile.syscalls says), and what is added to a number.
TABLES: dict[str, tuple[str, str, tuple[str, ...] | None, int]] = {
    "x86_64": ("x86", "arch/x86/entry/syscalls/syscall_64.tbl", ("common", "64"), 0),
    "x32": ("x86", "arch/x86/entry/syscalls/syscall_64.tbl", ("common", "x32"), 0x4000_0000),
    "i386": ("x86", "arch/x86/entry/syscalls/syscall_32.tbl", ("i386",), 0),
    "aarch64": ("arm64", "arch/arm64/tools/syscall_64.tbl", None, 0),
    "arm": ("arm", "arch/arm/tools/syscall.tbl", ("common", "eabi"), 0),
    "riscv64": ("riscv", "scripts/syscall.tbl", None, 0),
    "s390x": ("s390", "arch/s390/kernel/syscalls/syscall.tbl", ("common", "64"), 0),
    "ppc64le": ("powerpc", "arch/powerpc/kernel/syscalls/syscall.tbl", ("common", "nospu", "64"), 0),
    "mips64el": ("mips", "arch/mips/kernel/syscalls/syscall_n64.tbl", ("n64", "common"), 5000),
    "mips64el_n32": ("mips", "arch/mips/kernel/syscalls/syscall_n32.tbl", ("n32",), 6000),
    "mipsel": ("mips", "arch/mips/kernel/syscalls/syscall_o32.tbl", ("o32",), 4000),
    "loongarch64": ("loongarch", "scripts/syscall.tbl", None, 0),
}
# Calls that stand in no .tbl: arm's private ones, arch/arm/kernel/traps.c arm_syscall().
PRIVATE = {"arm": {"breakpoint", "cacheflush", "usr26", "usr32", "set_tls", "get_tls"}}
# Calls of the facts that a tree of their age lacks, with the reason why they are listed.
LISTED = {("loongarch64", "memfd_secret"): "the headers of later kernels have it"}
FOLDERS = ["block", "fs", "io_uring", "ipc", "kernel", "mm", "net", "security", "drivers/pci"]

Argument = tuple[str, str]  # type, name
Table = dict[str, tuple[int, str]]  # call → number, entry point
Definitions = dict[str, list[tuple[str, tuple[Argument, ...]]]]  # entry point → (folder below arch/ or "", arguments)


def release(tree: Path) -> tuple[int, ...]:
    """The version a tree says it is, (6, 12)."""
    text = (tree / "Makefile").read_text()
    return tuple(int(re.findall(rf"^{word} = (\d+)$", text, re.M)[0]) for word in ("VERSION", "PATCHLEVEL"))


def abis(tree: Path, folder: str) -> tuple[str, ...]:
    """The ABI columns a 64-bit architecture of the generic table selects: scripts/Makefile.asm-headers."""
    chosen = ["common", "64"]
    for line in (tree / "arch" / folder / "kernel" / "Makefile.syscalls").read_text().splitlines():
        if line.startswith("syscall_abis_64 +="):
            chosen += line.partition("+=")[2].split()
    return tuple(chosen)


def table(tree: Path, arch: str) -> Table | None:
    """Number and entry point of each call of an architecture; None where the tree has no .tbl for it (before 6.11)."""
    folder, path, columns, base = TABLES[arch]
    if not (tree / path).exists():
        return None
    columns = columns or abis(tree, folder)
    found = {}
    for line in (tree / path).read_text().splitlines():
        fields = line.split("#")[0].split()
        if len(fields) >= 3 and fields[1] in columns and not re.fullmatch(r"(unused|reserved)\d+", fields[2]):
            entry = fields[3] if len(fields) > 3 else "-"
            found[fields[2]] = (int(fields[0]) + base, "-" if entry == "sys_ni_syscall" else entry)
    return found


_DEFINE = re.compile(r"\b(COMPAT_)?SYSCALL(?:32)?_DEFINE(\d)\s*\(([^)]*(?:\([^)]*\)[^)]*)*)\)")


def definitions(tree: Path) -> Definitions:
    """Every SYSCALL_DEFINE of the folders where calls live, by entry point (`sys_openat`, `compat_sys_ioctl`)."""
    folders = [("", tree / name) for name in FOLDERS]
    folders += [(name, tree / "arch" / name) for name in sorted({folder for folder, *_ in TABLES.values()})]
    found: Definitions = {}
    for where, folder in folders:
        for path in sorted(folder.rglob("*.c")):
            text = path.read_text(errors="replace")
            if "SYSCALL" not in text:
                continue
            for compat, count, inside in _DEFINE.findall(text):
                parts = [" ".join(part.split()) for part in re.sub(r"/\*.*?\*/", "", inside, flags=re.S).split(",")]
                if len(parts) == 1 + 2 * int(count):
                    args = tuple(zip(map(spelled, parts[1::2]), parts[2::2], strict=True))
                    entry = f"{'compat_' if compat else ''}sys_{parts[0]}"
                    found.setdefault(entry, []).append((where, args))
    return found


def spelled(ctype: str) -> str:
    """A type as the facts write it: without __user, the star behind one space."""
    ctype = re.sub(r"\b__user\b|\b__force\b", "", ctype)
    return re.sub(r" ?\* ?", " *", re.sub(r"\s+", " ", ctype)).replace("* *", "**").strip()


def stale_numbers(tree: Path, arch: str, found: Table) -> list[str]:
    """Where the numbers of an architecture differ from its table in the tree."""
    version, told = release(tree), []
    known = calls.table(arch)
    for name, (number, _) in found.items():
        if known.get(name) != number:
            told.append(f"{arch} {name}: the tree has number {number}, the facts {known.get(name, 'none')}")
    for name, number in known.items():
        newer = (ages.since(name) or (0,)) > version
        listed_why = LISTED.get((arch, name)) or name in PRIVATE.get(arch, ())
        if name not in found and not newer and not listed_why:
            told.append(f"{arch} {name}: the facts have number {number}, the tree none")
    return told


def stale_prototypes(arch: str, found: Table, defined: Definitions) -> tuple[list[str], int, int]:
    """Where arguments differ from every definition of the entry point; how many were compared, how many not."""
    told, compared, skipped = [], 0, 0
    for name, (_, entry) in found.items():
        prototype = prototypes.prototype(name, arch)
        if entry == "-" or prototype is None:
            continue
        here = [args for where, args in defined.get(entry, []) if where == TABLES[arch][0]]
        candidates = here or [args for where, args in defined.get(entry, []) if not where]
        if not candidates or prototype.args is None:
            skipped += 1
            continue
        compared += 1
        exact = arch == "x86_64" and entry == f"sys_{name}"
        if not any(agrees(prototype.args, args, arch, exact) for args in candidates):
            wanted = " or ".join(listed(args) for args in candidates)
            own = listed(tuple((each.ctype, each.name) for each in prototype.args))
            told.append(f"{arch} {name} ({entry}): the tree has {wanted}, the facts {own}")
    return told, compared, skipped


def listed(args: tuple[Argument, ...]) -> str:
    return f"({', '.join(f'{ctype} {name}' for ctype, name in args)})"


def agrees(known: tuple[prototypes.Argument, ...], defined: tuple[Argument, ...], arch: str, exact: bool) -> bool:
    """Whether arguments are those of a definition; a 64-bit value in two registers stands for two of its own."""
    if exact:
        return tuple((spelled(each.ctype), each.name) for each in known) == defined
    rest = list(defined)
    names = {name for _, name in defined}
    for argument in known:
        if not rest:
            return False
        ctype, name = rest.pop(0)
        if argument.name in names and argument.name != name:
            return False
        declared = size(spelled(argument.ctype), arch)
        if declared and size(ctype, arch) == declared and declared[1:] == str(argument.cast_bits):
            continue
        if re.search(r"pad|dummy|unused", name) and rest:  # the register left out before an even pair
            ctype, name = rest.pop(0)
        half = size(ctype, arch)
        if len(argument.regs) == 1 or half is None or half[1:] != "32" or not rest:
            return False
        rest.pop(0)
    return not rest


# What a cast to a type keeps: sign and bits, `long` standing for the size of the ABI's long.
SIZES = {
    **dict.fromkeys(
        ["int", "pid_t", "compat_pid_t", "key_t", "clockid_t", "timer_t", "mqd_t", "qid_t", "rwf_t"], "s32"
    ),
    **dict.fromkeys(
        ["__s32", "key_serial_t", "compat_long_t", "compat_ssize_t", "compat_off_t", "compat_int_t"], "s32"
    ),
    **dict.fromkeys(["unsigned int", "unsigned", "uint", "u32", "__u32", "uid_t", "gid_t"], "u32"),
    **dict.fromkeys(
        ["compat_size_t", "compat_ulong_t", "compat_uptr_t", "compat_aio_context_t", "compat_uint_t"], "u32"
    ),
    **dict.fromkeys(["enum landlock_rule_type", "compat_old_sigset_t", "compat_mode_t"], "u32"),
    **dict.fromkeys(["umode_t", "old_uid_t", "old_gid_t"], "u16"),
    **dict.fromkeys(["long", "off_t", "ssize_t"], "slong"),
    **dict.fromkeys(["unsigned long", "size_t", "uintptr_t", "aio_context_t", "cap_user_header_t"], "ulong"),
    **dict.fromkeys(["cap_user_data_t", "__sighandler_t", "old_sigset_t"], "ulong"),
    **dict.fromkeys(["loff_t"], "s64"),
    **dict.fromkeys(["u64", "__u64"], "u64"),
}


def size(ctype: str, arch: str) -> str | None:
    """Sign and bits a type keeps of a register: `s32`, `u64`; pointers are unsigned. None for a type not known here."""
    found = "ulong" if "*" in ctype else SIZES.get(ctype.removeprefix("const ").removesuffix("const").strip())
    bits = "32" if arch in {"i386", "arm", "mipsel"} else "64"  # those whose registers have 32 bits
    return found.replace("long", bits) if found else None


def write(folder: Path, tables: dict[str, Table], defined: Definitions) -> None:
    """What was rebuilt, as text files."""
    folder.mkdir(parents=True, exist_ok=True)
    for arch, found in tables.items():
        lines = [f"{name}\t{found[name][0]}\n" for name in sorted(found)]
        (folder / f"calls_{arch}.txt").write_text("# rebuilt by tools/check_kernel.py\n" + "".join(lines))
    lines = [
        f"{entry}\t{where or '-'}\t{listed(args)}\n"
        for entry in sorted(defined)
        for where, args in sorted(defined[entry])
    ]
    (folder / "definitions.txt").write_text("# rebuilt by tools/check_kernel.py\n" + "".join(lines))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", type=Path, help="kernel source tree")
    parser.add_argument("--write", type=Path, metavar="DIR", help="write what was rebuilt there")
    args = parser.parse_args()
    if not (args.tree / "include/linux/syscalls.h").exists():
        print(f"{args.tree} is no kernel source tree", file=sys.stderr)
        return 2
    defined, tables, stale = definitions(args.tree), {}, []
    for arch in ARCHES:
        found = table(args.tree, arch)
        if found is None:
            print(f"{arch}: this tree has no {TABLES[arch][1]}; not compared")
            continue
        tables[arch] = found
        numbers = stale_numbers(args.tree, arch, found)
        differing, compared, skipped = stale_prototypes(arch, found, defined)
        print(
            f"{arch}: {len(found)} numbers, {len(numbers)} differ; {compared} prototypes, {len(differing)} differ,"
            f" {skipped} without a SYSCALL_DEFINE"
        )
        stale += numbers + differing
    for line in stale:
        print(f"stale: {line}")
    if args.write:
        write(args.write, tables, defined)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
