"""This process's own filters, call by call, as 2011's prctl(2) had them: set, clear, get, and then only narrower."""

from __future__ import annotations

import errno
from contextlib import contextmanager, suppress

from sysgate.errors import CompileError, KernelError, PolicyError
from sysgate.facts import arches, calls, groups
from sysgate.kernel import seccomp
from sysgate.life import event_ids, gates, reading
from sysgate.life.texts import FORMS, Change, Texts
from sysgate.policy.meaning import holds
from sysgate.policy.ruleset import Compare, Term

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sysgate.action import Action
    from sysgate.policy.ruleset import Expr, Gate

_FORM = FORMS["c"]
_READERS: dict[str, Callable[[int, str, str], Expr]] = {"ftrace": reading.raw, "sysgate": reading.typed}
_SET_MODE_FILTER = 1


class Filters:
    """The filters of the calling process. A call without one is refused, once they are in force.

    Before `apply` filters are added and changed freely. From then on each change is enforced at once, for all threads
    and whatever is started later, by one more seccomp filter of a few instructions; none can be taken back, so a call
    that is denied stays denied. What Python itself needs to go on is @python: `filters.set("@python", "1")`.

    dialect: "ftrace", filters over raw unsigned 64-bit registers, as in 2011; or "sysgate", its own typed expressions.
    refusal: what a refused call meets, written as in a policy: `kill`, `errno(EPERM)`, …

    Errors are KernelError with the errno of 2011's last form: EINVAL (a text or call that is none), EACCES (would
    widen what is in force), ENOENT (no such filter), E2BIG (256 bytes or more), ENOSYS (the arguments are not known),
    EPERM (`apply` twice), ENOSPC; and ENOMEM where the kernel takes no further filter. Nothing has changed then.
    """

    def __init__(self, *, dialect: str = "ftrace", refusal: str = "kill") -> None:
        if dialect not in _READERS:
            raise PolicyError(f"unknown dialect {dialect!r}", hint='there are "ftrace" and "sysgate"')
        here = arches.native()
        if here is None:
            raise KernelError(errno.ENOSYS, "sysgate has no tables for this machine's architecture")
        self._arch = here
        self._read = _READERS[dialect]
        self._refusal = _action(refusal, here.name)
        execve = calls.number(here.name, "execve")
        assert execve is not None  # every Linux has it
        self._texts = Texts(execve)
        self._entered = False
        self._waiting: list[Change] | None = None
        self._fragments: dict[str, tuple[str, ...]] = {}

    def set(self, call: int | str | None = None, filter: str = "", *, event: int | None = None) -> None:
        """Give a call its first filter, or AND one onto what it has.

        call: its number; or its name, which may be an entry point's (`sys_newuname`), with or without `sys_`; or
        "@GROUP", all the calls of a group, or "@python". event: instead, the id of its ftrace event.
        filter: `1` (always), `0` (never) or an expression over the call's arguments.
        """
        numbers = self._numbers(call, event)
        if not isinstance(filter, str):
            raise KernelError(errno.EINVAL, f"{filter!r} is no filter: a filter is text")
        set_one = self._texts.set
        self._undone_on_error(
            lambda: [
                change for nr in numbers for change in set_one(nr, filter, self._expr, _FORM, entered=self._entered)
            ]
        )

    def clear(self, call: int | str | None = None, *, event: int | None = None) -> None:
        """Drop what allows a call: it is refused from now on. EINVAL where it has no filter."""
        numbers = self._numbers(call, event)
        clear_one = self._texts.clear
        self._undone_on_error(lambda: [change for nr in numbers for change in clear_one(nr, _FORM)])

    def get(self, call: int | str | None = None, *, event: int | None = None) -> str:
        """The text of a call's filter now: `(fd == 1 || fd == 2) && (fd != 2)`. ENOENT where it has none."""
        numbers = self._numbers(call, event)
        if len(numbers) != 1:
            raise KernelError(errno.EINVAL, f"{call} is more than one call")
        return self._texts.get(numbers[0], _FORM)

    def apply(self) -> None:
        """Put the filters in force, for every thread of this process and all it starts. EPERM the second time."""
        if self._entered:
            raise KernelError(errno.EPERM, "these filters are in force already")
        program = _program(gates.whole(self._texts, self._arch, self._refusal))
        self._rehearse()
        _load(program)
        self._entered = True

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Several changes enforced as one filter, when the block ends; also where it ends with an error.

        Until then they are not enforced. Raises KernelError where they cannot be; then none of them has happened.
        """
        if self._waiting is not None:
            raise KernelError(errno.EINVAL, "a batch inside a batch")
        before, self._waiting = self._texts.copy(), []
        try:
            yield
        finally:
            changes, self._waiting = self._waiting, None
            try:
                self._enforce(changes, before)
            except BaseException:
                self._texts = before
                raise

    def _numbers(self, call: int | str | None, event: int | None) -> tuple[int, ...]:
        if (call is None) is (event is None):
            raise KernelError(errno.EINVAL, "name one call, by number, name or event")
        if event is not None:
            return (event_ids.number(event, self._arch.name),)
        if isinstance(call, int):
            return (call,)
        if not isinstance(call, str):
            raise KernelError(errno.EINVAL, f"{call!r} is no call")
        if call.startswith("@"):
            return self._group(call)
        known = calls.resolve(self._arch.name, call)
        nr = None if known is None else calls.number(self._arch.name, known)
        if nr is None:
            raise KernelError(errno.EINVAL, f"{self._arch.name} has no call {call}")
        return (nr,)

    def _group(self, name: str) -> tuple[int, ...]:
        members = groups.members(name) or self._fragments.get(name)
        if members is None and not self._entered:  # later no file can be read
            members = self._fragments[name] = _fragment(name)
        if members is None:
            raise KernelError(errno.EINVAL, f"no group is called {name}")
        found = [calls.number(self._arch.name, member) for member in members]
        return tuple(nr for nr in found if nr is not None)

    def _expr(self, nr: int, text: str) -> Expr:
        return self._read(nr, text, self._arch.name)

    def _undone_on_error(self, change: Callable[[], list[Change]]) -> None:
        before = self._texts.copy()
        try:
            self._enforce(change(), before)
        except BaseException:
            self._texts = before
            raise

    def _enforce(self, changes: list[Change], before: Texts) -> None:
        if not self._entered or not changes:
            return
        if self._waiting is not None:
            self._waiting += changes
            return
        if not self._may_load(before):
            raise KernelError(errno.EACCES, "these filters do not allow seccomp(2), which a change takes")
        _load(_program(gates.narrowing(changes, self._arch, self._refusal)))

    def _may_load(self, texts: Texts) -> bool:
        nr = calls.number(self._arch.name, "seccomp")
        entry = None if nr is None else texts.entry(nr)
        words = (_SET_MODE_FILTER, seccomp.FLAGS["tsync"], 0, 0, 0, 0)
        return entry is not None and all(holds(test, words) for test in entry.tests)

    def _rehearse(self) -> None:
        """Do once all that a change after `apply` may do, so that it then reads no module and no table.

        Otherwise the first change, or the first mistyped one, would open files, and meet these filters.
        """
        import sysgate

        for name in _CAUGHT:  # the face loads a name when first asked for: `except sysgate.KernelError` opens files
            getattr(sysgate, name)
        event_ids.events()
        groups.members("@known")
        for nr, _ in self._texts.entries():
            for text in _REHEARSED:
                with suppress(KernelError):
                    self._expr(nr, text)
        with suppress(KernelError):
            self._numbers("no_such_call", None)
        test = Compare(Term("reg0", 64, False, (0,)), "==", 1)
        _program(gates.narrowing((Change(0, test), Change(1, None)), self._arch, self._refusal))


_CAUGHT = ("KernelError", "PolicyError", "SysgateError")
# Right in one dialect or the other, or wrong in one of the ways that look something up.
_REHEARSED = (
    *("reg0 == 1", "reg0 == F_GETFD", "reg0 == FIONREAD", "(reg0 & O_DIRECT) != 0", "reg0 in {1..2}"),
    *("reg0 == NO_SUCH_CONSTANT", "no_such_argument == 1", "fd == cmd", "("),
)


def _load(program: bytes) -> None:
    try:
        seccomp.load(program, seccomp.FLAGS["tsync"])
    except KernelError as error:
        if error.errno != errno.ENOMEM:
            raise
        why = "the kernel takes no more filters of this process; `batch` makes one of several changes"
        raise KernelError(errno.ENOMEM, why) from error


def _program(gate: Gate) -> bytes:
    from sysgate.bpf import program as bpf_program
    from sysgate.compiler import compile
    from sysgate.proof import prove

    try:
        made = compile(gate, optimize="fast")
    except CompileError as error:
        raise KernelError(errno.ENOMEM, f"too much for one seccomp program: {error}") from error
    prove(gate, made)
    return bpf_program.to_bytes(made)


def _action(text: str, arch: str) -> Action:
    from sysgate.policy import include, resolve

    policy = include.parse(f"default: {text}\n", "<refusal>")
    answer = resolve.resolve(policy, arch).segments[0].answer
    if answer.kind in resolve.NO_REFUSAL:
        raise PolicyError(f"`{text}` refuses nothing", hint="kill, kill_thread, trap or errno(…)")
    return answer


def _fragment(name: str) -> tuple[str, ...]:
    """The calls that a ready policy names, `@python` for one. Raises KernelError EINVAL where there is none."""
    from sysgate.policy import ast, include

    try:
        rules = include.load(name).rules
    except PolicyError as error:
        raise KernelError(errno.EINVAL, f"no group and no ready policy is called {name}") from error
    return tuple(head.name for rule in rules for head in rule.heads if isinstance(head, ast.Name))
