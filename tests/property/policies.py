"""Hypothesis strategies: policies drawn from the grammar of docs/language.md, and calls that look for their corners.

`policies(arches)` draws texts without a mistake on any of these architectures; `calls(text, arch)` draws calls near the
constants of a text: boundaries, their neighbours, and garbage in the upper halves.
"""

from __future__ import annotations

import functools

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from sysgate.call import Call
from sysgate.facts import calls as call_facts
from sysgate.facts.prototypes import prototype

WORD = (1 << 64) - 1

# Calls of every kind of argument: signed and unsigned, 16, 32 and 64 bits, pointers, split over registers on i386.
POOL = (
    "read", "write", "openat", "mmap", "mprotect", "ioctl", "kill", "socket", "lseek", "fchmod", "prctl", "pread64",
    "fcntl", "clone", "setresuid", "madvise", "getrandom", "exit_group", "futex", "statx", "openat2", "cachestat",
    "readv", "fchownat", "ptrace", "mbind", "fallocate", "close",
)  # fmt: skip
GROUPS = ("@aio", "@timer", "@sync", "@reboot", "@memlock")
# No two of a name's values on different architectures are told apart here: the policy is resolved on each.
NAMES = ("O_RDONLY", "O_ACCMODE", "O_CREAT", "PROT_EXEC", "AT_FDCWD", "MAP_SHARED", "SIGKILL", "CLONE_NEWUSER", "EPERM")
ERRNOS = ("EPERM", "EACCES", "ENOSYS", "0", "1", "38", "4095")
EDGES = sorted(
    {0, 1, 2, 3, 7, 8, 0o644, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000}
    | {1 << 31, (1 << 31) - 1, (1 << 32) - 1, 1 << 32, (1 << 32) + 1, 0x1_0000_0003}
    | {1 << 62, 1 << 63, (1 << 63) - 1, (1 << 64) - 1, 0x0001_0000_0000_0001, 0x8000_0000_8000_0000}
)
NUMBERS = (0, 1, 39, 63, 451, 600, 999, 0x3FFF_FFFF, 0x4000_0000, 0x4000_0001, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
KERNELS = ("2.6", "2.6.0", "3.17", "5.4", "5.9.3", "6.12", "7.0")


def edge_numbers() -> SearchStrategy[int]:
    """Constants worth comparing with: edges of 16, 32 and 64 bits, and small ones."""
    return st.sampled_from(EDGES) | st.integers(0, 40)


@functools.cache
def arguments(call: str, arches: tuple[str, ...]) -> tuple[str, ...]:
    """Arguments of a call that a filter can see on each of these architectures that has it."""
    common: set[str] | None = None
    for arch in arches:
        resolved = call_facts.resolve(arch, call)
        declared = prototype(resolved, arch) if resolved else None
        if declared is not None:
            seen = {argument.name for argument in declared.args or () if argument.regs}
            common = seen if common is None else common & seen
    return tuple(sorted(common or ()))


@functools.cache
def pool(arches: tuple[str, ...]) -> tuple[str, ...]:
    """Calls of POOL that at least one of these architectures has."""
    return tuple(call for call in POOL if any(call_facts.resolve(arch, call) for arch in arches))


def spelled(value: int) -> SearchStrategy[str]:
    """A number as a person may write it."""
    return st.sampled_from([str(value), hex(value), f"0{value:o}" if value else "0"])


@st.composite
def atoms(draw: DrawFn, lets: tuple[str, ...] = (), depth: int = 1) -> str:
    """atom = [ "-" | "~" ] ( NUMBER | NAME | "(" const ")" )."""
    kind = draw(st.integers(0, 9))
    if kind < 5:
        inner = draw(edge_numbers().flatmap(spelled))
    elif kind < 8 or depth == 0:
        inner = draw(st.sampled_from((*NAMES, *lets)))
    else:
        inner = f"({draw(constants(lets, depth - 1))})"
    return draw(st.sampled_from(["", "", "", "-", "~"])) + inner


@st.composite
def constants(draw: DrawFn, lets: tuple[str, ...] = (), depth: int = 1) -> str:
    """const = atom { "|" atom }."""
    return draw(st.sampled_from([" | ", "|"])).join(draw(st.lists(atoms(lets, depth), min_size=1, max_size=3)))


@st.composite
def items(draw: DrawFn, lets: tuple[str, ...] = ()) -> str:
    """item = const [ ".." const ], the range of plain numbers and not empty."""
    if draw(st.booleans()):
        return draw(constants(lets))
    low, high = sorted([draw(edge_numbers()), draw(edge_numbers())])
    return f"{draw(spelled(low))}..{draw(spelled(high))}"


@st.composite
def comparisons(draw: DrawFn, names: tuple[str, ...], lets: tuple[str, ...] = (), sets: tuple[str, ...] = ()) -> str:
    """test = NAME "&" atom | value cmp const | value "in" ( set | NAME )."""
    name = draw(st.sampled_from(names))
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return f"{name} & {draw(atoms(lets))}"
    value = name if draw(st.booleans()) else f"({name} & {draw(constants(lets))})"
    if kind < 4:
        return f"{value} {draw(st.sampled_from(['==', '!=', '<', '<=', '>', '>=']))} {draw(atoms(lets))}"
    if kind == 4 and (sets or lets):
        return f"{value} in {draw(st.sampled_from((*sets, *lets)))}"
    return f"{value} in {{{', '.join(draw(st.lists(items(lets), min_size=1, max_size=4)))}}}"


@st.composite
def expressions(
    draw: DrawFn, names: tuple[str, ...], lets: tuple[str, ...] = (), sets: tuple[str, ...] = (), depth: int = 2
) -> str:
    """expr, and, unary."""
    kind = draw(st.integers(0, 9))
    if depth == 0 or kind < 4:
        return draw(st.sampled_from(["1", "0"])) if not names or kind == 0 else draw(comparisons(names, lets, sets))
    if kind < 6:
        return "!" * draw(st.integers(1, 2)) + draw(expressions(names, lets, sets, depth - 1).map(_closed))
    if kind == 6:
        return f"({draw(expressions(names, lets, sets, depth - 1))})"
    joined = draw(st.sampled_from([" && ", " || "]))
    parts = draw(st.lists(expressions(names, lets, sets, depth - 1), min_size=2, max_size=3))
    return joined.join(_closed(part) if joined == " && " else part for part in parts)


def _closed(expression: str) -> str:
    return f"({expression})" if "||" in expression or "&&" in expression else expression


def actions() -> SearchStrategy[str]:
    """Every action."""
    return st.sampled_from([
        "allow", "log", "notify", "kill", "kill_process", "kill_thread", "trap", "trap(7)", "trace", "trace(0xffff)",
        *(f"errno({errno})" for errno in ERRNOS),
    ])  # fmt: skip


@st.composite
def bodies(draw: DrawFn, names: tuple[str, ...], lets: tuple[str, ...] = (), sets: tuple[str, ...] = ()) -> str:
    """body = expr [ "else" action ] | "{" case { ";" case } [ ";" "else" action ] [ ";" ] "}"."""
    expression = expressions(names, lets, sets)
    if draw(st.integers(0, 3)):
        return draw(expression) + (f" else {draw(actions())}" if draw(st.booleans()) else "")
    cases = [f"{draw(expression)} -> {draw(actions())}" for _ in range(draw(st.integers(1, 3)))]
    if draw(st.booleans()):
        cases.append(f"else {draw(actions())}")
    space = draw(st.sampled_from([" ", "\n    "]))
    return f"{{{space}{f';{space}'.join(cases)}{draw(st.sampled_from(['', ';']))}{space}}}"


@st.composite
def rules(
    draw: DrawFn,
    arches: tuple[str, ...],
    lets: tuple[str, ...] = (),
    sets: tuple[str, ...] = (),
    *,
    in_section: bool = False,
) -> str:
    """head { "," head } ":" body, for calls that at least one of these architectures has."""
    kind = draw(st.integers(0, 9))
    registers = tuple(f"reg{index}" for index in range(6))
    if kind == 0:
        return f"{draw(st.sampled_from(GROUPS))}: {draw(bodies(registers, lets, sets))}"
    if kind < 3 and in_section:
        low, high = sorted([draw(st.sampled_from(NUMBERS)), draw(st.sampled_from(NUMBERS))])
        head = draw(spelled(low)) if draw(st.booleans()) else f"{draw(spelled(low))}..{draw(spelled(high))}"
        return f"{head}: {draw(bodies(registers, lets, sets))}"
    chosen = draw(st.lists(st.sampled_from(pool(arches)), min_size=1, max_size=3, unique=True))
    names = functools.reduce(set.intersection, [set(arguments(call, arches)) for call in chosen])
    written = [draw(st.sampled_from(["", "", "sys_"])) + call for call in chosen]
    return f"{', '.join(written)}: {draw(bodies((*sorted(names), 'reg0', 'reg5'), lets, sets))}"


@st.composite
def policies(
    draw: DrawFn,
    arches: tuple[str, ...] = ("x86_64",),
    *,
    sections: bool = True,
    since: bool = True,
    fragment: bool = False,
    size: int = 6,
) -> str:
    """A policy's text without a mistake, on each of these architectures alike.

    sections: may name these architectures. since: may say it. fragment: says no default. size: rules at most.
    """
    lines: list[str] = []
    if since and draw(st.integers(0, 3)) == 0:
        lines.append(f"since: {draw(st.sampled_from(KERNELS))}")
    if not fragment and draw(st.booleans()):
        lines.append(f"default: {draw(actions())}")
    if draw(st.booleans()):
        lines.append(f"deny: {draw(actions())}")
    lets: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    if draw(st.integers(0, 2)) == 0:
        lines.append(f"let FEW = {draw(constants())}")
        lets = ("FEW",)
        lines.append(f"let SOME = {{{', '.join(draw(st.lists(items(lets), min_size=1, max_size=3)))}}}")
        sets = ("SOME",)
    section: tuple[str, ...] | None = None
    directed: set[str] = set()
    for _ in range(draw(st.integers(0, size))):
        if sections and draw(st.integers(0, 4)) == 0:
            named = draw(st.lists(st.sampled_from(arches), min_size=1, max_size=2, unique=True))
            section = None if draw(st.integers(0, 3)) == 0 else tuple(named)
            lines.append("[all]" if section is None else f"[{', '.join(section)}]")
            if section and not directed & set(section) and draw(st.booleans()):
                directed |= set(section)
                if not fragment:
                    lines.append(f"default: {draw(actions())}")
                lines.append(f"deny: {draw(actions())}")
        # In a section of one architecture a call that it lacks is an error.
        lines.append(draw(rules(section or arches, lets, sets, in_section=section is not None)))
        if draw(st.integers(0, 9)) == 0:
            lines.append("# a comment")
    return "\n".join(lines) + "\n"


def words_near(text: str) -> list[int]:
    """Argument words that find the corners of a text's constants: they, their neighbours, and garbage above."""
    values = {0, 1, WORD, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 63}
    for word in text.replace("(", " ").replace(")", " ").replace(",", " ").replace("..", " ").replace("-", " ").split():
        if word[0].isdigit() and word.replace("x", "").isalnum():
            try:
                value = int(word, 8) if word[0] == "0" and word.isdigit() else int(word, 0)
            except ValueError:
                continue
            values |= {value, value + 1, value - 1, -value, ~value}
    low = {value & 0xFFFF_FFFF for value in values}
    return sorted({value & WORD for value in values} | low | {0xDEAD_BEEF_0000_0000 | value for value in low})


@st.composite
def calls(draw: DrawFn, text: str, arch: str) -> Call:
    """A call near the constants of a text: mostly one that the text may name, sometimes any number."""
    numbers = [call_facts.number(arch, call) for call in pool((arch,)) if call_facts.number(arch, call) is not None]
    nr = draw(
        st.sampled_from([number & 0xFFFF_FFFF for number in numbers if number is not None]) | st.sampled_from(NUMBERS)
    )
    word = st.sampled_from(words_near(text)) | st.integers(0, WORD)
    args = draw(st.tuples(word, word, word, word, word, word))
    return Call(arch, nr, args)
