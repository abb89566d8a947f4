"""One filter string for one event, as the kernel's engine takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sysgate.errors import PolicyError, SysgateError
from sysgate.policy.ftrace import fields, parser
from sysgate.policy.ftrace.chars import SPACE
from sysgate.policy.ftrace.predicate import Record
from sysgate.policy.ftrace.text import Text

_WORD = (1 << 64) - 1


class Filter:
    """A filter that the kernel would take for a system call's enter event.

    event: `sys_enter_openat`; or a call or entry point by name (`openat`, `sys_newfstat`), whose prototype names the
    fields where the kernel has no such event. text: what would be written to the event's `filter` file: spaces
    around it do not count, a NUL ends it, and `0` alone means no filter, so that everything matches.
    arch: whose registers; None: this machine's, x86_64 where unknown. cpus: how many processors `CPUS{…}` may name;
    None: as many as this kernel is prepared for. file, line, column, source: where the text stands, for errors.

    Raises PolicyError where the kernel says no (EINVAL, for some mistakes EPERM, ENOENT or ESRCH), beginning with
    the words the kernel writes to tracing/error_log, where it writes any. Source: Linux 6.18, trace_events_filter.c.
    """

    def __init__(
        self,
        event: str,
        text: str,
        *,
        arch: str | None = None,
        cpus: int | None = None,
        file: str | None = None,
        line: int | None = 1,
        column: int = 1,
        source: str | None = None,
    ) -> None:
        _must_be("an event", event, str)
        _must_be("a filter", text, str)
        _must_be("arch", arch, str, type(None))
        _must_be("cpus", cpus, int, type(None))
        read = Text(text, file=file, line=line, column=column, source=source)
        try:
            self.event = fields.event(event, arch or _native())
        except PolicyError as error:
            raise read.error(error.message, 0, len(read.data), error.hint) from None
        self.text = text
        self.cut = read.cut
        self.everything = read.data.lstrip(bytes(SPACE)) == b"0"
        self.steps: tuple[parser.Step, ...] = ()
        if not self.everything:
            self.steps = parser.parse(read, self.event, cpus)

    def match(
        self,
        words: Sequence[int],
        *,
        comm: str | None = None,
        cpu: int | None = None,
        common: Mapping[str, int] | None = None,
        strings: Mapping[str, bytes | None] | None = None,
    ) -> bool:
        """Whether a call with these registers passes.

        words: up to six raw registers, modulo 2**64; missing ones are 0. comm, cpu: the task's name and processor.
        common: values of `common_pid` and its like. strings: what a string argument points at, None for unreadable
        memory; without `.ustring` the kernel never reads a task's memory, and the test is false.
        Raises SysgateError where the answer depends on something that was not given.
        """
        if self.everything:
            return True
        record = self._record(words, comm, cpu, common, strings)
        answers: list[bool | None] = []
        for step in self.steps:
            if not isinstance(step, str):
                answers.append(step.holds(record))
            elif step == "not":
                last = answers.pop()
                answers.append(None if last is None else not last)
            else:
                right, left = answers.pop(), answers.pop()
                answers.append(_both(left, right) if step == "and" else _either(left, right))
        if answers[0] is None:
            asked = ", ".join(self._unknown(record))
            raise SysgateError(f"whether `{self.text}` matches depends on {asked}: give it to match")
        return answers[0]

    def _record(
        self,
        words: Sequence[int],
        comm: str | None,
        cpu: int | None,
        common: Mapping[str, int] | None,
        strings: Mapping[str, bytes | None] | None,
    ) -> Record:
        _must_be("registers", words, Sequence)
        if len(words) > fields.MAX_REGISTERS:
            raise SysgateError(f"a call has six registers, not {len(words)}")
        for word in words:
            _must_be("a register", word, int)
        _must_be("comm", comm, str, type(None))
        _must_be("cpu", cpu, int, type(None))
        _must_be("common", common, Mapping, type(None))
        for value in (common or {}).values():
            _must_be("a common field", value, int)
        _must_be("strings", strings, Mapping, type(None))
        for string in (strings or {}).values():
            _must_be("a string of the task's memory", string, bytes, type(None))
        filled = tuple(word & _WORD for word in words) + (0,) * (fields.MAX_REGISTERS - len(words))
        try:
            name = None if comm is None else comm.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise SysgateError(f"{comm!r} can be no task's name") from None
        return Record(filled, self.event.nr, name, cpu, common, strings)

    def _unknown(self, record: Record) -> list[str]:
        asked = [step for step in self.steps if not isinstance(step, str)]
        return sorted({step.field.name for step in asked if step.holds(record) is None})

    def __repr__(self) -> str:
        return f"Filter({self.event.name!r}, {self.text!r})"


def _must_be(what: str, value: object, *kinds: type) -> None:
    if not isinstance(value, kinds):
        named = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
        raise SysgateError(f"{what}: {named} is wanted, not {type(value).__name__}")


def _native() -> str:
    from sysgate.facts import arches

    found = arches.native()
    return found.name if found else "x86_64"


def _both(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def _either(left: bool | None, right: bool | None) -> bool | None:
    if left is True or right is True:
        return True
    return None if left is None or right is None else False
