"""What is known of a call, a group or a constant, as text for people."""

from __future__ import annotations

from textwrap import wrap

from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sysgate.report.facts import Facts


class Page(Value):
    """What text is written on: columns across, and how it takes colour, (text, style) → text."""

    width: int
    paint: Callable[[str, str], str]


_RETURNS = {
    "address": "an address",
    "fd": "a descriptor",
    "gid": "a group id",
    "int": "an int",
    "none": "never",
    "offset": "an offset",
    "pid": "a process id",
    "size": "a count",
    "time": "a time",
    "uid": "a user id",
}
_MANY = 100  # constants of an argument that are worth listing with the call


def call(facts: Facts, page: Page) -> str:
    """Everything about a call (report.facts.of_call), wrapped."""
    blocks = [
        _head(facts, page),
        _numbers(facts["numbers"], facts["arch"], page),
        _arguments(facts, page),
        _differences(facts, page),
        _constants(facts, page),
        _relations(facts, page),
        _risks(facts["risks"] + facts["risky_constants"], page),
    ]
    return "\n\n".join(block for block in blocks if block)


def calls(found: list[Facts], page: Page) -> str:
    """A table of calls (report.facts.of_calls): number, name, arguments."""
    numbers = ["-" if each["number"] is None else _number(each["number"]) for each in found]
    wide, named = max(map(len, numbers), default=0), max((len(each["name"]) for each in found), default=0)
    lines = []
    for number, each in zip(numbers, found, strict=True):
        args = "(?)" if each["arguments"] is None else f"({', '.join(each['arguments'])})"
        note = f"  {each['status']}" if each["status"] else ""
        name = page.paint(f"{each['name']:{named}}", "red" if each["risky"] else "bold")
        lines.append(f"{number:>{wide}}  {name}  {page.paint(args + note, 'dim')}")
    return "\n".join(lines)


def group(facts: Facts, page: Page) -> str:
    """A group with its calls (report.facts.of_group)."""
    head = f"{facts['description']}; {len(facts['calls'])} calls, on {facts['arch']}:"
    return f"{page.paint(facts['group'], 'bold')}  {head}\n\n{calls(facts['calls'], page)}"


def groups(found: list[Facts], page: Page) -> str:
    """Every group with its purpose (report.facts.of_groups)."""
    named = max(len(each["group"]) for each in found)
    lines = (
        f"{page.paint(format(each['group'], str(named)), 'bold')}  {each['calls']:3}  {each['description']}"
        for each in found
    )
    return "\n".join(lines)


def constant(facts: Facts, page: Page) -> str:
    """Everything about a constant (report.facts.of_constant)."""
    by_value: dict[int, list[str]] = {}
    for arch, value in facts["values"].items():
        by_value.setdefault(value, []).append(arch)
    where = {value: ", ".join(archs) if len(by_value) > 1 else "" for value, archs in by_value.items()}
    if len(by_value) == 1 and len(facts["values"]) < 12:
        where = {value: f"only {', '.join(archs)}" for value, archs in by_value.items()}
    lines = [f"{page.paint(facts['name'], 'bold')} {_value(value)}  {where[value]}".rstrip() for value in by_value]
    about = [
        ("taken by", " ".join(facts["arguments"])),
        ("families", " ".join(facts["families"])),
        ("header", facts["header"] or ""),
    ]
    blocks = ["\n".join(lines), _listed("", about, page), _risks(facts["risks"], page)]
    return "\n\n".join(block for block in blocks if block)


def constants(found: list[Facts], page: Page) -> str:
    """Constants with their value on one architecture (report.facts.of_constants)."""
    named = max(len(each["name"]) for each in found)
    return "\n".join(f"{page.paint(each['name'].ljust(named), 'bold')}  {_value(each['value'])}" for each in found)


def _head(facts: Facts, page: Page) -> str:
    name = facts["name"]
    lines = [page.paint(name, "bold") + facts["prototype"].removeprefix(name)]
    told = ["does not return" if facts["returns"] == "none" else f"returns {_RETURNS[facts['returns']]}"]
    if facts["since"]:
        told.append(f"since Linux {facts['since']}")
    if facts["removed"]:
        told.append(f"removed in {facts['removed']}")
    if facts["lacking"]:
        told.append(f"{facts['lacking']} has no such call")
    elif facts["status"]:
        told.append(f"{facts['status']}: answers ENOSYS on {facts['arch']}")
    elif facts["entry"] != f"sys_{name}":
        told.append(f"served by {facts['entry']}")
    if facts["other_names"]:
        told.append(f"also called {', '.join(facts['other_names'])}")
    return "\n".join([*lines, page.paint("; ".join(told), "dim")])


