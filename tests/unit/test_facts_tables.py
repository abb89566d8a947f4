"""Every fact the shared tables hold comes back from the package unchanged."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sysgate.facts import ages, arches, calls, constants, groups, prototypes, relations, risks
from sysgate.facts.arches import ARCHES

Shared = Callable[[str], Path]
ROOT = Path(__file__).resolve().parents[2]


def rows(path: Path) -> list[dict[str, str]]:
    lines = path.read_text().splitlines()
    return [dict(zip(lines[1].split("\t"), line.split("\t"), strict=True)) for line in lines[2:]]


def objects(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def archs_of(field: str) -> set[str]:
    return set(ARCHES) if field == "*" else set(field.split(","))


def test_every_architecture_is_as_the_table_has_it(shared: Shared) -> None:
    table = rows(shared("facts/archs.tsv"))
    assert [row["arch"] for row in table] == list(ARCHES)
    for row in table:
        arch = arches.arch(row["arch"])
        assert arch is not None
        assert {
            "aliases": ",".join(arch.aliases),
            "audit_name": arch.audit_name,
            "audit_arch": f"0x{arch.audit:08x}",
            "word_bits": str(arch.word_bits),
            "register_bits": str(arch.register_bits),
            "endian": "big" if arch.big_endian else "little",
            "abi": arch.abi,
            "nr_base": str(arch.nr_base),
            "nr_flag": hex(arch.nr_flag) if arch.nr_flag else "",
            "pair64": arch.pair64,
            "libseccomp_name": arch.libseccomp,
            "oci_name": arch.oci,
            "uname_machine": arch.machine,
            "quirks": arch.quirks,
            "arch": arch.name,
        } == row
        assert all(arches.arch(alias) == arch for alias in arch.aliases)


def test_every_number_is_found_by_name_and_every_name_by_number(shared: Shared) -> None:
    table = rows(shared("facts/syscalls.tsv"))
    assert [row["name"] for row in table] == list(calls.NAMES())
    for row in table:
        numbers = {arch: int(row[arch]) for arch in ARCHES if row[arch]}
        assert {arch: calls.number(arch, row["name"]) for arch in ARCHES} == {
            arch: numbers.get(arch) for arch in ARCHES
        }
        assert calls.arches_with(row["name"]) == tuple(numbers)
        for arch, number in numbers.items():
            assert calls.name(arch, number) == row["name"]
    for arch in ARCHES:
        assert len(calls.table(arch)) == sum(row[arch] != "" for row in table)


def test_every_kernel_function_is_as_the_table_has_it(shared: Shared) -> None:
    for row in rows(shared("facts/entries.tsv")):
        for arch in ARCHES:
            assert (calls.entry(arch, row["name"]) or "") == row[arch], (row["name"], arch)


def test_every_other_name_leads_to_its_call_where_it_is_one(shared: Shared) -> None:
    entry_points: dict[tuple[str, str], str] = {}
    names: dict[tuple[str, str], str] = {}
    for row in rows(shared("facts/aliases.tsv")):
        for arch in archs_of(row["archs"]):
            if row["kind"] == "name":
                names[arch, row["from"]] = row["to"]
            if row["kind"] in {"entry", "compat-entry", "event"}:
                assert entry_points.setdefault((arch, row["from"]), row["to"]) == row["to"]
    spelled = sorted({name for _, name in [*entry_points, *names]})
    for arch in ARCHES:
        for name in spelled:
            assert calls.entry_point(arch, name) == entry_points.get((arch, name)), (arch, name)
            assert calls.alias(arch, name) == names.get((arch, name)), (arch, name)


def test_an_entry_point_of_the_kernels_tables_is_its_call_or_another_call_of_that_name(shared: Shared) -> None:
    """Nothing is missing from the aliases: each function of entries.tsv leads back to a call it serves."""
    serves: dict[tuple[str, str], set[str]] = {}
    for row in rows(shared("facts/entries.tsv")):
        for arch in ARCHES:
            if row[arch].startswith("sys_"):
                serves.setdefault((arch, row[arch]), set()).add(row["name"])
    assert len(serves) > 4000
    for (arch, function), served in serves.items():
        found = calls.resolve(arch, function)
        assert found in served or found == function.removeprefix("sys_"), (arch, function, found)


def expected_argument(fields: dict[str, Any], position: int, narrow: bool) -> prototypes.Argument:
    cast = fields.get("bits32", fields["bits"]) if narrow else fields["bits"]
    return prototypes.Argument(
        fields["name"],
        fields["ctype"],
        fields.get("used_bits", cast),
        fields.get("used_signed", fields["signed"]),
        fields["kind"],
        tuple(fields.get("regs", [position])),
        cast,
    )


def test_every_prototype_is_as_the_table_has_it_on_every_architecture(shared: Shared) -> None:
    table = objects(shared("facts/prototypes.jsonl"))
    assert [call["name"] for call in table] == list(calls.NAMES())
    for call in table:
        other = {arch: each["args"] for each in call.get("overrides", []) for arch in each["archs"]}
        assert set(prototypes.overridden(call["name"])) == set(other)
        for arch in ARCHES:
            where = arches.arch(arch)
            assert where is not None
            narrow = where.register_bits == 32
            fields = other.get(arch, call["args"])
            got = prototypes.prototype(call["name"], arch)
            assert got is not None
            expected = (
                None if fields is None else tuple(expected_argument(each, at, narrow) for at, each in enumerate(fields))
            )
            assert got.args == expected, (call["name"], arch)
            assert (got.ret, got.status) == (call["ret"], call.get("status", ""))
            assert got.implemented == ("status" not in call and arch not in call.get("unimplemented_on", []))


def test_an_argument_fits_its_registers_on_every_architecture() -> None:
    for name in calls.NAMES():
        for arch in calls.arches_with(name):
            where, prototype = arches.arch(arch), prototypes.prototype(name, arch)
            assert where is not None
            assert prototype is not None
            registers = [register for each in prototype.args or () for register in each.regs]
            assert len(registers) == len(set(registers)), (name, arch)
            assert all(0 <= register <= 5 for register in registers), (name, arch)
            for each in prototype.args or ():
                assert each.bits in {16, 32, 64}
                if each.regs:
                    assert len(each.regs) == max(1, each.bits // where.register_bits), (name, arch, each)


def expected_constants(shared: Shared) -> dict[str, dict[str, dict[str, int]]]:
    """family → architecture → name → value."""
    table: dict[str, dict[str, dict[str, int]]] = {}
    for family in objects(shared("facts/constants.jsonl")):
        by_arch = {arch: {**family["names"], **family.get("arch", {}).get(arch, {})} for arch in ARCHES}
        for name, present in family.get("only", {}).items():
            for arch in set(ARCHES) - set(present):
                by_arch[arch].pop(name)
        table[family["family"]] = by_arch
    return table


def test_every_family_has_its_constants_with_the_values_of_each_architecture(shared: Shared) -> None:
    table = expected_constants(shared)
    assert len(table) > 200
    for family, by_arch in table.items():
        for arch, names in by_arch.items():
            assert constants.members(family, arch) == names, (family, arch)
    for family in objects(shared("facts/constants.jsonl")):
        assert constants.kind(family["family"]) == family["kind"]
        assert constants.names(family["family"]) == tuple(sorted(family["names"]))


def test_every_constant_is_found_by_its_name_alone(shared: Shared) -> None:
    table = expected_constants(shared)
    for arch in ARCHES:
        values: dict[str, int] = {}
        for by_arch in table.values():
            values.update(by_arch[arch])
        everywhere = {name for by_arch in table.values() for names in by_arch.values() for name in names}
        for name in everywhere:
            assert constants.value(name, arch) == values.get(name), (arch, name)
            assert constants.exists(name)


def test_every_ioctl_request_is_found_by_name_and_by_number(shared: Shared) -> None:
    table = rows(shared("facts/ioctls.tsv"))
    assert len(table) > 3000
    for row in table:
        assert constants.header(row["name"]) == row["header"]
        for arch in ARCHES:
            assert constants.value(row["name"], arch) == (int(row[arch], 16) if row[arch] else None)
    for arch in ARCHES:
        by_number: dict[int, list[str]] = {}
        for row in table:
            if row[arch]:
                by_number.setdefault(int(row[arch], 16), []).append(row["name"])
        for number in sorted(by_number)[::23]:  # a search through the text each: every 23rd will do
            assert constants.ioctl_names(arch, number) == tuple(sorted(by_number[number])), (arch, hex(number))


def test_every_argument_takes_the_families_of_the_table(shared: Shared) -> None:
    expected: dict[tuple[str, str], list[tuple[tuple[str, ...], str, str]]] = {}
    for row in rows(shared("facts/argument-constants.tsv")):
        families = tuple(row["families"].split(",")) if row["families"] else ()
        expected.setdefault((row["call"], row["argument"]), []).append((families, row["form"], row["when"]))
    for (call, argument), listed in expected.items():
        found = constants.families(call, argument)
        assert [(each.families, each.form, each.when) for each in found] == listed
        some = prototypes.prototype(call, "x86_64")
        where = [prototypes.prototype(call, arch) for arch in ARCHES]
        assert some is not None
        assert any(each and each.argument(argument) for each in where), (call, argument)


def test_every_condition_names_an_argument_of_the_call_and_a_constant(shared: Shared) -> None:
    seen = 0
    for row in rows(shared("facts/argument-constants.tsv")):
        for family in constants.families(row["call"], row["argument"]):
            prototype = prototypes.prototype(row["call"], "x86_64")
            assert ("==" in family.when and "QCMD" not in family.when) == bool(family.conditions), family
            for argument, constant in family.conditions:
                seen += 1
                assert prototype is not None
                assert prototype.argument(argument)
                assert constants.value(constant, "x86_64") is not None
    assert seen > 50


def test_every_group_has_its_members_and_those_of_the_groups_in_it(shared: Shared) -> None:
    direct: dict[str, set[str]] = {}
    for row in rows(shared("facts/groups.tsv")):
        if row["member"] == "=":
            assert groups.description(row["group"]) == row["description"]
        else:
            direct.setdefault(row["group"], set()).add(row["member"])

    def flat(group: str) -> set[str]:
        inside = direct[group]
        found = {each for each in inside if each[0] not in "@*"} | (set(calls.NAMES()) if "*" in inside else set())
        return found.union(*(flat(each) for each in inside if each.startswith("@")))

    assert tuple(sorted(direct)) == groups.NAMES
    for group in direct:
        assert groups.members(group) == groups.members(group[1:]) == tuple(sorted(flat(group)))
    for call in calls.NAMES():
        expected = sorted(group for group in direct if group != "@known" and call in flat(group))
        assert groups.groups_with(call) == tuple(expected)


def test_every_age_is_as_the_table_has_it(shared: Shared) -> None:
    def version(text: str) -> tuple[int, ...] | None:
        return tuple(int(part) for part in text.split(".")) if text else None

    for row in rows(shared("facts/introduced.tsv")):
        assert ages.since(row["name"]) == version(row["since"])
        assert ages.removed(row["name"]) == version(row["removed"])


def test_every_risk_is_as_the_table_has_it(shared: Shared) -> None:
    for row in rows(shared("facts/risky.tsv")):
        cves = tuple(row["cves"].split(",")) if row["cves"] else ()
        risk = risks.Risk(row["name"], row["kind"], row["category"], row["reason"], cves)
        assert risk in risks.risks(row["name"], row["kind"])
    assert len(risks.all_risks()) == len(rows(shared("facts/risky.tsv")))


def test_every_relation_is_as_the_table_has_it(shared: Shared) -> None:
    twins: dict[tuple[str, str], set[str]] = {}
    behind: dict[tuple[str, str], set[tuple[int, str]]] = {}
    for row in rows(shared("facts/aliases.tsv")):
        for arch in archs_of(row["archs"]):
            if row["kind"] == "twin":
                twins.setdefault((arch, row["from"]), set()).add(row["to"])
                twins.setdefault((arch, row["to"]), set()).add(row["from"])
            if row["kind"] in {"socketcall", "ipc"}:
                behind.setdefault((arch, row["kind"]), set()).add((int(row["from"]), row["to"]))
        if row["kind"] == "family":
            for call in row["to"].split():
                assert (row["from"], tuple(row["to"].split())) in relations.families(call)
    for arch in ARCHES:
        for call in calls.NAMES():
            assert relations.twins(call, arch) == tuple(sorted(twins.get((arch, call), set())))
        for multiplexer in ("socketcall", "ipc"):
            assert relations.multiplexed(multiplexer, arch) == tuple(sorted(behind.get((arch, multiplexer), set())))


def make_facts(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "tools" / "make_facts.py", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_committed_data_are_what_the_generator_makes(shared: Shared) -> None:
    done = make_facts(shared("facts"), "--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_check_is_skipped_in_words_where_the_tables_are_absent(tmp_path: Path) -> None:
    done = make_facts(tmp_path, "--check")
    assert done.returncode == 0
    assert "skipped" in done.stdout


def test_making_them_without_tables_is_a_usage_error(tmp_path: Path) -> None:
    assert make_facts(tmp_path).returncode == 2


@pytest.mark.parametrize("path", sorted((ROOT / "src/sysgate/facts/data").iterdir()), ids=lambda path: path.name)
def test_a_data_file_is_headed_with_its_generator_and_source_and_is_plain_ascii(path: Path) -> None:
    text = path.read_bytes().decode("ascii")
    header, _, body = text.partition("\n")
    generator = re.match(r"# (?:made by )?(tools/\w+\.py) from \S", header)
    assert generator
    assert (ROOT / generator[1]).exists()
    keys = [line.split("\t")[0] for line in body.splitlines()]
    assert path.name == "arches.txt" or keys == sorted(keys)
