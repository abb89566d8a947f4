"""Command lines of `run` and `exec` read without argparse, which alone takes nearly as long as Python to start.

Only what is plainly right is read here. For all else, help and mistakes above all, argparse is asked, so that there is
one definition of what may be said and one voice that says what is wrong.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping, Sequence


class _Read:
    """What was read, by attribute, as argparse's Namespace has it."""

    def __init__(self, found: Mapping[str, object]) -> None:
        self.__dict__.update(found)


def read(
    words: Sequence[str], *, flags: Mapping[str, str], values: Mapping[str, str], lists: Mapping[str, str]
) -> Namespace | None:
    """Options, then `--` or the first word that is none, then the command; None to let argparse look at it.

    flags, values, lists: option → name of the attribute: set, set to the word that follows, added to.
    """
    found: dict[str, object] = dict.fromkeys(flags.values(), False)
    found |= dict.fromkeys(values.values())
    found |= {name: [] for name in lists.values()}
    index = 0
    while index < len(words):
        word = words[index]
        if word in flags:
            found[flags[word]] = True
            index += 1
            continue
        if word not in values and word not in lists:
            break
        following = words[index + 1] if index + 1 < len(words) else "-"
        if following.startswith("-"):
            return None
        if word in values:
            found[values[word]] = following
        else:
            found[lists[word]].append(following)  # type: ignore[attr-defined]
        index += 2
    if index == len(words) or (words[index].startswith("-") and words[index] != "--"):
        return None
    return _Read({**found, "command": list(words[index:])})  # type: ignore[return-value]
