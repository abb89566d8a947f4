"""Why a program was not started, as the exception that subprocess would raise, or a KernelError."""

from __future__ import annotations

import os

from sysgate.errors import KernelError
from sysgate.launch import plan
from sysgate.launch.child import NotStartedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    PathName = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def exception(error: NotStartedError, program: PathName, cwd: PathName | None = None) -> OSError:
    """FileNotFoundError, PermissionError, … about program or cwd; KernelError where the confinement failed."""
    number = error.errno
    if error.step == plan.EXECVE:
        return OSError(number, os.strerror(number), program)
    if error.step == plan.CHDIR:
        return OSError(number, os.strerror(number), cwd)
    if error.step == plan.SECCOMP:
        from sysgate.kernel import seccomp

        return KernelError(number, seccomp.refusal(number))
    if error.step in (plan.NO_NEW_PRIVS, plan.REPORTED, plan.HELD):
        return KernelError(number, f"the launch was refused a step ({error.step}): {os.strerror(number)}")
    if error.step == plan.CUT_SHORT:
        return KernelError(
            number, "the child was ended before it could start the program, perhaps by a filter around it"
        )
    return OSError(number, os.strerror(number))
