"""Denials for people, and for machines."""

from __future__ import annotations

from sysgate.action import Action
from sysgate.decode import escaped
from sysgate.facts import constants, spelling
from sysgate.supervise.startup import HINT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sysgate.policy.ast import Answer, Body, Policy
    from sysgate.supervise.denial import Denial

LONGEST = 240  # characters of a policy line that are shown
_MOST = 20  # repeated denials listed in a summary
_MOST_TRAPS = 3
_STRINGS = '"'


def printed(denial: Denial, policies: Sequence[str] = (), *, complain: bool = False) -> str:
    """One denial as several lines, without a newline at the end.

    policies: the names of the policy files, for what no line of them says. complain: it was let through.
    """
    thread = "" if denial.pid == denial.tid else f", thread {denial.tid}"
    verb = "would be refused" if complain else "was refused"
    what = f"{denial.text}: {happened(denial, complain=complain)}"
    lines = [f"sysgate: {denial.comm}[{denial.pid}{thread}] {verb} {what}", f"    {_because(denial, policies)}"]
    lines += [f"    {line}" for line in _remedy(denial)]
    if denial.startup:
        lines.append(f"    its own code had not run yet: {HINT} has the calls that programs start with")
    return "\n".join(lines)


def summary(denials: Iterable[Denial]) -> str:
    """What was refused more than once, one line each; "" where nothing was. Threads are taken together."""
    counts: dict[str, int] = {}
    for denial in denials:
        said = f"{denial.text}: {happened(denial)}"
        counts[said] = counts.get(said, 0) + denial.count
    repeated = [(count, said) for said, count in counts.items() if count > 1]
    lines = [f"sysgate: {count} times {said}" for count, said in repeated[:_MOST]]
    if len(repeated) > _MOST:
        rest = repeated[_MOST:]
        lines.append(f"sysgate: and {len(rest)} more kinds of refusal, {sum(count for count, _ in rest)} times")
    return "\n".join(lines)


def of_sigsys(policy: Policy, *, explained: bool) -> str:
    """What ended a program by SIGSYS where no denial says it. explained: kills would have been told, traps are not."""
    if not explained:
        return "sysgate: ended by SIGSYS: a call was refused that the policy answers with kill or trap"
    lines = [f"    {line}" for line in _trapping(policy)]
    if len(lines) > _MOST_TRAPS:
        lines[_MOST_TRAPS:] = [f"    and {len(lines) - _MOST_TRAPS} lines more"]
    by = (
        ": a trap, which is the kernel's own; the lines that trap:" if lines else ", though sysgate saw no call refused"
    )
    return "\n".join([f"sysgate: ended by SIGSYS{by}", *lines])


def _trapping(policy: Policy) -> list[str]:
    lines = [(rule.source, rule.at, rule.end, _answers(rule.body)) for rule in policy.rules]
    written = [line for side in policy.sides for line in side.default.values()]
    written += [line for scope in policy.scopes for line in scope.deny.values()]
    lines += [(line.source, line.at, line.end, [line.answer]) for line in written]
    return [
        f"{escaped(source.name)}:{source.line_of(at)}: {_shortened(escaped(source.text_of(at, end)))}"
        for source, at, end, answers in lines
        if any(answer.kind == "trap" for answer in answers)
    ]


def _answers(body: Body) -> list[Answer]:
    return [answer for _, answer in body.cases] + ([body.otherwise] if body.otherwise else [])


def as_json(denial: Denial) -> dict[str, object]:
    """One denial as an object for json.dumps."""
    rule, call = denial.rule, denial.call
    return {
        "pid": denial.pid,
        "tid": denial.tid,
        "comm": denial.comm,
        "call": denial.text,
        "name": call.name,
        "arch": call.arch,
        "nr": call.nr,
        "args": list(call.args),
        "action": denial.action,
        "data": denial.data,
        "rule": {"file": rule.file, "line": rule.line, "text": rule.text} if rule else None,
        "suggestion": denial.suggestion,
        "count": denial.count,
        "startup": denial.startup,
    }


def happened(denial: Denial, *, complain: bool = False) -> str:
    """What came of it: `got EACCES`, `killed by SIGSYS`."""
    if denial.action == "errno":
        arch = denial.call.arch
        name = spelling.one(denial.data, ("errno",), arch, 16) if isinstance(arch, str) else None
        return f"{'errno' if complain else 'got'} {name or denial.data}"
    if denial.action == "kill_thread":
        return "kill of the thread" if complain else "thread killed by SIGSYS"
    if denial.action == "trap":
        return "trap" if complain else "got SIGSYS"
    if denial.action == "kill_process":
        return "kill" if complain else "killed by SIGSYS"
    return denial.action


def _because(denial: Denial, policies: Sequence[str]) -> str:
    rule, call = denial.rule, denial.call
    name = call.name or f"call {call.nr}"
    place = f"{escaped(rule.file)}:{rule.line}: {_shortened(escaped(rule.text))}" if rule else ""
    if rule and not _is_default(rule.text):
        return place
    if is_newer(Action(denial.action, denial.data), call.arch, rule.text if rule else None):
        return f"no rule for {name}, which came after the kernel of `since`"
    if rule:
        return f"no rule for {name}, so {place}"
    files = escaped(", ".join(policies))
    return f"{files}: no rule for {name}" if files else f"no rule for {name}"


def is_newer(answer: Action, arch: str | int, rule: str | None) -> bool:
    """Whether `since` gave this answer to a call without a rule. rule: the default line, None if unwritten."""
    if answer.kind != "errno" or isinstance(arch, int) or answer.data != constants.value("ENOSYS", arch):
        return False
    return rule is None or (_is_default(rule) and "ENOSYS" not in rule and str(answer.data) not in rule)


def _is_default(rule: str) -> bool:
    return rule.partition(":")[0].strip() == "default"


def _remedy(denial: Denial) -> list[str]:
    lines = denial.suggestion.splitlines()
    if not lines:
        return []
    instead = denial.rule is not None and not _is_default(denial.rule.text)
    lead = "instead of it, this would allow the call:" if instead else "this would allow it:"
    shown = [_shortened(line) for line in lines]
    shown = [f"{lead} {shown[0]}"] if len(shown) == 1 else [lead, *(f"    {line}" for line in shown)]
    if _STRINGS in denial.text:
        shown[-1] += "   # for every string: a filter cannot see them"
    return shown


def _shortened(line: str) -> str:
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
