"""Orders for the stub: system calls to be made one after the other, laid out in memory."""

from __future__ import annotations

import struct

from sysgate.bpf.emit import stub
from sysgate.kernel import libc, native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_ALL_SIGNALS = -1
_NOT_MADE = -(1 << 63)
"""The result of a step before it is made: nothing returns it, and no error is it."""
_NR_GETRANDOM, _NR_CLONE, _NR_CLONE3 = 318, 56, 435
_CLONE_CLEAR_SIGHAND, _SIGNAL_BITS = 1 << 32, 0xFF  # include/uapi/linux/sched.h
_CLONE_ARGS_BYTES = 64  # CLONE_ARGS_SIZE_VER0
_TICKET_BYTES = 24
_ZEROS = (0,) * 6
_POOLED_BYTES = 1 << 16

_function: Callable[[int], None] | None = None
_pool: list[native.Memory] = []


class Orders:
    """A list of steps under construction, then carried out once.

    room: bytes for all that is placed and for the steps. Steps are named where their answer matters or another goes
    on with them. As a successor "" is the next step, and "return" the caller.
    """

    def __init__(self, room: int) -> None:
        self._size = stub.ORDERS_BYTES + _TICKET_BYTES + room
        pooled = self._size <= _POOLED_BYTES
        self._memory = _pool.pop() if pooled and _pool else native.Memory(max(self._size, _POOLED_BYTES))
        self._view = self._memory.view
        self._steps: list[tuple[int, tuple[int, ...], int, str, str, str]] = []
        self._names = {"return": -1}
        self._ticketed: list[int] = []
        self._at = self._first = stub.ORDERS_BYTES + _TICKET_BYTES
        self.old_mask = self._memory.address + stub.OLD_MASK

    def place(self, data: bytes) -> int:
        """The address of data, a multiple of eight."""
        at = self._at
        end = at + len(data)
        self._view[at:end] = data
        self._at = end + 7 & ~7
        return self._memory.address + at

    def strings(self, items: Iterable[bytes]) -> int:
        """The address of a `char *[]` that a null pointer ends."""
        texts = [item + b"\0" for item in items]
        address = self.place(b"".join(texts))
        pointers = []
        for text in texts:
            pointers.append(address)
            address += len(text)
        return self.words(*pointers, 0)

    def words(self, *values: int) -> int:
        """The address of 64-bit words."""
        return self.place(struct.pack(f"={len(values)}Q", *values))

    def step(
        self,
        number: int,
        *args: int,
        name: str = "",
        store: int = 0,
        then: str = "",
        orelse: str = "failed",
        ticket: bool = False,
    ) -> None:
        """Add a call. store: an address that gets its result. ticket: of at most three arguments, the words follow."""
        if name:
            self._names[name] = len(self._steps)
        if ticket:
            self._ticketed.append(len(self._steps))
        self._steps.append((number, args, store, name, then, orelse))

    def mark(self, name: str) -> None:
        """Let name stand for the step that is added next."""
        self._names[name] = len(self._steps)

    def draw_ticket(self, filter: int, slots: Iterable[int]) -> None:
        """Fresh secret words for the ticketed steps, and for the instructions at slots of the filter placed there.

        They go from the kernel to their places and into no Python object; `wipe` leaves none. Raises KernelError.
        """
        start = stub.ORDERS_BYTES
        libc.done("getrandom", libc.call(_NR_GETRANDOM, self._memory.address + start, _TICKET_BYTES, 0))
        words = [self._view[at : at + 4] for at in range(start, start + _TICKET_BYTES, 4)]
        offset = filter - self._memory.address + 4  # k follows code, jt and jf in struct sock_filter
        for place, index in enumerate(slots):
            at = offset + 8 * index
            self._view[at : at + 4] = words[place % 6]

    def carry_out(self, clone_flags: int, *, drop_handlers: bool) -> int:
        """Make the calls in a child made by clone(2) with these flags; its pid, or -errno.

        drop_handlers: by clone3(2), which also puts handled signals back to their default (Linux 5.5).
        With CLONE_VFORK this returns when the child has executed or ended, no sooner.
        """
        if not drop_handlers:
            return self._run(_NR_CLONE, clone_flags, 0)
        exit_signal = clone_flags & _SIGNAL_BITS
        asked = self.words(clone_flags - exit_signal | _CLONE_CLEAR_SIGHAND, 0, 0, 0, exit_signal, 0, 0, 0)
        return self._run(_NR_CLONE3, asked, _CLONE_ARGS_BYTES)

    def carry_out_here(self) -> None:
        """Make the calls in this very thread. Returns where a step leads to "return"."""
        self._run(0, 0, 0)

    def made(self) -> Iterator[tuple[str, int | None]]:
        """The steps as they were made: name and result. The last may have None: it did not return (execve, exit)."""
        index = 0
        while True:
            _, _, _, name, then, orelse = self._steps[index]
            result = self._result(index)
            yield name, result
            if result is None:
                return
            successor = orelse if -4096 < result < 0 else then
            index = self._names[successor] if successor else index + 1
            if index < 0:
                return

    def wipe(self) -> None:
        """Forget everything, the ticket first of all."""
        self._memory.wipe(self._at)
        if self._size <= _POOLED_BYTES:
            _pool.append(self._memory)

    def _run(self, clone: int, first_argument: int, second_argument: int) -> int:
        global _function
        if _function is None:
            _function = native.function(stub.code())
        first = self._lay_out()
        struct.pack_into("=7q", self._view, 0, clone, first_argument, second_argument, first, 0, 0, _ALL_SIGNALS)
        _function(self._memory.address)
        return int(struct.unpack_from("=q", self._view, stub.PID)[0])

    def _lay_out(self) -> int:
        self._first = self._at
        start = self._memory.address + self._at
        size = stub.STEP_BYTES
        names = {name: start + size * index for name, index in self._names.items()}
        names["return"] = 0
        words: list[int] = []
        for number, args, store, _, then, orelse in self._steps:
            start += size
            names[""] = start
            words += (number, *args, *_ZEROS[len(args) :], _NOT_MADE, store, names[then], names[orelse])
        struct.pack_into(f"={len(words)}q", self._view, self._at, *words)
        self._at += 8 * len(words)
        for index in self._ticketed:
            at = self._first + size * index + stub.ARGUMENTS + 24  # the fourth argument
            self._view[at : at + _TICKET_BYTES] = self._view[stub.ORDERS_BYTES : stub.ORDERS_BYTES + _TICKET_BYTES]
        return self._memory.address + self._first

    def _result(self, index: int) -> int | None:
        at = self._first + stub.STEP_BYTES * index + stub.RESULT
        value = int(struct.unpack_from("=q", self._view, at)[0])
        return None if value == _NOT_MADE else value
