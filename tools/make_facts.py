"""Turns the checked fact tables into the compact data the package carries.

    python tools/make_facts.py ../shared/facts            writes src/sysgate/facts/data
    python tools/make_facts.py ../shared/facts --check    writes nothing, exit 1 where the data are stale
    python tools/make_facts.py --from-kernel linux-6.12   rebuilds numbers and prototypes from a kernel source tree
                                                          and says where the data are stale: tools/check_kernel.py

The same tables give the same bytes: every file is sorted, plain ASCII, and headed with this generator and the
tables it came from; there are no dates in it. docs/facts.md describes each file.

Every file is lines of tab-separated fields under one header line that begins with `# `, sorted by its first
field, so that a reader can find a row by bisection without looking at the rest. Sets of architectures are
written as letters, `a` to `l`, in the order of arches.txt.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parent.parent / "src" / "sysgate" / "facts" / "data"

OURS = "# made by tools/make_facts.py"

Row = dict[str, str]
Files = dict[str, tuple[str, list[str]]]  # file name -> (what it was made from, lines)


def rows(path: Path) -> list[Row]:
    """The rows of a .tsv file, by column name. Line 1 is a comment, line 2 names the columns."""
    lines = path.read_text(encoding="ascii").splitlines()
    columns = lines[1].split("\t")
    return [dict(zip(columns, line.split("\t"), strict=True)) for line in lines[2:]]


def objects(path: Path) -> list[dict[str, Any]]:
    """The objects of a .jsonl file."""
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


class Letters:
    """Sets of architectures as letters, one for each architecture in table order."""

    def __init__(self, names: list[str]) -> None:
        self.of = {name: chr(ord("a") + index) for index, name in enumerate(names)}

    def __call__(self, names: list[str]) -> str:
        return "".join(sorted(self.of[name] for name in names))

    def listed(self, field: str) -> str:
        """The letters of a comma-separated field; `*` stands for all."""
        return self(list(self.of) if field == "*" else field.split(","))


def arches(tables: Path) -> list[str]:
    columns = [
        "arch",
        "aliases",
        "audit_name",
        "audit_arch",
        "word_bits",
        "register_bits",
        "endian",
        "nr_base",
        "nr_flag",
    ]
    columns += ["uname_machine", "abi", "pair64", "libseccomp_name", "oci_name", "quirks"]
    return ["\t".join(row[column] for column in columns) for row in rows(tables / "archs.tsv")]


def numbers(tables: Path, arch: str) -> list[str]:
    return [f"{row['name']}\t{row[arch]}" for row in rows(tables / "syscalls.tsv") if row[arch]]


def presence(tables: Path, letters: Letters) -> list[str]:
    """All calls, each with the architectures that have it."""
    return [
        f"{row['name']}\t{letters([arch for arch in letters.of if row[arch]])}" for row in rows(tables / "syscalls.tsv")
    ]


def entries(tables: Path, letters: Letters) -> list[str]:
    """Kernel functions whose name is not `sys_` and the call's, `-` for none, with the architectures they serve."""
    lines = []
    for row in rows(tables / "entries.tsv"):
        functions = sorted({row[arch] for arch in letters.of} - {"", f"sys_{row['name']}"})
        lines += [
            f"{row['name']}\t{function}\t{letters([arch for arch in letters.of if row[arch] == function])}"
            for function in functions
        ]
    return lines


def aliases(tables: Path, letters: Letters) -> list[str]:
    """Other names of calls: entry points, tracing events, names of headers and C libraries."""
    return [
        f"{row['from']}\t{row['kind']}\t{row['to']}\t{letters.listed(row['archs'])}"
        for row in rows(tables / "aliases.tsv")
        if row["kind"] in {"entry", "compat-entry", "event", "name"}
    ]


def prefixes(tables: Path) -> list[str]:
    return [row["from"] for row in rows(tables / "aliases.tsv") if row["kind"] == "prefix"]


def relations(tables: Path, letters: Letters) -> list[str]:
    """Twins, families and the calls behind the multiplexers."""
    return [
        f"{row['kind']}\t{row['from']}\t{row['to']}\t{letters.listed(row['archs'])}"
        for row in rows(tables / "aliases.tsv")
        if row["kind"] in {"twin", "family", "socketcall", "ipc"}
    ]


