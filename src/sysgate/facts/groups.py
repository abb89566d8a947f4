"""Groups of calls by purpose, written `@name` in policies."""

from __future__ import annotations

from sysgate.facts import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    NAMES: tuple[str, ...]  # every group with its @, sorted


def __getattr__(name: str) -> tuple[str, ...]:
    # Read when first asked for: most policies name no group.
    if name == "NAMES":
        return tuple(fields[0] for fields in table.rows("groups"))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def members(group: str) -> tuple[str, ...] | None:
    """The calls of a group, those of the groups in it included, sorted; None for an unknown group.

    group: with or without its @.
    """
    if group not in _members:
        _members[group] = _flattened(group)
    return _members[group]


_members: dict[str, tuple[str, ...] | None] = {}


def _flattened(group: str) -> tuple[str, ...] | None:
    found = table.row("groups", _at(group))
    if found is None:
        return None
    calls: set[str] = set()
    for member in found[2].split():
        if member == "*":
            calls.update(fields[0] for fields in table.rows("names"))
        elif member.startswith("@"):
            calls.update(members(member) or ())
        else:
            calls.add(member)
    return tuple(sorted(calls))


def description(group: str) -> str:
    """What a group is for, in a few words; "" for an unknown group."""
    found = table.row("groups", _at(group))
    return found[1] if found else ""


def groups_with(call: str) -> tuple[str, ...]:
    """The groups a call is in, by itself or through a group in them, sorted; @known, which has all, left out."""
    return tuple(
        fields[0] for fields in table.rows("groups") if fields[2] != "*" and call in (members(fields[0]) or ())
    )


def _at(group: str) -> str:
    return group if group.startswith("@") else f"@{group}"
