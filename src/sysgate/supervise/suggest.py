"""The policy lines that would have allowed a refused call.

Rules only narrow: a call without a rule needs a new line, but where rules refused, each of them must be put wider in
its place. A rule that names more than this call is split, so that the others stay as they are.
"""

from __future__ import annotations

from sysgate.facts import calls, groups
from sysgate.facts.arches import native
from sysgate.policy import meaning
from sysgate.policy.lexer import spans_of
from sysgate.supervise import narrow
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sysgate.call import Call
    from sysgate.policy.ruleset import Bound
    from sysgate.supervise.answer import Judge, Verdict
    from sysgate.supervise.denial import Denial


class Edit(Value):
    """Lines to write. instead: the file and line of the rule they replace; None for lines to add."""

    lines: tuple[str, ...]
    instead: tuple[str, int] | None


def suggestion(verdict: Verdict, judge: Judge) -> str:
    """The lines for one refused call; several rules to replace are told apart by a comment. "" where no line helps."""
    found = edits(verdict, judge)
    if len(found) < 2:
        return "\n".join(line for edit in found for line in edit.lines)
    return "\n".join(f"{line}  # {_place(edit)}" for edit in found for line in edit.lines)


def edits(verdict: Verdict, judge: Judge) -> tuple[Edit, ...]:
    """What to change in the policy, in the order of its rules."""
    call = verdict.call
    made = narrow.box(call)
    if isinstance(call.arch, int):
        return ()
    refusing = _refusing(verdict, judge)
    # A policy's answer to calls without a rule counts as a rule where another policy has one for the call.
    written = dict.fromkeys(rule.origin for rule in refusing if rule.cases and rule.origin)
    found = []
    if not all(rule.cases for rule in refusing) or not refusing:
        found.append(Edit(_new(call, made), None))
    for origin in written:
        found.append(Edit(_wider(origin.text, call, made), (origin.file, origin.line)))
    return tuple(found)


def lines(denials: Iterable[Denial]) -> tuple[str, ...]:
    """New policy lines, one a call, that allow all these calls: for a policy that has no rules for them yet."""
    boxes = (narrow.box(denial.call) for denial in denials)
    return tuple(f"{each.call}: {each.text()}" for each in narrow.joined(box for box in boxes if box))


def _place(edit: Edit) -> str:
    return f"instead of {edit.instead[0]}:{edit.instead[1]}" if edit.instead else "added"


def _refusing(verdict: Verdict, judge: Judge) -> list[Bound]:
    segment = judge.segment(verdict.call)
    return [rule for rule in segment.rules if not _allows(rule, verdict.call.args)] if segment else []


def _allows(rule: Bound, args: tuple[int, ...]) -> bool:
    action = next((action for expr, action in rule.cases if meaning.holds(expr, args)), rule.otherwise)
    return action.kind in ("allow", "log")


def _new(call: Call, made: narrow.Box | None) -> tuple[str, ...]:
    assert isinstance(call.arch, str)
    line = f"{made.call}: {made.text()}" if made else f"{call.nr}: 1"
    # Another ABI is let in by a section only, and so is a number.
    return (line,) if made and call.arch == _home() else (f"[{call.arch}]", line)


def _home() -> str:
    here = native()
    return here.name if here else ""


def _wider(rule: str, call: Call, made: narrow.Box | None) -> tuple[str, ...]:
    """A rule's text as the lines that replace it."""
    assert isinstance(call.arch, str)
    written, _, body = (part.strip() for part in rule.partition(":"))
    test = made.text() if made else "1"
    others: list[str] = []
    mine: list[str] = []
    for head in (part.strip() for part in written.split(",")):
        rest = _without(head, call)
        if rest is None:
            others.append(head)
        else:
            others += rest
            mine.append(head)
    name = made.call if made else str(call.nr)
    kept = mine[0] if len(mine) == 1 and not mine[0].startswith("@") and ".." not in mine[0] else name
    if made and kept[0].isdigit():
        kept = name  # arguments have names only where the call has one
    changed = f"{kept}: {_widened(body, test)}"
    return (f"{', '.join(others)}: {body}", changed) if others else (changed,)


def _without(head: str, call: Call) -> Sequence[str] | None:
    """What is left of a head without this call; None where it does not name it."""
    assert isinstance(call.arch, str)
    if head.startswith("@"):
        members = groups.members(head) or ()
        left = [name for name in members if calls.resolve(call.arch, name) != call.name]
        return left if len(left) < len(members) else None
    if head[0].isdigit():
        low, _, high = head.partition("..")
        first, last = _number(low), _number(high or low)
        if not first <= call.nr <= last:
            return None
        below = [_range(first, call.nr - 1)] if first < call.nr else []
        return below + ([_range(call.nr + 1, last)] if call.nr < last else [])
    return [] if calls.resolve(call.arch, head) == call.name else None


def _number(text: str) -> int:
    text = text.strip()
    return int(text, 8) if len(text) > 1 and text[0] == "0" and text.isdigit() else int(text, 0)


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}..{last}"


def _widened(body: str, test: str) -> str:
    if test == "1":
        return "1"
    if body.startswith("{"):
        return f"{{ {test} -> allow; {body[1:].lstrip()}"
    at = next((start for start, end in spans_of(body) if body[start:end] == "else"), len(body))
    expr, otherwise = body[:at].strip(), body[at:]
    joined = test if expr == "0" else f"{expr} || {test}"
    return f"{joined} {otherwise}".strip()