def argument(fields: dict[str, Any]) -> str:
    """`name,ctype,kind,size` and the registers where they are not the argument's own position.

    size: `s32`, `u64`, what the kernel's cast keeps on a 64-bit ABI; `/32` the bits on a 32-bit one, where they
    differ; `>s32` what the code behind the cast uses, where that is less.
    """
    size = ("s" if fields["signed"] else "u") + str(fields["bits"])
    if "bits32" in fields:
        size += f"/{fields['bits32']}"
    if "used_bits" in fields:
        size += f">{'s' if fields['used_signed'] else 'u'}{fields['used_bits']}"
    parts = [fields["name"], fields["ctype"], fields["kind"], size]
    if "regs" in fields:
        parts.append("+".join(str(register) for register in fields["regs"]))
    assert not any("," in part for part in parts), parts
    return ",".join(parts)


def prototypes(tables: Path, letters: Letters) -> list[str]:
    """Each call's arguments, then those of the architectures where they differ; `?` where they are not known."""
    lines = []
    for call in objects(tables / "prototypes.jsonl"):
        args = ["?"] if call["args"] is None else [argument(fields) for fields in call["args"]]
        head = [
            call["name"],
            "*",
            call["ret"],
            call.get("status", ""),
            call.get("abi", ""),
            letters(call.get("unimplemented_on", [])),
        ]
        lines.append("\t".join(head + args))
        for other in call.get("overrides", []):
            args = [argument(fields) for fields in other["args"]]
            lines.append("\t".join([f"{call['name']}+", letters(other["archs"]), *args]))
    return lines


def families(tables: Path) -> list[str]:
    return [
        f"{family['family']}\t{family['kind']}\t{' '.join(sorted(family['names']))}"
        for family in objects(tables / "constants.jsonl")
    ]


