"""A filter as an expression over raw registers: what a policy of `dialect="ftrace"` says about a call."""

from __future__ import annotations

from sysgate.errors import CompileError
from sysgate.policy.ftrace.fields import MAX_REGISTERS
from sysgate.policy.ftrace.predicate import Number, Record
from sysgate.policy.ruleset import All, Any, Compare, Constant, Not, Shares, Term

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.policy.ftrace.filter import Filter
    from sysgate.policy.ftrace.predicate import Predicate
    from sysgate.policy.ruleset import Expr


def to_expr(filter: Filter) -> Expr:
    """The filter's tests of registers, each read as 64 bits without a sign.

    `__syscall_nr` is the rule's own call and becomes a constant. Raises CompileError for what a seccomp filter
    cannot see: the task's name and processor, `common_*`, memory, functions; and for a text cut off by a NUL.
    """
    if filter.cut:
        raise CompileError(f"`{filter.text}`: a NUL byte ends the filter; nothing after it would be enforced")
    if filter.everything:
        raise CompileError("`0` is no filter but the absence of one; a policy's own `0` means never")
    built: list[Expr] = []
    for step in filter.steps:
        if not isinstance(step, str):
            built.append(_test(filter, step))
        elif step == "not":
            built.append(_negated(built.pop()))
        else:
            right, left = built.pop(), built.pop()
            built.append(_joined(All if step == "and" else Any, left, right))
    return built[0]


def _test(filter: Filter, predicate: Predicate) -> Expr:
    field = predicate.field
    if isinstance(predicate, Number) and field.name == "__syscall_nr" and filter.event.nr is not None:
        return Constant(bool(predicate.holds(_known(filter))))
    if not isinstance(predicate, Number) or field.register is None:
        raise CompileError(
            f"`{filter.text}` ({filter.event.name}): {_why(predicate)}; a policy tests the call's arguments as numbers"
        )
    term = Term(field.name, 64, False, (field.register,))
    if predicate.op == "&":
        return Shares(term, predicate.value)
    return Compare(term, predicate.op, predicate.value)


def _why(predicate: Predicate) -> str:
    name = predicate.field.name
    if predicate.field.kind == "string":
        return f"{name} is memory, which a seccomp filter cannot see"
    if predicate.field.register is not None:
        return f"{name} is compared with what only the running kernel knows"
    return f"{name} is not part of the call"


def _known(filter: Filter) -> Record:
    return Record((0,) * MAX_REGISTERS, filter.event.nr)


def _negated(inner: Expr) -> Expr:
    return inner.inner if isinstance(inner, Not) else Not(inner)


def _joined(kind: type[All | Any], left: Expr, right: Expr) -> Expr:
    # Flat, so that a long chain of && or || is no deep tree.
    parts = [part for side in (left, right) for part in (side.parts if isinstance(side, kind) else (side,))]
    return kind(tuple(parts))
