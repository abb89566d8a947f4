"""Putting this very process behind a program."""

from __future__ import annotations

import errno

from sysgate.action import from_ret
from sysgate.bpf.program import Program, to_bytes
from sysgate.errors import CompileError, KernelError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.action import Action
    from sysgate.kernel.abilities import Abilities

_RET_K = 0x06  # BPF_RET|BPF_K


def install(
    program: Program,
    *,
    tsync: bool = True,
    log: bool = False,
    spec_allow: bool = False,
    abilities: Abilities | None = None,
) -> None:
    """Put this process behind a program, from now on and for all it starts.

    tsync: all its threads, or none; else the calling thread only. log: the kernel's log tells of refusals;
    spec_allow: no speculation mitigation for it. no_new_privs is set only where the kernel demands it.
    abilities: what to assume of the kernel; None asks it.
    Raises CompileError for an action that has nobody to answer it, KernelError where the kernel refuses; then
    nothing was installed.
    """
    from sysgate.kernel import seccomp

    actions = _actions(program)
    for action in actions:
        if action.kind in ("notify", "trace"):
            raise CompileError(
                f"`{action.kind}` needs somebody who answers it, and here is nobody; "
                "refuse with errno(…) or kill, or allow"
            )
    wanted = [name for name, asked in (("tsync", tsync), ("log", log), ("spec_allow", spec_allow)) if asked]
    for name in wanted:
        if not (seccomp.knows_flag(name) if abilities is None else name in abilities.flags):
            raise KernelError(errno.EINVAL, f"this kernel does not know the seccomp flag {name}{_SINCE_FLAG[name]}")
    for action in actions:
        if not (seccomp.knows_action(action.ret) if abilities is None else action.kind in abilities.actions):
            raise KernelError(
                errno.EOPNOTSUPP,
                f"this kernel does not know the action {action.kind}{_SINCE_ACTION.get(action.kind, '')}",
            )
    seccomp.load(to_bytes(program), sum(seccomp.FLAGS[name] for name in wanted))


_SINCE_FLAG = {"tsync": " (Linux 3.17)", "log": " (Linux 4.14)", "spec_allow": " (Linux 4.17)"}
_SINCE_ACTION = {"kill_process": " (Linux 4.14)", "log": " (Linux 4.14)"}


def _actions(program: Program) -> tuple[Action, ...]:
    found = {from_ret(k).kind: from_ret(k) for code, _, _, k in program.insns if code == _RET_K}
    return tuple(found[kind] for kind in sorted(found))