def constants(tables: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Values most architectures share, and by architecture those that differ there, `-` for a name it lacks.

    The ioctl families are cuts of ioctls.tsv and live there.
    """
    common: dict[str, int] = {}
    differ: dict[str, dict[str, str]] = {row["arch"]: {} for row in rows(tables / "archs.tsv")}
    for family in objects(tables / "constants.jsonl"):
        if family["family"].startswith("ioctl_"):
            continue
        for name, value in family["names"].items():
            assert common.setdefault(name, value) == value, name
        for arch, values in family.get("arch", {}).items():
            for name, value in values.items():
                assert differ[arch].setdefault(name, str(value)) == str(value), (arch, name)
        for name, present in family.get("only", {}).items():
            for arch in differ.keys() - set(present):
                assert differ[arch].setdefault(name, "-") == "-", (arch, name)
    return (
        [f"{name}\t{common[name]}" for name in sorted(common)],
        {arch: [f"{name}\t{values[name]}" for name in sorted(values)] for arch, values in differ.items()},
    )


def arguments(tables: Path) -> list[str]:
    columns = ("call", "argument", "families", "form", "when")
    return ["\t".join(row[column] for column in columns) for row in rows(tables / "argument-constants.tsv")]


def ioctls(tables: Path, letters: Letters) -> list[str]:
    """Request, header, and its values: the most common one first, then `letters=value`, `-` where it lacks one."""
    lines = []
    for row in rows(tables / "ioctls.tsv"):
        where: dict[str, list[str]] = {}
        for arch in letters.of:
            where.setdefault(row[arch] or "-", []).append(arch)
        common = max(sorted(where), key=lambda value: (value != "-", len(where[value])))
        others = [f"{letters(where[value])}={value}" for value in sorted(where) if value != common]
        lines.append("\t".join([row["name"], common, " ".join(others), row["header"]]))
    return lines


def groups(tables: Path) -> list[str]:
    described: dict[str, str] = {}
    members: dict[str, list[str]] = {}
    for row in rows(tables / "groups.tsv"):
        if row["member"] == "=":
            described[row["group"]] = row["description"]
        else:
            members.setdefault(row["group"], []).append(row["member"])
    return [f"{group}\t{described[group]}\t{' '.join(sorted(members[group]))}" for group in described]


def ages(tables: Path) -> list[str]:
    return [f"{row['name']}\t{row['since']}\t{row['removed']}" for row in rows(tables / "introduced.tsv")]


def risks(tables: Path) -> list[str]:
    columns = ("name", "kind", "category", "reason", "cves")
    return ["\t".join(row[column] for column in columns) for row in rows(tables / "risky.tsv")]


def generate(tables: Path) -> Files:
    """Every data file, from the tables in a folder."""
    names = [row["arch"] for row in rows(tables / "archs.tsv")]
    letters = Letters(names)
    common, differ = constants(tables)
    files: Files = {
        "arches.txt": ("archs.tsv", arches(tables)),
        "names.txt": ("syscalls.tsv", presence(tables, letters)),
        "entries.txt": ("entries.tsv", entries(tables, letters)),
        "aliases.txt": ("aliases.tsv", aliases(tables, letters)),
        "prefixes.txt": ("aliases.tsv", prefixes(tables)),
        "relations.txt": ("aliases.tsv", relations(tables, letters)),
        "prototypes.txt": ("prototypes.jsonl", prototypes(tables, letters)),
        "families.txt": ("constants.jsonl", families(tables)),
        "constants.txt": ("constants.jsonl", common),
        "arguments.txt": ("argument-constants.tsv", arguments(tables)),
        "ioctls.txt": ("ioctls.tsv", ioctls(tables, letters)),
        "groups.txt": ("groups.tsv", groups(tables)),
        "ages.txt": ("introduced.tsv", ages(tables)),
        "risks.txt": ("risky.tsv", risks(tables)),
    }
    for arch in names:
        files[f"calls_{arch}.txt"] = ("syscalls.tsv", numbers(tables, arch))
        files[f"constants_{arch}.txt"] = ("constants.jsonl", differ[arch])
    return files


def written(source: str, lines: list[str], *, in_order: bool) -> bytes:
    """A file's bytes: header, then its lines sorted by their first field (those of arches.txt keep their order)."""
    if not in_order:
        lines = sorted(lines, key=lambda line: line.split("\t")[0])  # stable: rows of one name keep the table's order
    header = f"{OURS} from {source} of the fact tables (sources: NOTICE); do not edit\n"
    return (header + "".join(f"{line}\n" for line in lines)).encode("ascii")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="?", help="folder of the fact tables")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the data are stale")
    parser.add_argument("--from-kernel", type=Path, metavar="TREE", help="compare the data with a kernel source tree")
    args = parser.parse_args()
    if args.from_kernel:
        checker = Path(__file__).with_name("check_kernel.py")
        return subprocess.run([sys.executable, checker, args.from_kernel]).returncode
    if args.tables is None:
        parser.error("the folder of the fact tables is missing")
    if not (args.tables / "syscalls.tsv").exists():
        if args.check:
            print(f"skipped: no fact tables at {args.tables}; the committed data were not compared")
            return 0
        print(f"no fact tables at {args.tables}", file=sys.stderr)
        return 2
    made = {
        name: written(source, lines, in_order=name == "arches.txt")
        for name, (source, lines) in generate(args.tables).items()
    }
    present = {path.name: path.read_bytes() for path in sorted(DATA.glob("*.txt"))}
    # Other generators keep files beside these.
    present = {name: data for name, data in present.items() if name in made or data.startswith(OURS.encode())}
    stale = sorted(name for name in made.keys() | present.keys() if made.get(name) != present.get(name))
    if args.check:
        for name in stale:
            print(f"stale: src/sysgate/facts/data/{name}", file=sys.stderr)
        print(f"{len(made)} files compared, {len(stale)} stale")
        return 1 if stale else 0
    DATA.mkdir(parents=True, exist_ok=True)
    for name in stale:
        if name in made:
            (DATA / name).write_bytes(made[name])
        else:
            (DATA / name).unlink()
    print(f"{len(made)} files, {sum(map(len, made.values()))} bytes, {len(stale)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
