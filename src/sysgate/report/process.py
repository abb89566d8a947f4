"""How processes are filtered: for people, for machines, and in the words of 2011."""

from __future__ import annotations

from sysgate.facts import arches, calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sysgate.life.processes import Listed
    from sysgate.life.status import ProcessState
    from sysgate.policy.ast import Policy
    from sysgate.policy.ruleset import Expr, Segment

    Paint = Callable[[str, str], str]

_MODES = {"off": "not filtered", "strict": "strict mode: read, write, exit and sigreturn only", "filter": "filtered"}


def shown(state: ProcessState, paint: Paint = lambda text, style: text) -> str:
    """One process as several lines. paint: (text, style) → text."""
    lines = [f"{paint(f'{state.comm}[{state.pid}]', 'bold')}: {_MODES.get(state.mode, state.mode)}"]
    if state.mode == "filter":
        lines[0] += "" if state.filters < 0 else f" by {state.filters} program{'s' if state.filters > 1 else ''}"
    lines.append(f"  no_new_privs: {'on' if state.no_new_privs else 'off'}")
    if state.store_bypass:
        lines.append(f"  speculation: store bypass {state.store_bypass}; indirect branch {state.indirect_branch}")
    lines += [f"  thread {each.tid}: {each.mode}, {each.filters} filters" for each in state.threads]
    lines += [f"  {note}" for note in state.notes]
    if state.policy is not None:
        lines.append(f"  policy: {_whence(state)}")
        lines += [f"    {line}".rstrip() for line in _text(state.policy).splitlines()]
    elif state.mode == "filter":
        lines.append("  policy: not known")
    return "\n".join(lines)


def as_json(state: ProcessState) -> dict[str, object]:
    """One process as an object for json.dumps."""
    return {
        "pid": state.pid,
        "comm": state.comm,
        "uid": state.uid,
        "mode": state.mode,
        "filters": state.filters,
        "no_new_privs": state.no_new_privs,
        "policy": None if state.policy is None else _text(state.policy),
        "source": state.source,
        "verified": state.verified,
        "name": state.name,
        "how": state.how,
        "store_bypass": state.store_bypass,
        "indirect_branch": state.indirect_branch,
        "threads": [{"tid": each.tid, "mode": each.mode, "filters": each.filters} for each in state.threads],
        "notes": list(state.notes),
    }


def table(listed: Sequence[Listed]) -> str:
    """The filtered processes as a table with a head."""
    rows = [("PID", "USER", "FILTERS", "ALLOWED", "POLICY", "PUT THERE BY", "PROGRAM")]
    for each in listed:
        state = each.state
        rows.append(
            (
                str(state.pid),
                _user(state.uid),
                "strict" if state.mode == "strict" else str(state.filters) if state.filters >= 0 else "?",
                "4" if state.mode == "strict" else "?" if each.allowed is None else str(each.allowed),
                f"{state.name or '-'}{'' if state.verified or not state.name else ' (unverified)'}",
                each.starter or "?",
                state.comm,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def listed_as_json(each: Listed) -> dict[str, object]:
    """One row of that table as an object for json.dumps."""
    return {**as_json(each.state), "allowed": each.allowed, "starter": each.starter}


def proc(state: ProcessState, form: str) -> str:
    """`/proc/<pid>/seccomp_filter` as 2011 had it: form "b" (second posting) or "c" (what shipped).

    Filters are said in this language, for today's say more than those of 2011 could: a typed test, an errno.
    """
    from sysgate.life.abi2011_proc import entry_point

    native = arches.native()
    if state.policy is None or native is None:
        return "" if form == "c" else f"Filtering: {int(state.mode != 'off')}\nFilterCount: 0\n"
    entries = list(_entries(state.policy, native.name))
    if form == "c":
        return "".join(f"{nr} ({entry_point(native.name, nr)}): {text}\n" for nr, text in entries)
    lines = [f"Filtering: 1\nFilterCount: {len(entries)}\n"]
    lines += [f"SystemCall: {nr} ({entry_point(native.name, nr)})\nFilter: {text}\n" for nr, text in entries]
    return "".join(lines)


def _entries(policy: Policy, arch: str) -> Iterable[tuple[int, str]]:
    """Each call that may pass, by number, with the tests that must all hold."""
    from sysgate.policy import resolve

    segments = resolve.resolve(policy, arch).segments
    for nr in sorted(set(calls.table(arch).values())):
        text = _filter_text(next(segment for segment in segments if segment.low <= nr <= segment.high))
        if text is not None:
            yield nr, text


def _filter_text(segment: Segment) -> str | None:
    if not segment.rules:
        return "1" if segment.answer.kind in ("allow", "log") else None
    parts = []
    for rule in segment.rules:
        passing = [_expr(expr) for expr, action in rule.cases if action.kind in ("allow", "log")]
        if not passing and rule.otherwise.kind not in ("allow", "log"):
            return None
        if rule.otherwise.kind in ("allow", "log"):
            refused = [_expr(expr) for expr, action in rule.cases if action.kind not in ("allow", "log")]
            text = " && ".join(f"!({each})" for each in refused) or "1"
        else:
            text = " || ".join(passing)
        if text == "0":
            return None
        if text != "1" and text not in parts:
            parts.append(text)
    return " && ".join(f"({part})" for part in parts) if len(parts) > 1 else (parts or ["1"])[0]


def _expr(expr: Expr) -> str:
    from sysgate.policy import ruleset

    if isinstance(expr, ruleset.Constant):
        return "1" if expr.holds else "0"
    if isinstance(expr, ruleset.Not):
        return f"!({_expr(expr.inner)})"
    if isinstance(expr, ruleset.All | ruleset.Any):
        sign = " && " if isinstance(expr, ruleset.All) else " || "
        return sign.join(
            f"({_expr(part)})" if isinstance(part, ruleset.All | ruleset.Any) else _expr(part) for part in expr.parts
        )
    if isinstance(expr, ruleset.Shares):
        return f"{expr.term.name} & {expr.mask}"
    left = expr.term.name if expr.term.mask is None else f"({expr.term.name} & {expr.term.mask})"
    if isinstance(expr, ruleset.Compare):
        return f"{left} {expr.op} {expr.value}"
    items = [str(low) if high is None else f"{low}..{high}" for low, high in expr.items]
    return f"{left} in {{{', '.join(items)}}}"


def _whence(state: ProcessState) -> str:
    if state.source == "recovered":
        return "recovered from the kernel's filters, and proved equal to them"
    checked = "seen equal to the kernel's program" if state.verified else "as registered; not verified"
    return f"{state.name}, by {state.how} ({checked})"


def _text(policy: Policy) -> str:
    from sysgate.policy import printer

    return printer.text(policy)


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
