"""Policies that nobody tuned for, drawn at random and written in sysgate's language.

Allow-lists and deny-lists of few or many calls, on one architecture or several; some rules test arguments, as the
kernel types them or as raw registers: every comparison, masks, 64-bit values, sets, ranges, blocks of several answers.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from sysgate.facts import calls
from sysgate.facts.prototypes import Argument, prototype

# How often which architectures: most policies are for one.
ARCHES = (
    (60, ("x86_64",)),
    (8, ("aarch64",)),
    (14, ("x86_64", "i386")),
    (5, ("x86_64", "i386", "x32")),
    (5, ("aarch64", "arm")),
    (3, ("riscv64",)),
    (3, ("s390x",)),
    (2, ("x86_64", "aarch64", "riscv64")),
)
REFUSALS = ("kill", "kill_thread", "errno(EPERM)", "errno(ENOSYS)", "trap", "log")
ANSWERS = ("errno(EACCES)", "errno(ENOSYS)", "errno(1)", "log", "trap", "kill", "notify")


class Drawn(NamedTuple):
    """text: the policy. arches: what it is for."""

    text: str
    arches: tuple[str, ...]


def draw(seed: int) -> Drawn:
    """The policy of a seed; the same every time."""
    random = Random(seed)
    arches = random.choices([names for _, names in ARCHES], [often for often, _ in ARCHES])[0]
    deny = random.random() < 0.2
    default = "allow" if deny else random.choice(REFUSALS)
    answers = random.sample(ANSWERS, random.choice((1, 1, 2, 4)))
    share = random.choice((0.0, 0.05, 0.2, 0.5))
    lines = [f"default: {default}"]
    for arch in arches:  # every call has its rule in the section of the first architecture that has it
        lines += _section(random, arches, arch, deny, share, answers)
    return Drawn("\n".join(lines) + "\n", arches)


def _section(
    random: Random, arches: tuple[str, ...], arch: str, deny: bool, share: float, answers: list[str]
) -> list[str]:
    before = arches[: arches.index(arch)]
    own = [name for name in calls.table(arch) if all(calls.number(other, name) is None for other in before)]
    own.sort(key=lambda name: calls.table(arch)[name])
    if len(own) < 8:
        return []
    some = set(random.sample(own, min(len(own), int(2 ** random.uniform(1, 8.3 if arch == arches[0] else 5)))))
    if random.random() < 0.5:  # real policies name related calls, which often have neighbouring numbers
        places = {name: place for place, name in enumerate(own)}
        some |= {own[(places[name] + random.choice((-1, 1, 2))) % len(own)] for name in sorted(some)}
    lines: list[str] = []
    section = ""
    for name in own:
        if name in some:
            holders = tuple(other for other in arches if calls.number(other, name) is not None)
            if section != (section := f"[{', '.join(holders)}]"):
                lines.append(section)
            lines.append(f"{name}: {_rule(random, name, holders, share, deny, answers)}")
    return lines


def _rule(random: Random, name: str, arches: tuple[str, ...], share: float, deny: bool, answers: list[str]) -> str:
    seen = _arguments(name, arches)
    if not seen or random.random() >= share:
        if not deny and random.random() < 0.9:
            return "1"
        return f"0 else {random.choice(answers)}"
    count = random.choice((1, 1, 2, 3, 6))
    if random.random() < 0.8:
        tests = [_conditions(random, seen) for _ in range(count)]
        joined = " || ".join(f"({one})" if "&&" in one and count > 1 else one for one in tests)
        return f"!({joined}) else {random.choice(answers)}" if deny else joined
    cases = [f"{_conditions(random, seen)} -> {random.choice((*answers, 'allow'))}" for _ in range(count)]
    return f"{{ {'; '.join(cases)}; else {random.choice((*answers, 'allow'))} }}"


def _arguments(name: str, arches: tuple[str, ...]) -> list[Argument]:
    # Those that lie in a register on every architecture that has the call.
    declared = [known.args or () for arch in arches if (known := prototype(name, arch)) is not None]
    common = {argument.name for argument in declared[0] if argument.regs}
    for arguments in declared[1:]:
        common &= {argument.name for argument in arguments if argument.regs}
    return [argument for argument in declared[0] if argument.name in common]


def _conditions(random: Random, seen: list[Argument]) -> str:
    some = random.sample(seen, min(len(seen), random.choice((1, 1, 1, 2))))
    return " && ".join(_condition(random, argument) for argument in some)


def _condition(random: Random, argument: Argument) -> str:
    raw = random.random() < 0.15
    name, bits = (f"reg{argument.regs[0]}", 64) if raw else (argument.name, argument.bits)
    op = random.choice(("==", "==", "==", "!=", "<", "<=", ">", ">=", "masked", "masked", "sub", "any", "in", "in"))
    value = _value(random, bits)
    if op == "masked":
        mask = random.choice((0xFF, 0x3, 0xF000, 0xFE7F, value | 7))
        return f"({name} & {mask:#x}) == {value & mask:#x}"
    if op == "sub":
        return f"({name} & ~{value | random.getrandbits(8):#x}) == 0"
    if op == "any":
        return f"{name} & {value | 1:#x}"
    if op == "in":
        items = [_item(random, bits) for _ in range(random.choice((2, 3, 5, 12, 40)))]
        return f"{name} in {{{', '.join(items)}}}"
    return f"{name} {op} {value:#x}"


def _value(random: Random, bits: int) -> int:
    drawn = (random.randrange(32), 1 << random.randrange(24), random.randrange(1 << 16), random.getrandbits(40))
    return random.choice(drawn) & (1 << bits - 1) - 1


def _item(random: Random, bits: int) -> str:
    low = _value(random, bits)
    if random.random() < 0.8:
        return f"{low:#x}"
    return f"{low:#x}..{min(low + _value(random, bits), (1 << bits - 1) - 1):#x}"
