"""`sysgate syscalls`: look up system calls, groups and constants."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterable

    from sysgate.errors import SysgateError
    from sysgate.report.facts import Facts
    from sysgate.report.facts_text import Page

    Found = tuple[Facts | list[Facts], Callable[[Page], str]]  # for machines, and how to write it for people

EXAMPLE = """
sysgate syscalls openat
sysgate syscalls '*stat*' --arch aarch64
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "what",
        nargs="?",
        metavar="NAME|NUMBER|@GROUP|GLOB",
        help="a call, a number, a group (@ alone lists them), a pattern with * ? [ ], or a constant;"
        " without it every call is listed",
    )
    parser.add_argument("--arch", metavar="ARCH", help="architecture to show it for; unsaid: this machine's")
    parser.add_argument("--json", action="store_true", help="one JSON object, or an array of them")


def run(args: Namespace) -> int:
    found, written = _look_up(args.what, _arch(args.arch))
    if args.json:
        import json

        print(json.dumps(found, indent=2))
    else:
        print(written(_page()))
    return 0


def _page() -> Page:
    import sys
    from shutil import get_terminal_size

    from sysgate.cli.colour import paint
    from sysgate.report.facts_text import Page

    return Page(min(get_terminal_size().columns, 120), lambda text, style: paint(text, style, sys.stdout))


def _arch(wanted: str | None) -> str:
    from sysgate.facts import arches

    if wanted is None:
        native = arches.native()
        return native.name if native else "x86_64"
    found = arches.arch(wanted)
    if found is None:
        raise _unknown("architecture", wanted, arches.spellings())
    return found.name


def _look_up(what: str | None, arch: str) -> Found:
    if what is None:
        return _every_call(arch)
    if what.startswith("@"):
        return _group(what, arch)
    if any(each in what for each in "*?["):
        return _matching(what, arch)
    if what[:1].isdigit():
        return _call(_numbered(what, arch), arch)
    return _named(what, arch)


def _every_call(arch: str) -> Found:
    from sysgate.facts import calls
    from sysgate.report import facts, facts_text

    found = facts.of_calls(list(calls.table(arch)), arch)
    return found, lambda page: facts_text.calls(found, page)


def _group(what: str, arch: str) -> Found:
    from sysgate.facts import groups
    from sysgate.report import facts, facts_text

    if what == "@":
        every = facts.of_groups()
        return every, lambda page: facts_text.groups(every, page)
    if what not in groups.NAMES:
        raise _unknown("group", what, groups.NAMES)
    found = facts.of_group(what, arch)
    return found, lambda page: facts_text.group(found, page)


def _matching(pattern: str, arch: str) -> Found:
    from fnmatch import filter as matching

    from sysgate.errors import SysgateError
    from sysgate.facts import calls, constants
    from sysgate.report import facts, facts_text

    names = matching(calls.NAMES(), pattern.removeprefix("sys_"))
    if names:
        found = facts.of_calls(names, arch)
        return found, lambda page: facts_text.calls(found, page)
    found = facts.of_constants(matching(constants.spellings(), pattern), arch)
    if not found:
        raise SysgateError(f"no call and no constant matches {_safe(pattern)}")
    return found, lambda page: facts_text.constants(found, page)


def _numbered(what: str, arch: str) -> str:
    from sysgate.errors import SysgateError
    from sysgate.facts import arches, calls

    try:
        number = int(what, 0)
    except ValueError:
        raise SysgateError(f"{_safe(what)} is neither a number nor the name of a call") from None
    name = calls.name(arch, number)
    if name is None:
        elsewhere = [f"{other} ({calls.name(other, number)})" for other in arches.ARCHES if calls.name(other, number)]
        hint = f"it has one on {', '.join(elsewhere)}" if elsewhere else "no architecture has one of that number"
        raise SysgateError(f"no call has number {what} on {arch}\n    {hint}")
    return name


def _named(what: str, arch: str) -> Found:
    from sysgate.facts import arches, calls, constants
    from sysgate.report import facts, facts_text

    # The call on this architecture, or else on the first that knows the name.
    for each in (arch, *arches.ARCHES):
        call = calls.resolve(each, what)
        if call:
            return _call(call, arch)
    if constants.exists(what):
        found = facts.of_constant(what)
        return found, lambda page: facts_text.constant(found, page)
    raise _unknown("call or constant", what, [*calls.spellings(), *constants.spellings()])


def _call(name: str, arch: str) -> Found:
    from sysgate.report import facts, facts_text

    found = facts.of_call(name, arch)
    return found, lambda page: facts_text.call(found, page)


def _unknown(kind: str, word: str, candidates: Iterable[str]) -> SysgateError:
    from sysgate.errors import SysgateError
    from sysgate.facts.nearest import nearest

    near = nearest(word, candidates, 3)
    hint = (
        f"did you mean {' or '.join(near)}?"
        if near
        else "`sysgate syscalls` lists the calls, `sysgate syscalls @` the groups"
    )
    return SysgateError(f"unknown {kind} {_safe(word)}\n    {hint}")


def _safe(text: str) -> str:
    from sysgate.decode import escaped

    return escaped(text)
