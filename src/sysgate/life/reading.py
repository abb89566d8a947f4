"""One call's filter text → its expression, with 2011's errors: in the ftrace dialect, or typed in sysgate's own."""

from __future__ import annotations

import errno

from sysgate.errors import CompileError, KernelError, PolicyError
from sysgate.facts import calls, prototypes
from sysgate.policy.ruleset import Constant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.policy.ruleset import Expr

NEVER = "0"


def raw(nr: int, text: str, arch: str) -> Expr:
    """A filter over raw registers. Raises KernelError: ENOSYS for a call whose arguments are not known, EINVAL."""
    from sysgate.policy import ftrace

    call = _described(nr, arch)
    if text == NEVER:
        return Constant(False)
    if ".function" in text:  # would be looked up in the running kernel, and refused all the same
        raise KernelError(errno.EINVAL, f"`{text}`: a filter tests the call's arguments as numbers")
    try:
        return ftrace.to_expr(ftrace.Filter(call, text, arch=arch, cpus=1, file=call))
    except (PolicyError, CompileError) as error:
        raise KernelError(errno.EINVAL, str(error)) from error


def typed(nr: int, text: str, arch: str) -> Expr:
    """An expression of sysgate's language, each argument as the kernel uses it. Raises KernelError, as `raw` does."""
    from sysgate.policy import include, resolve

    call = _described(nr, arch)
    if "\n" in text or "#" in text or text.startswith("{"):
        raise KernelError(errno.EINVAL, f"`{text}` is more than an expression")
    try:
        policy = include.parse(f"{call}: {text}\n", "<filter>")
        ruleset = resolve.resolve(policy, arch)
    except (PolicyError, CompileError) as error:
        raise KernelError(errno.EINVAL, str(error)) from error
    if len(policy.rules) != 1 or policy.rules[0].body.otherwise is not None:
        raise KernelError(errno.EINVAL, f"`{text}` is more than an expression: what is refused has one answer here")
    segment = next(segment for segment in ruleset.segments if segment.low <= nr <= segment.high)
    return segment.rules[0].cases[0][0]


def _described(nr: int, arch: str) -> str:
    name = calls.name(arch, nr)
    known = None if name is None else prototypes.prototype(name, arch)
    if name is None or known is None or known.args is None:
        raise KernelError(errno.ENOSYS, f"the arguments of call {nr} are not known: only `1` and `0` can be its filter")
    return name
