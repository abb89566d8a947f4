"""What prctl(2) answered a task in 2011: modes, filters, and which of the three forms a program speaks.

Nothing here touches a process: memory is read and written through a `World`, and what the kernel is to enforce
comes back as a Gate. Facts: docs/2011.md.
"""

from __future__ import annotations

import errno

from sysgate.action import Action
from sysgate.errors import KernelError
from sysgate.facts import arches, calls
from sysgate.life import event_ids, gates, reading
from sysgate.life.texts import ALWAYS, FORMS, Texts
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from sysgate.facts.arches import Arch
    from sysgate.life.texts import Change, Form
    from sysgate.policy.ruleset import Expr, Gate

    class World(Protocol):
        """The task's memory and rights."""

        def string(self, address: int, limit: int) -> bytes | None:
            """The bytes up to a NUL, or limit of them; None where they cannot be read."""

        def write(self, address: int, data: bytes) -> bool:
            """False where they cannot be written."""

        def privileged(self) -> bool:
            """Whether the task has CAP_SYS_ADMIN."""


GET_MODE, SET_MODE, GET, SET, CLEAR = 21, 22, 35, 36, 37
OPTIONS = (GET_MODE, SET_MODE, GET, SET, CLEAR)
OFF, STRICT, FILTER, FILTER_C = 0, 1, 2, 13
REFUSED = Action("trace", 2011)
"""What a filter of ours answers to a call that is refused: the tracer ends the task; without one it is ENOSYS."""

_ON_EXEC = 1 << 1  # PR_SECCOMP_FLAG_FILTER_ON_EXEC
_FLAGS_END, _ID_END = 4096, 65_536  # below: B's flags, not A's text; C's id, not B's pointer
_CALL_ID, _EVENT_ID = 0, 1
_LONGEST = 4096  # of one filter's text as it is read; the limit is that of Texts
_LONGEST_POLICY = 1 << 16
_NEXT = "on_next_syscall"
# kernel/seccomp.c, mode1_syscalls
_STRICT = {"x86_64": ("read", "write", "exit", "rt_sigreturn"), "i386": ("read", "write", "exit", "sigreturn")}


class Task:
    """One thread's state.

    form: the one it spoke last, None before. arch: that of the calls its filters are for. mode: OFF, STRICT, FILTER or
    FILTER_C. delayed: entered, but all calls pass until an execve that no filter allows. grace: the next one passes.
    """

    def __init__(self, tid: int, tgid: int) -> None:
        self.tid, self.tgid = tid, tgid
        self.form: Form | None = None
        self.arch = "x86_64"
        self.texts = Texts(0)
        self.mode = OFF
        self.delayed = self.grace = False

    def child(self, tid: int, tgid: int) -> Task:
        """A new task that this one begets: a process or a thread."""
        born = Task(tid, tgid)
        born.form = self.form
        if self.mode == OFF and self.form is not None and not self.form.idle_is_inherited:
            return born
        born.arch, born.texts = self.arch, self.texts.copy()
        born.mode, born.delayed = self.mode, self.delayed
        return born


class Asked(Value):
    """A prctl call: the ABI it came by, its option and the words after it."""

    arch: str
    option: int
    words: tuple[int, int, int, int]


class Reply(Value):
    """What prctl is to return. gate: a filter to install first; only then do `result` and `settle` hold.

    notes: what the log says about it, a line each.
    """

    result: int
    gate: Gate | None = None
    settle: Callable[[], None] | None = None
    notes: tuple[str, ...] = ()


def answer(task: Task, asked: Asked, world: World, forced: str | None) -> Reply:
    """The reply to a prctl call whose option is one of OPTIONS. forced: the only form to be spoken: a, b or c."""
    try:
        if asked.option == GET_MODE:
            return Reply(task.mode)
        if asked.option == SET_MODE:
            return _enter(task, asked, world, forced)
        return _Filters(task, asked, world, _form(task, asked, world, forced)).answer()
    except KernelError as error:
        return Reply(-(error.errno or errno.EINVAL))


# ---- entering a mode


