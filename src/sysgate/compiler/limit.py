"""The kernel's limit of 4,096 instructions, and what to tell who exceeds it."""

from __future__ import annotations

from sysgate.compiler.meanings import MAX_INSTRUCTIONS
from sysgate.errors import CompileError
from sysgate.policy.ruleset import Among, atoms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.policy.ruleset import Bound, Expr, Gate

NAMED = 3  # rules that a message names
WIDTH = 60  # characters of a rule's text


class TooLong(CompileError):
    """A program of more instructions than the kernel takes. count: how many, or at least how many, it would have."""

    count = 0


def too_long(count: int, shares: Sequence[tuple[int, Sequence[Bound]]], *, at_least: bool = False) -> TooLong:
    """The error for a program of so many instructions.

    shares: instructions, and the rules they are for. at_least: count is no more than a lower bound.
    """
    about = "at least " if at_least else ""
    told = f"the program would have {about}{count:,} instructions; the kernel takes {MAX_INSTRUCTIONS:,}"
    heaviest = sorted(shares, key=lambda share: -share[0])[:NAMED]
    named = [f"\n    {size:,} of them for {_named(rules)}" for size, rules in heaviest]
    error = TooLong(told + "".join(named))
    error.count = count
    return error


def longest_rule(gate: Gate) -> str:
    """The rule with the most tests, with its place."""
    bounds = {id(rule): rule for _, segments in gate.entries for segment in segments for rule in segment.rules}
    return _named(list(bounds.values()))


def _named(rules: Sequence[Bound]) -> str:
    # The rule with the most tests is the one to shorten.
    longest = max(rules, key=lambda rule: sum(tests(expr) for expr, _ in rule.cases))
    origin = longest.origin
    if origin is None:
        return "an unwritten default"
    text = " ".join(origin.text.split())
    if len(text) > WIDTH:
        text = text[: WIDTH - 1] + "…"
    return f"{origin.file}:{origin.line}: {text}"


def tests(expr: Expr) -> int:
    """How many tests an expression has; of a set, each of its values is one."""
    return sum([len(one.items) if isinstance(one, Among) else 1 for one in atoms(expr)])
