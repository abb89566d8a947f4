"""What a filter can answer, and which of two answers is the stricter."""

from __future__ import annotations

from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# SECCOMP_RET_*, include/uapi/linux/seccomp.h. From the strictest down: kernel/seccomp.c,
# seccomp_run_filters keeps the smallest as a signed number.
_RET = {
    "kill_process": 0x8000_0000,
    "kill_thread": 0x0000_0000,
    "trap": 0x0003_0000,
    "errno": 0x0005_0000,
    "notify": 0x7FC0_0000,
    "trace": 0x7FF0_0000,
    "log": 0x7FFC_0000,
    "allow": 0x7FFF_0000,
}
_KIND = {ret: kind for kind, ret in _RET.items()}
_CARRIES_DATA = ("errno", "trap", "trace")
MAX_ERRNO = 4095


class Action(Value):
    """A filter's answer.

    kind: "kill_process", "kill_thread", "trap", "errno", "notify", "trace", "log" or "allow".
    data: the errno number (0…4095), the trap or trace value (0…65535); 0 for the others.
    """

    kind: str
    data: int = 0

    @property
    def ret(self) -> int:
        """The value a BPF program returns for it."""
        return _RET[self.kind] | self.data

    @property
    def rank(self) -> int:
        """Smaller is stricter, as the kernel ranks stacked filters; data does not count."""
        value = _RET[self.kind]
        return value - (1 << 32) if value >> 31 else value


ALLOW = Action("allow")
KILL_PROCESS = Action("kill_process")
KILL_THREAD = Action("kill_thread")
NOTIFY = Action("notify")


def from_ret(ret: int) -> Action:
    """What the kernel does with a program's return value.

    Data that the kernel ignores is dropped, an errno above 4095 is 4095, and an unknown action
    kills the process (kernel/seccomp.c, __seccomp_filter).
    """
    kind = _KIND.get(ret & 0xFFFF_0000)
    if kind is None:
        return KILL_PROCESS
    if kind not in _CARRIES_DATA:
        return Action(kind)
    data = ret & 0xFFFF
    return Action(kind, min(data, MAX_ERRNO) if kind == "errno" else data)


def strictest(actions: Iterable[Action]) -> Action:
    """The answer that wins when all are given in order: of equal ones the later."""
    winner = ALLOW
    for action in actions:
        if action.rank <= winner.rank:
            winner = action
    return winner
