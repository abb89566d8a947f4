"""Denials for people, and for machines."""

from __future__ import annotations

from sysgate.action import Action
from sysgate.decode import escaped
from sysgate.facts import constants, spelling
from sysgate.supervise.startup import HINT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sysgate.supervise.denial import Denial

LONGEST = 240  # characters of a policy line that are shown
_MOST = 20  # repeated denials listed in a summary
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
