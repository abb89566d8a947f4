"""A call that was refused, as a value."""

from __future__ import annotations

from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.call import Call
    from sysgate.decision import Origin


class Denial(Value):
    """One call that a policy refused, and how often.

    pid, tid: process and thread that made it first, as this process numbers them. comm: the thread's name, escaped.
    call: its registers; text: the call as C has it, constants by name, strings read from the program and escaped.
    action: "errno", "kill_process", "kill_thread" or "trap"; data: the errno or trap number, 0 for the others.
    rule: what refused it; None where no written line did. suggestion: the policy lines that would allow it.
    count: how often the same was refused; of very many different ones those with equal call number and rule are counted
    as one.
    startup: it happened before the program's own code ran, in its loader or C library.
    """

    pid: int
    tid: int
    comm: str
    call: Call
    text: str
    action: str
    data: int
    rule: Origin | None
    suggestion: str
    count: int = 1
    startup: bool = False