def _enter(task: Task, asked: Asked, world: World, forced: str | None) -> Reply:
    mode, given, *_ = asked.words
    if task.mode != OFF:
        return Reply(-errno.EPERM)
    if mode == STRICT:
        return _entered(task, mode, _strict_gate(asked.arch))
    if mode == FILTER and forced != "c":
        is_text = given >= _FLAGS_END if forced is None else forced == "a"
        return _enter_text(task, asked, world) if is_text else _enter_flags(task, asked, given)
    if mode == FILTER_C and forced in (None, "c"):
        _speaks(task, FORMS["c"], asked)
        return _entered(task, mode, _gate(task))
    return Reply(-errno.EINVAL)


def _enter_flags(task: Task, asked: Asked, flags: int) -> Reply:
    _speaks(task, FORMS["b"], asked)
    return _entered(task, FILTER, _gate(task), delayed=bool(flags & _ON_EXEC))


def _enter_text(task: Task, asked: Asked, world: World) -> Reply:
    raw = world.string(asked.words[1], _LONGEST_POLICY)
    if raw is None:
        return Reply(-errno.EFAULT)
    if len(raw) >= _LONGEST_POLICY:
        return Reply(-errno.E2BIG)
    texts, grace, gone = policy(raw, asked.arch)
    notes = tuple(f"{name}: there is no such call here, so that it is never matched" for name in gone)

    def settle() -> None:
        task.form, task.arch, task.texts, task.mode, task.grace = FORMS["a"], asked.arch, texts, FILTER, grace

    return Reply(0, gates.whole(texts, _known(asked.arch), REFUSED), settle, notes)


def policy(raw: bytes, arch: str) -> tuple[Texts, bool, tuple[str, ...]]:
    """Form A's policy: lines `name: filter`; whether `on_next_syscall` is among them; and names that have no effect.

    Those are of calls that this architecture lacks, or that no kernel has any more. Raises KernelError EINVAL for a
    name that was never a call's, and as Texts.set.
    """
    texts, grace = _texts(arch), False
    gone: list[str] = []
    for line in raw.decode("utf-8", "surrogateescape").split("\n"):
        if not line.strip():
            continue
        name, colon, filter = (part.strip() for part in line.partition(":"))
        if not colon:
            raise KernelError(errno.EINVAL, f"`{line}` is no rule")
        if name == _NEXT:
            grace = filter == ALWAYS
            continue
        nr = _entry_point(arch, name)
        if nr is not None:
            texts.set(nr, filter, _reader(arch), FORMS["a"], entered=False)
        elif calls.known(name):
            gone.append(name)
        else:
            raise KernelError(errno.EINVAL, f"{name} is no call")
    return texts, grace, tuple(gone)


def _entry_point(arch: str, name: str) -> int | None:
    # A name with sys_ is the kernel function's before it is a call's: sys_uname is olduname on i386.
    entry = calls.entry_point(arch, name[4:]) if name.startswith("sys_") else None
    call = entry or calls.resolve(arch, name)
    return None if call is None else calls.number(arch, call)


def _entered(task: Task, mode: int, gate: Gate, *, delayed: bool = False) -> Reply:
    def settle() -> None:
        task.mode, task.delayed = mode, delayed

    return Reply(0, gate, settle)


def _gate(task: Task) -> Gate:
    return gates.whole(task.texts, _known(task.arch), REFUSED)


def _strict_gate(arch: str) -> Gate:
    texts = _texts(arch)
    for name in _STRICT[arch]:
        nr = calls.number(arch, name)
        assert nr is not None
        texts.set(nr, ALWAYS, _reader(arch), FORMS["a"], entered=False)
    return gates.whole(texts, _known(arch), REFUSED)


# ---- setting, clearing, getting


def _form(task: Task, asked: Asked, world: World, forced: str | None) -> Form:
    if forced == "a":
        raise KernelError(errno.EINVAL, "form A has no such option")
    if forced is not None:
        return FORMS[forced]
    third, fourth = asked.words[1:3]
    # What cannot be B's is C, also where it fails: a number, or call 0 and then a buffer.
    of_call_0 = asked.option == GET and third == 0 and fourth >= _ID_END
    if task.form is None and asked.option != CLEAR and (0 < third < _ID_END or of_call_0):
        task.form = FORMS["c"]
    spoken = task.form.letter if task.form else None
    if asked.option == CLEAR:
        return FORMS["c" if spoken == "c" else "b"]
    if third == 0 and spoken == "b":  # B's null pointer; C's call 0 comes from programs that speak C
        return FORMS["b"]
    if third >= _ID_END and spoken == "c" and world.string(third, 1) is None:  # C's number out of range
        return FORMS["c"]
    return FORMS["c" if third < _ID_END else "b"]


