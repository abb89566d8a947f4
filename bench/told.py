"""What a comparison found, in words: who is better where, each case in which a rival is a tenth better, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bench.drawn import Case, Figures

WORSE = 1.1
PRICE = 0.03  # of an instruction in steps per call: what the compiler weighs (compiler/profile)
LITTLE = 1e-6
RECORDED, UNIFORM = 1, 2  # places in Figures
KINDS = ((RECORDED, "recorded"), (UNIFORM, "uniform"))
RIVALS = ("original", "chain", "libseccomp's chain", "libseccomp's tree")
SETTINGS = ("full", "fast")

REASONS = {
    "quicker": "larger, but its calls take fewer steps by more than the instructions cost (0.03 steps a call each)",
    "smaller": "slower, but smaller by more than the steps cost",
    "ordinary": "slower where every call is made equally often, not where they are made as ordinary programs do: "
    "for these a program is laid out unless there is a profile",
    "own": "larger or slower by the calls of ordinary programs, most of which the policy refuses, not by those that it "
    "lets pass: it is laid out for both",
    "": "no good reason",
}

_OPENING = """\
# Policies nobody tuned for

Written by `python -m bench.drawn`; not edited by hand.

{count} policies drawn at random (`bench/draw.py`: allow-lists and deny-lists, on one architecture or several, some with
tests of arguments of every kind), and the {programs} programs of other tools in the corpus, what each means compiled
again. The rivals: the *original* program; the plain *chain* of rules, as simple compilers make it (`bench/chain.py`);
libseccomp's *chain* and *tree*, from the library that is installed. Each program compared was proved to mean what
sysgate's does. What libseccomp has no words for it leaves out; then the meaning of its program was compiled, as a case
of its own (for every fourth drawn policy). No profile was given.

*recorded*: the mean over seven recorded streams of calls, on other architectures over the calls of the same names.
*uniform*: over each call that the policy may let pass, equally often. *beaten*: the rival is better in both size and
mean. *size*, *mean*: sysgate's over the rival's, of all sizes together and on average of the means.
"""


class Worse(NamedTuple):
    """A case in which a rival is more than a tenth better in size, or in the mean on one traffic."""

    name: str
    setting: str
    rival: str
    what: str
    own: Figures
    other: Figures
    reason: str


def worse(cases: Sequence[Case]) -> Iterator[Worse]:
    """All of them, in order."""
    for case in cases:
        for setting, own in case.own.items():
            for rival, other in case.rivals.items():
                for place, what in enumerate(("size", "recorded", "uniform")):
                    if own[place] > WORSE * other[place] + LITTLE:
                        reason = _reason(place, own, other)
                        yield Worse(case.name, setting, rival, what, own, other, reason)


def _reason(place: int, own: Figures, other: Figures) -> str:
    saved = PRICE * (other.size - own.size) + LITTLE
    cheaper = {kind: own[kind] <= other[kind] + saved for kind in (RECORDED, UNIFORM)}
    if place == UNIFORM:
        return "ordinary" if cheaper[RECORDED] else ""
    if cheaper[RECORDED]:
        return "smaller" if place else "quicker"
    return "own" if cheaper[UNIFORM] else ""


def beaten(own: Figures, other: Figures, place: int) -> bool:
    """Whether a rival is better both in size and in the mean on one traffic."""
    return own.size > other.size and own[place] > other[place] + LITTLE


def document(cases: Sequence[Case], count: int, programs: int) -> str:
    """The page for people."""
    found = list(worse(cases))
    lines = [
        _OPENING.format(count=count, programs=programs),
        *_table(cases),
        "\n## Where sysgate is more than a tenth worse\n",
        "Every case stands in `compared.tsv` beside this page, with one of these reasons:\n",
    ]
    counts = Counter((one.setting, one.reason) for one in found)
    for reason, said in REASONS.items():
        told = " · ".join(f"`{setting}` {counts[setting, reason]}" for setting in SETTINGS)
        lines.append(f"- *{reason or 'none'}* ({told}): {said}.")
    notes = Counter(note for case in cases for note in case.notes)
    for place, kind in KINDS:
        lines += [f"\n## Where a rival is better in both size and mean of {kind} calls\n", *_both(cases, place)]
    lines += ["\n## What was not compared\n", *(f"- {note}: {times}" for note, times in sorted(notes.items()))]
    return "\n".join(lines) + "\n"


def _both(cases: Sequence[Case], place: int) -> list[str]:
    found = [
        f"- {case.name}: `{setting}` {own.size} / {own[place]:.2f}, {rival} {other.size} / {other[place]:.2f}"
        for setting in SETTINGS
        for case in cases
        for rival, other in case.rivals.items()
        if (own := case.own[setting]) and beaten(own, other, place)
    ]
    return found or ["Nowhere."]


def rows(cases: Sequence[Case]) -> str:
    """Every case that is worse, a line each."""
    lines = ["case\tsetting\trival\tworse in\tsize\trecorded\tuniform\tits size\tits recorded\tits uniform\treason"]
    for one in worse(cases):
        told = [one.name, one.setting, one.rival, one.what, *map(str, (*one.own, *one.other)), one.reason or "none"]
        lines.append("\t".join(told))
    return "\n".join(lines) + "\n"


def _table(cases: Sequence[Case]) -> Iterator[str]:
    yield "| | rival | calls | cases | no larger | no slower | beaten | > 10 % larger | > 10 % slower | size | mean |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for setting in SETTINGS:
        for rival in RIVALS:
            pairs = [(case.own[setting], case.rivals[rival]) for case in cases if rival in case.rivals]
            for place, kind in KINDS:
                if pairs:
                    told = " | ".join(map(str, _figures(pairs, place)))
                    yield f"| `{setting}` | {rival} | {kind} | {len(pairs)} | {told} |"


def _figures(pairs: Sequence[tuple[Figures, Figures]], place: int) -> Iterator[int | str]:
    yield sum(own.size <= other.size for own, other in pairs)
    yield sum(own[place] <= other[place] + LITTLE for own, other in pairs)
    yield sum(beaten(own, other, place) for own, other in pairs)
    yield sum(own.size > WORSE * other.size for own, other in pairs)
    yield sum(own[place] > WORSE * other[place] + LITTLE for own, other in pairs)
    yield f"{sum(own.size for own, _ in pairs) / sum(other.size for _, other in pairs):.2f}"
    means = [own[place] / other[place] for own, other in pairs if other[place]]
    yield f"{sum(means) / len(means):.2f}"
