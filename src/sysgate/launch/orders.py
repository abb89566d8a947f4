"""Orders for the stub: system calls to be made one after the other, laid out in memory."""

from __future__ import annotations

import _struct as struct  # what struct wraps
import os

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
_TICKET_AT, _TICKET_BYTES = stub.ORDERS_BYTES, 24
_FOURTH_ARGUMENT = stub.ARGUMENTS + 24
_WORDS = stub.STEP_BYTES // 8
_UNUSED = tuple((0,) * count + (_NOT_MADE,) for count in range(7))
_POOLED_BYTES = 1 << 16

_function: Callable[[int], None] | None = None
_pool: list[native.Memory] = []
os.register_at_fork(after_in_child=_pool.clear)  # the parent goes on using it, and both see the same pages


def _memory(size: int) -> native.Memory:
    if size <= _POOLED_BYTES:
        try:
            return _pool.pop()
        except IndexError:  # empty, or another thread was faster
            size = _POOLED_BYTES
    return native.Memory(size)


class Orders:
    """A list of steps under construction, then laid out, then carried out: once, or again after `renew`.

    room: bytes for all that is placed and for the steps. A step is followed by the next one where it succeeds, and by
    the one named "failed" where it does not, unless said otherwise; "return" is the caller, and a child's end.
    """

    def __init__(self, room: int) -> None:
        self._size = _TICKET_AT + _TICKET_BYTES + room
        self._memory = _memory(self._size)
        self._base = self._memory.address
        self._view = self._memory.view
        self._words: list[int] = []
        self._names: dict[str, int] = {}
        self._jumps: list[tuple[int, str]] = []
        self._ticketed: list[int] = []
        self._image = b""
        self._filter = 0
        self._at = self._first = _TICKET_AT + _TICKET_BYTES
        self.old_mask = self._base + stub.OLD_MASK

    def place(self, data: bytes) -> int:
        """The address of data, a multiple of eight."""
        at = self._at
        end = at + len(data)
        self._view[at:end] = data
        self._at = end + 7 & ~7
        return self._base + at

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
        at = self._at
        struct.pack_into(f"={len(values)}Q", self._view, at, *values)
        self._at = at + 8 * len(values)
        return self._base + at

    def place_filter(self, filter: bytes) -> int:
        """The address of a struct sock_fprog for a struct sock_filter[]."""
        self._filter = self._at
        return self.words(len(filter) // 8, self.place(filter))

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
        """Add a call.

        name: to ask for its result, or to go on with it. store: an address that gets its result, 0 for none.
        then, orelse: what follows success and error; "" is the next step. ticket: the ticket's words follow the
        arguments, at most three.
        """
        words = self._words
        if name:
            self._names[name] = len(words) // _WORDS
        if ticket:
            self._ticketed.append(len(words) * 8 + _FOURTH_ARGUMENT)
        words += (number, *args, *_UNUSED[6 - len(args)], store, 0, 0)
        if then:
            self._jumps.append((len(words) - 2, then))
        if orelse:
            self._jumps.append((len(words) - 1, orelse))

    def mark(self, name: str) -> None:
        """Let name stand for the step that is added next."""
        self._names[name] = len(self._words) // _WORDS

    def lay_out(self, clone_flags: int = 0, *, drop_handlers: bool = False) -> None:
        """End the construction: the steps are made in a child made by clone(2) with these flags; 0: in this thread.

        drop_handlers: by clone3(2), which also puts handled signals back to their default (Linux 5.5).
        """
        clone, argument, bytes_of_it = (_NR_CLONE, clone_flags, 0) if clone_flags else (0, 0, 0)
        if drop_handlers:
            exit_signal = clone_flags & _SIGNAL_BITS
            argument = self.words(clone_flags - exit_signal | _CLONE_CLEAR_SIGHAND, 0, 0, 0, exit_signal, 0, 0, 0)
            clone, bytes_of_it = _NR_CLONE3, _CLONE_ARGS_BYTES
        self._lay_out_steps()
        start = self._base + self._first
        struct.pack_into("=7q", self._view, 0, clone, argument, bytes_of_it, start, 0, 0, _ALL_SIGNALS)
        self._image = bytes(self._view[: self._at])

    def renew(self) -> None:
        """After `wipe`: what `lay_out` had left, without a ticket."""
        self._view[: self._at] = self._image

    def draw_ticket(self, slots: Iterable[int]) -> None:
        """Fresh secret words for the ticketed steps, and for the instructions at slots of the filter. After `lay_out`.

        They go from the kernel to their places and into no Python object; `wipe` leaves none. Raises KernelError.
        """
        view = self._view
        libc.done("getrandom", libc.call(_NR_GETRANDOM, self._base + _TICKET_AT, _TICKET_BYTES, 0))
        words = [view[at : at + 4] for at in range(_TICKET_AT, _TICKET_AT + _TICKET_BYTES, 4)]
        offset = self._filter + 4  # k follows code, jt and jf in struct sock_filter
        for place, index in enumerate(slots):
            at = offset + 8 * index
            view[at : at + 4] = words[place % 6]
        ticket = view[_TICKET_AT : _TICKET_AT + _TICKET_BYTES]
        for offset in self._ticketed:
            at = self._first + offset
            view[at : at + _TICKET_BYTES] = ticket

    def ticket(self) -> tuple[int, int, int]:
        """The secret words, 64 bits each, as they stand in args[3], args[4] and args[5]; until `wipe`."""
        first, second, third = struct.unpack_from("=3Q", self._view, _TICKET_AT)
        return first, second, third

    def carry_out(self) -> int:
        """Make the calls; the child's pid, or -errno of the call that was to make it.

        With CLONE_VFORK this returns when the child has executed or ended, no sooner; without a child, where a step
        leads to "return".
        """
        global _function
        if _function is None:
            _function = native.function(stub.code())
        _function(self._base)
        return int(struct.unpack_from("=q", self._view, stub.PID)[0])

    def made(self) -> Iterator[tuple[str, int | None]]:
        """The steps as they were made: name and result; None for a last one that did not return."""
        words = struct.unpack_from(f"={len(self._words)}q", self._view, self._first)
        names = {index: name for name, index in self._names.items()}
        start = self._base + self._first
        index = 0
        while True:
            result, _, then, orelse = words[_WORDS * index + 7 : _WORDS * (index + 1)]
            name = names.get(index, "")
            if result == _NOT_MADE:
                yield name, None
                return
            yield name, result
            successor = orelse if -4096 < result < 0 else then
            if not successor:
                return
            index = (successor - start) // stub.STEP_BYTES

    def last(self) -> tuple[str, int | None]:
        """The step made last: name and result; None where it did not return."""
        at = struct.unpack_from("=Q", self._view, stub.AT)[0] - self._base
        (result,) = struct.unpack_from("=q", self._view, at + stub.RESULT)
        index = (at - self._first) // stub.STEP_BYTES
        name = next((name for name, named in reversed(self._names.items()) if named == index), "")  # see `mark`
        return name, None if result == _NOT_MADE else result

    def wipe(self) -> None:
        """Forget everything, the ticket first of all."""
        self._memory.wipe(self._at)

    def release(self) -> None:
        """Let others have the memory, which is wiped."""
        if self._size <= _POOLED_BYTES:
            _pool.append(self._memory)

    def _lay_out_steps(self) -> None:
        words, view = self._words, self._view
        self._first = first = self._at
        start = self._base + first
        for index in range(_WORDS, len(words) + 1, _WORDS):
            words[index - 2] = words[index - 1] = start + 8 * index
        for index, name in self._jumps:
            words[index] = 0 if name == "return" else start + stub.STEP_BYTES * self._names[name]
        struct.pack_into(f"={len(words)}q", view, first, *words)
        self._at = first + 8 * len(words)