def _numbers(numbers: Facts, arch: str, page: Page) -> str:
    cells = [(f"{other} {_number(number)}", other == arch) for other, number in numbers.items()]
    column = max((len(cell) for cell, _ in cells), default=0) + 3
    across = max(1, page.width // column)
    lines = []
    for start in range(0, len(cells), across):
        row = cells[start : start + across]
        lines.append(
            "".join(page.paint(cell, "bold" if own else "dim") + " " * (column - len(cell)) for cell, own in row)
        )
    return "\n".join(line.rstrip() for line in lines)


def _number(number: int) -> str:
    return hex(number) if number >= 0x4000_0000 else str(number)  # x32's bit shows in hex only


def _arguments(facts: Facts, page: Page) -> str:
    if not facts["arguments"]:
        return "" if facts["arguments"] is not None else "its arguments are not known"
    named = max(len(argument["name"]) for argument in facts["arguments"])
    kinds = max(len(argument["kind"]) for argument in facts["arguments"])
    lines = [f"arguments on {facts['arch']}"]
    for argument in facts["arguments"]:
        registers = " and ".join(f"reg{register}" for register in argument["registers"])
        size = f"{argument['bits']} bits {'signed' if argument['signed'] else 'unsigned'}"
        seen = f"{size:16} {registers}" if registers else "in no register a filter sees"
        name = page.paint(format(argument["name"], str(named)), "bold")
        lines.append(f"  {name}  {argument['kind']:{kinds}}  {page.paint(seen.rstrip(), 'dim')}")
    return "\n".join(lines)


def _differences(facts: Facts, page: Page) -> str:
    about = [(", ".join(other["archs"]), other["prototype"]) for other in facts["differs"]]
    return _listed("elsewhere", about, page)


def _constants(facts: Facts, page: Page) -> str:
    about = []
    for argument in facts["arguments"] or []:
        for use in argument["constants"]:
            text = _names(use["families"]) or ("0, reserved" if use["form"] == "zero" else "")
            when = f" when {use['when']}" if "==" in use["when"] and "(" not in use["when"] else ""
            if text:
                about.append((f"{argument['name']}{when}", text))
    return _listed("constants", about, page)


def _names(families: Facts) -> str:
    # The names of some families, each once; where they are too many, the families and how many they have.
    names = list(dict.fromkeys(name for members in families.values() for name in members))
    if len(names) <= _MANY:
        return " ".join(names)
    return ", ".join(f"{family} ({len(members)})" for family, members in families.items() if members)


def _relations(facts: Facts, page: Page) -> str:
    about = [
        ("groups", " ".join(facts["groups"])),
        ("twins", " ".join(facts["twins"])),
        *((f"ways to {operation}", " ".join(members)) for operation, members in facts["families"].items()),
    ]
    return _listed("belongs to", about, page)


def _risks(found: list[Facts], page: Page) -> str:
    about = []
    for risk in found:
        cves = f" ({', '.join(risk['cves'])})" if risk["cves"] else ""
        about.append((risk["name"], f"{risk['category']}: {risk['reason']}{cves}"))
    return _listed("risks", about, page, "red")


def _listed(title: str, about: list[tuple[str, str]], page: Page, style: str = "bold") -> str:
    # Headed paragraphs under a title; the heads stand in a column where they are short.
    about = [(head, text) for head, text in about if text]
    column = max((len(head) for head, _ in about if len(head) <= 20), default=0)
    lines = [title] if title and about else []
    for head, text in about:
        body = wrap(text, max(20, page.width - column - 4), break_on_hyphens=False)
        if len(head) > column:
            lines.append(f"  {page.paint(head, style)}")
        else:
            lines.append(f"  {page.paint(head.ljust(column), style)}  {body.pop(0)}")
        lines += [" " * (column + 4) + line for line in body]
    return "\n".join(lines)


def _value(value: int | None) -> str:
    if value is None:
        return "-"
    return str(value) if -10 < value < 10 else f"{value} ({value:#x})" if value > 0 else str(value)
