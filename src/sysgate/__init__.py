"""sysgate: narrow what a process may ask of its kernel.

The face of the library. Names are loaded when first asked for (PEP 562), so that importing sysgate
costs next to nothing and a program pays only for what it uses. ARCHITECTURE.md tells what lies behind.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate import ftrace
    from sysgate.api import Policy, Program, attach, prove, run, status
    from sysgate.call import Call
    from sysgate.decision import Decision
    from sysgate.errors import BpfError, CompileError, KernelError, PolicyError, ProofError, SysgateError
    from sysgate.kernel.abilities import Abilities
    from sysgate.launch.process import Completed
    from sysgate.life.filters import Filters
    from sysgate.life.status import ProcessState
    from sysgate.proof import Proof
    from sysgate.supervise.denial import Denial

_HOME = {
    "Abilities": "sysgate.kernel.abilities",
    "BpfError": "sysgate.errors",
    "Call": "sysgate.call",
    "CompileError": "sysgate.errors",
    "Completed": "sysgate.launch.process",
    "Decision": "sysgate.decision",
    "Denial": "sysgate.supervise.denial",
    "Filters": "sysgate.life.filters",
    "KernelError": "sysgate.errors",
    "Policy": "sysgate.api",
    "PolicyError": "sysgate.errors",
    "ProcessState": "sysgate.life.status",
    "Program": "sysgate.api",
    "Proof": "sysgate.proof",
    "ProofError": "sysgate.errors",
    "SysgateError": "sysgate.errors",
    "attach": "sysgate.api",
    "prove": "sysgate.api",
    "run": "sysgate.api",
    "status": "sysgate.api",
}

__all__ = [
    "Abilities",
    "BpfError",
    "Call",
    "CompileError",
    "Completed",
    "Decision",
    "Denial",
    "Filters",
    "KernelError",
    "Policy",
    "PolicyError",
    "ProcessState",
    "Program",
    "Proof",
    "ProofError",
    "SysgateError",
    "attach",
    "ftrace",
    "prove",
    "run",
    "status",
]


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "ftrace":
        value: object = import_module("sysgate.ftrace")
    elif name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module 'sysgate' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