class _Filters:
    """One call of prctl(35), (36) or (37) in the form it is made in."""

    def __init__(self, task: Task, asked: Asked, world: World, form: Form) -> None:
        self.task, self.asked, self.world, self.form = task, asked, world, form
        if form.letter == "c":
            self.kind, self.id, self.pointer, self.size = asked.words
        else:
            self.kind, self.id, self.pointer, self.size = _CALL_ID, *asked.words[:3]

    def answer(self) -> Reply:
        if self.asked.option == GET:
            return self.get()
        if self.asked.option == CLEAR:
            nr = self.number()
            self.same_word_size()
            _adopts(self.task, self.asked.arch)  # and no form: B's third argument is garbage, it tells nothing
            return self.changed(lambda texts: texts.clear(nr, self.form, privileged=self.privileged()))
        nr, text = self.number(), self.text()
        self.same_word_size()
        _speaks(self.task, self.form, self.asked)
        entered, read = self.task.mode != OFF, _reader(self.asked.arch)
        return self.changed(
            lambda texts: texts.set(nr, text, read, self.form, entered=entered, privileged=self.privileged())
        )

    def get(self) -> Reply:
        if not self.size:
            raise KernelError(errno.EINVAL, "a buffer of no size")
        text = self.task.texts.get(self.number(), self.form).encode("utf-8", "surrogateescape") + b"\0"
        if not self.pointer:
            raise KernelError(errno.EFAULT, "a null pointer")
        if len(text) > self.size:
            raise KernelError(errno.ENOSPC, "the buffer is too small")
        if not self.world.write(self.pointer, text):
            raise KernelError(errno.EFAULT, "not to be written")
        return Reply(0)

    def number(self) -> int:
        if self.kind not in (_CALL_ID, _EVENT_ID):
            raise KernelError(errno.EINVAL, f"{self.kind} is no kind of id")
        if self.id > self.form.last_number:
            raise KernelError(errno.EINVAL, f"{self.id} is out of range")
        if self.kind == _CALL_ID:
            return self.id
        if self.asked.arch != "x86_64":
            raise KernelError(errno.ENOSYS, "events are of 64-bit calls")
        return event_ids.number(self.id, self.asked.arch)

    def text(self) -> str:
        raw = self.world.string(self.pointer, _LONGEST) if self.pointer else None
        if raw is None:
            raise KernelError(errno.EFAULT, "not to be read")
        return raw.decode("utf-8", "surrogateescape")

    def same_word_size(self) -> None:
        if len(self.task.texts) and self.task.arch != self.asked.arch:
            raise KernelError(errno.EACCES, "the filters are of a task of the other word size")

    def privileged(self) -> bool:
        return not self.form.guards_execve or self.world.privileged()

    def changed(self, change: Callable[[Texts], tuple[Change, ...]]) -> Reply:
        if self.task.mode == OFF:
            change(self.task.texts)
            return Reply(0)
        narrowed = self.task.texts.copy()
        changes = change(narrowed)

        def settle() -> None:
            self.task.texts = narrowed

        if not changes:
            settle()
            return Reply(0)
        return Reply(0, gates.narrowing(changes, _known(self.task.arch), REFUSED), settle)


def _speaks(task: Task, form: Form, asked: Asked) -> None:
    task.form = form
    _adopts(task, asked.arch)


def _adopts(task: Task, arch: str) -> None:
    """Let the filters be for calls of this ABI, as long as there are none."""
    if not len(task.texts) and task.mode == OFF and (task.arch != arch or not task.texts.execve):
        touched = task.texts.touched
        task.arch, task.texts = arch, _texts(arch)
        task.texts.touched = touched


def _texts(arch: str) -> Texts:
    return Texts(calls.number(arch, "execve") or 0)


def _reader(arch: str) -> Callable[[int, str], Expr]:
    def read(nr: int, text: str) -> Expr:
        if arch != "x86_64":
            raise KernelError(errno.ENOSYS, "the calls of 32-bit tasks have no argument tables")
        return reading.raw(nr, text, arch)

    return read


def _known(arch: str) -> Arch:
    found = arches.arch(arch)
    assert found is not None
    return found
