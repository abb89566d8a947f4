"""The filters of one task as 2011 kept them: a text for each call, narrowed by `&&`, and what a change answers.

Facts of the three forms of that interface: docs/2011.md. Errors are KernelError with that form's errno.
"""

from __future__ import annotations

import errno

from sysgate.errors import KernelError
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sysgate.policy.ruleset import Expr

    Reader = Callable[[int, str], Expr]

ALWAYS = "1"
MAX_TEXT = 256  # MAX_FILTER_STR_VAL, the NUL included
_SPACES = " \t\n\v\f\r"
_INT_MAX = (1 << 31) - 1


class Form(Value):
    """What differs between the postings of 2011.

    letter: a, b or c. mode: what PR_GET_SECCOMP says once it is entered. joined: how an old and a new text become
    one. one_extends: whether `1` may narrow a call that has a filter. one_is_replaced: whether a filter that comes to
    a `1` takes its place. most, too_many: how many calls may have filters, and the error beyond. clear_absent: the
    error for clearing what is not there, 0 for none. get_from_nothing: the error for asking before any filter was set.
    last_number: the highest call number that is taken. guards_execve: without CAP_SYS_ADMIN a filter for execve is
    refused, and dropped at every change. idle_is_inherited: whether a fork takes filters along before they are entered.
    """

    letter: str
    mode: int
    joined: str
    one_extends: bool
    one_is_replaced: bool
    most: int
    too_many: int
    clear_absent: int
    get_from_nothing: int
    last_number: int
    guards_execve: bool
    idle_is_inherited: bool


# A knew no single changes; where a program makes them all the same, they are B's, which followed two weeks later.
# Numbers: B took those below NR_syscalls (548 on x86_64 with x32), C whatever an int holds.
_B = Form("b", 2, "({old}) && {new}", True, False, 511, errno.EINVAL, 0, errno.ENOENT, 547, False, True)
_A = Form("a", 2, "({old}) && {new}", True, False, 511, errno.EINVAL, 0, errno.ENOENT, 547, False, True)
_C = Form(
    "c", 13, "({old}) && ({new})", False, True, 65_535, errno.ENOSPC, errno.EINVAL, errno.EINVAL, _INT_MAX, True, False
)
FORMS = {form.letter: form for form in (_A, _B, _C)}


class Entry(Value):
    """A call's filter: the text as built, and the tests that must all hold (none: it always passes)."""

    text: str
    tests: tuple[Expr, ...]


class Change(Value):
    """What a change takes away: the calls with this number for which `test` does not hold; None: all of them."""

    nr: int
    test: Expr | None


class Texts:
    """One task's filters. Mutable; `copy` gives a child its own.

    execve: that call's number on the task's architecture.
    """

    def __init__(self, execve: int) -> None:
        self.execve = execve
        self.touched = False
        self._entries: dict[int, Entry] = {}

    def copy(self) -> Texts:
        """The same filters, independent from now on."""
        other = Texts(self.execve)
        other.touched, other._entries = self.touched, dict(self._entries)
        return other

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, nr: int) -> bool:
        return nr in self._entries

    def entries(self) -> Iterator[tuple[int, Entry]]:
        """Every call that has a filter, by number."""
        return iter(sorted(self._entries.items()))

    def entry(self, nr: int) -> Entry | None:
        """The filter of one call; None where it has none."""
        return self._entries.get(nr)

    def set(
        self, nr: int, text: str, read: Reader, form: Form, *, entered: bool, privileged: bool = True
    ) -> tuple[Change, ...]:
        """Give a call its first filter, or narrow the one it has; what that takes away.

        read: the expression of a text other than `1`, for a call by number; raises KernelError.
        entered: a mode is on, and calls without a filter stay without. privileged: the task has CAP_SYS_ADMIN.
        Raises KernelError: EINVAL, EPERM, EACCES, E2BIG, ENOSYS, and ENOSPC for too many; nothing has changed then.
        """
        self._check_number(nr, form)
        if form.guards_execve and nr == self.execve and not privileged:
            raise _refusal(errno.EPERM, "a filter for execve takes CAP_SYS_ADMIN")
        text = text.strip(_SPACES)
        if not text:
            raise _refusal(errno.EINVAL, "an empty text is no filter")
        old = self._entries.get(nr)
        added: tuple[Expr, ...] = ()
        if old is None:
            self._entries[nr] = self._first(text, read, form, nr, entered=entered)
        else:
            self._entries[nr], added = self._narrowed(old, text, read, form, nr)
        self.touched = True
        return tuple(Change(nr, test) for test in added) + self._without_execve(form, privileged)

    def _first(self, text: str, read: Reader, form: Form, nr: int, *, entered: bool) -> Entry:
        if entered:
            raise _refusal(errno.EACCES, "the filters are in force: a call that is denied stays denied")
        if len(self) >= form.most:
            raise _refusal(form.too_many, f"there are {form.most} filters already")
        _check_length(text)
        return Entry(text, _tests(nr, text, read))

    def _narrowed(self, old: Entry, text: str, read: Reader, form: Form, nr: int) -> tuple[Entry, tuple[Expr, ...]]:
        if text == ALWAYS and not form.one_extends:
            raise _refusal(errno.EINVAL, "`1` narrows nothing")
        replaced = form.one_is_replaced and old.text == ALWAYS
        merged = text if replaced else form.joined.format(old=old.text, new=text)
        _check_length(merged)
        added = _tests(nr, text, read)
        return Entry(merged, old.tests + added), added

    def clear(self, nr: int, form: Form, *, privileged: bool = True) -> tuple[Change, ...]:
        """Take a call's filter away: it is denied; what that takes away. Raises KernelError EINVAL."""
        self._check_number(nr, form)
        if nr not in self._entries:
            if form.clear_absent:
                raise _refusal(form.clear_absent, "there is no such filter")
            self.touched = True
            return ()
        del self._entries[nr]
        return (Change(nr, None), *self._without_execve(form, privileged))

    def get(self, nr: int, form: Form) -> str:
        """The text now in force. Raises KernelError: ENOENT without a filter, EINVAL."""
        self._check_number(nr, form)
        if not self.touched:
            raise _refusal(form.get_from_nothing, "no filter was ever set")
        if nr not in self._entries:
            raise _refusal(errno.ENOENT, "there is no such filter")
        return self._entries[nr].text

    def _without_execve(self, form: Form, privileged: bool) -> tuple[Change, ...]:
        if not form.guards_execve or privileged or self._entries.pop(self.execve, None) is None:
            return ()
        return (Change(self.execve, None),)

    def _check_number(self, nr: int, form: Form) -> None:
        if not 0 <= nr <= form.last_number:
            raise _refusal(errno.EINVAL, f"{nr} is no call's number")


def _tests(nr: int, text: str, read: Reader) -> tuple[Expr, ...]:
    return () if text == ALWAYS else (read(nr, text),)


def _check_length(text: str) -> None:
    if len(text.encode("utf-8", "replace")) >= MAX_TEXT:  # what is no character is one byte of the program's
        raise _refusal(errno.E2BIG, f"a filter has at most {MAX_TEXT - 1} bytes")


def _refusal(number: int, why: str) -> KernelError:
    return KernelError(number, why)
