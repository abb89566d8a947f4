"""What is known of a call, a group or a constant, as a JSON object."""

from __future__ import annotations

from sysgate.facts import ages, arches, calls, constants, groups, prototypes, relations, risks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sysgate.facts.prototypes import Argument, Prototype
    from sysgate.facts.risks import Risk

    Facts = dict[str, Any]


def of_call(name: str, arch: str) -> Facts:
    """Everything about a call, its arguments as `arch` uses them. name: one of calls.NAMES(); arch: one of ARCHES.

    Where the architecture lacks the call, `lacking` names it and all is said for the first that has it.
    `arguments` is null where nobody knows them.
    """
    lacking = arch if calls.number(arch, name) is None else None
    if lacking:
        arch = calls.arches_with(name)[0]
    prototype = prototypes.prototype(name, arch)
    assert prototype is not None  # every call of the tables has one
    since, removed = ages.since(name), ages.removed(name)
    here = None if prototype.args is None else [_argument(name, each, arch) for each in prototype.args]
    return {
        "name": name,
        "arch": arch,
        "lacking": lacking,
        "number": calls.number(arch, name),
        "prototype": declaration(prototype),
        "returns": prototype.ret,
        "status": prototype.status or ("" if prototype.implemented else "unimplemented"),
        "entry": calls.entry(arch, name),
        "numbers": {other: calls.number(other, name) for other in calls.arches_with(name)},
        "arguments": here,
        "differs": _differences(name, prototype),
        "since": ".".join(map(str, since)) if since else None,
        "removed": ".".join(map(str, removed)) if removed else None,
        "groups": list(groups.groups_with(name)),
        "other_names": _other_names(name),
        "twins": list(relations.twins(name, arch)),
        "families": {operation: list(members) for operation, members in relations.families(name)},
        "risks": [_risk(risk) for risk in risks.risks(name)],
        "risky_constants": [_risk(risk) for risk in _risky_constants(here or [])],
    }


def of_calls(names: Sequence[str], arch: str) -> list[Facts]:
    """A line each of a list of calls, sorted by number; those the architecture lacks last, by name."""
    found = []
    for name in names:
        prototype = prototypes.prototype(name, arch)
        assert prototype is not None
        args = prototype.args
        found.append(
            {
                "name": name,
                "number": calls.number(arch, name),
                "arguments": None if args is None else [each.name for each in args],
                "status": prototype.status or ("" if prototype.implemented else "unimplemented"),
                "risky": bool(risks.risks(name)),
            }
        )
    return sorted(found, key=lambda call: (call["number"] is None, call["number"], call["name"]))


def of_group(group: str, arch: str) -> Facts:
    """A group's purpose and members. group: one of groups.NAMES."""
    members = groups.members(group) or ()
    return {"group": group, "description": groups.description(group), "arch": arch, "calls": of_calls(members, arch)}


def of_groups() -> list[Facts]:
    """Every group, with how many calls it has."""
    return [
        {"group": name, "description": groups.description(name), "calls": len(groups.members(name) or ())}
        for name in groups.NAMES
    ]


def of_constant(name: str) -> Facts:
    """A constant's or ioctl request's value on each architecture that has it, and which arguments take it."""
    values = {arch: constants.value(name, arch) for arch in arches.ARCHES}
    families = constants.families_with(name)
    takers = sorted({use for family in families for use in constants.arguments_with(family)})
    found = [risk for risk in risks.all_risks() if risk.name == name and risk.kind != "call"]
    return {
        "name": name,
        "values": {arch: value for arch, value in values.items() if value is not None},
        "header": constants.header(name),
        "families": list(families),
        "arguments": [f"{call}.{argument}" for call, argument in takers],
        "risks": [_risk(risk) for risk in found],
    }


def of_constants(names: Sequence[str], arch: str) -> list[Facts]:
    """A line each of a list of constants; `value` is null where the architecture lacks one."""
    return [{"name": name, "value": constants.value(name, arch)} for name in names]


def declaration(prototype: Prototype) -> str:
    """The prototype as C has it: `read(unsigned int fd, char *buf, size_t count)`."""
    if prototype.args is None:
        return f"{prototype.name}(?)"
    spelled = [f"{each.ctype}{'' if each.ctype.endswith('*') else ' '}{each.name}" for each in prototype.args]
    return f"{prototype.name}({', '.join(spelled) or 'void'})"


def _argument(call: str, argument: Argument, arch: str) -> Facts:
    taken = [
        {
            "form": use.form,
            "when": use.when,
            "families": {family: dict(constants.members(family, arch)) for family in use.families},
        }
        for use in constants.families(call, argument.name)
    ]
    return {
        "name": argument.name,
        "type": argument.ctype,
        "kind": argument.kind,
        "bits": argument.bits,
        "signed": argument.signed,
        "registers": list(argument.regs),
        "constants": taken,
    }


def _differences(name: str, here: Prototype) -> list[Facts]:
    # The other argument lists of the call, each with the architectures that have it.
    found: dict[str, list[str]] = {}
    for arch in calls.arches_with(name):
        other = prototypes.prototype(name, arch)
        if other and _shape(other) != _shape(here):
            found.setdefault(declaration(other), []).append(arch)
    return [{"prototype": spelled, "archs": archs} for spelled, archs in found.items()]


def _shape(prototype: Prototype) -> object:
    # What a person would call another prototype: not the width of a long.
    return prototype.args and [(each.name, each.ctype) for each in prototype.args]


def _other_names(name: str) -> list[str]:
    return sorted({other for other, _, call, _ in calls.other_names() if call == name and other != name})


def _risky_constants(arguments: list[Facts]) -> list[Risk]:
    names = {
        name
        for argument in arguments
        for use in argument["constants"]
        for members in use["families"].values()
        for name in members
    }
    return [risk for risk in risks.all_risks() if risk.kind != "call" and risk.name in names]


def _risk(risk: Risk) -> Facts:
    return {"name": risk.name, "category": risk.category, "reason": risk.reason, "cves": list(risk.cves)}
