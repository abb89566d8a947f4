"""How a process is filtered, and by which policy, as far as it can be known."""

from __future__ import annotations

import errno
import os

from sysgate.errors import KernelError, ProofError, SysgateError
from sysgate.kernel import procfs
from sysgate.life import additions, kernel_filters, registry
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.bpf.program import Program
    from sysgate.kernel.procfs import Status
    from sysgate.life.registry import Entry
    from sysgate.policy.ast import Policy

_MODES = {0: "off", 1: "strict", 2: "filter"}
REGISTERED, RECOVERED, KERNEL = "registered", "recovered", "kernel"


class Thread(Value):
    """A thread that stands otherwise than its process's first living one. mode, filters: as of ProcessState."""

    tid: int
    mode: str
    filters: int


class ProcessState(Value):
    """How a process is filtered.

    mode: "off", "strict" (seccomp's own four calls) or "filter". filters: how many (-1: the kernel does not say).
    policy: what they allow together; None where that cannot be known. source: of the policy: "registered" (noted by
    sysgate when it put them in force), "recovered" (from the kernel's own copies) or "kernel" (none is known).
    verified: each registered policy was seen equal to the kernel's copy of its program, the launch ticket zeroed.
    name, how: the policy's files, and what put it in force; "" where not registered. store_bypass, indirect_branch:
    the speculation state in the kernel's words. threads: those that differ. notes: what was not found out.
    """

    pid: int
    comm: str
    uid: int
    mode: str
    filters: int
    no_new_privs: bool
    policy: Policy | None
    source: str
    verified: bool
    name: str
    how: str
    store_bypass: str
    indirect_branch: str
    threads: tuple[Thread, ...]
    notes: tuple[str, ...]


def status(pid: int) -> ProcessState:
    """The state of a process. Raises KernelError ESRCH where there is none.

    As root its thread is stopped for some hundred microseconds, so that the kernel shows its filters.
    """
    return Reporter().of(pid)


class Reporter:
    """Reports on several processes: notes are read once, and equal stacks of filters recovered once.

    recover: whether policies are recovered that nobody has noted. programs: the filters of the last process reported
    on, without what sysgate adds to them; none where the kernel does not show them.
    """

    def __init__(self, *, recover: bool = True) -> None:
        self.programs: tuple[Program, ...] = ()
        self._recovering = recover
        self._notes: dict[int, tuple[Entry, ...]] = {}
        self._recovered: dict[tuple[Program, ...], Policy | str] = {}

    def of(self, pid: int) -> ProcessState:
        """The state of a process. Raises KernelError ESRCH where there is none."""
        from sysgate.decode import escaped

        threads = _living(pid)
        if not threads:
            raise KernelError(errno.ESRCH, f"there is no process {pid}, or it has ended")
        first = threads[0]
        known, notes = _Known(), []
        self.programs = ()
        if first.seccomp == 2:
            found = self._noted(first)
            try:
                programs: tuple[Program, ...] | None = kernel_filters.programs(first.pid)
            except KernelError as error:
                programs = None
                if os.geteuid() == 0 or not found:
                    notes.append(error.message if os.geteuid() == 0 else "only root sees the kernel's filters")
            self.programs = tuple(additions.without(program) for program in programs or ())
            known = self._known(first, found, programs)
        different = tuple(
            Thread(thread.pid, _MODES[thread.seccomp], thread.filters)
            for thread in threads
            if (thread.seccomp, thread.filters) != (first.seccomp, first.filters)
        )
        return ProcessState(
            pid=first.tgid,
            comm=escaped(first.name.decode("utf-8", "surrogateescape")),
            uid=first.uid,
            mode=_MODES.get(first.seccomp, str(first.seccomp)),
            filters=first.filters,
            no_new_privs=first.no_new_privs,
            policy=known.policy,
            source=known.source,
            verified=known.verified,
            name=known.name,
            how=known.how,
            store_bypass=first.store_bypass,
            indirect_branch=first.indirect_branch,
            threads=different,
            notes=(*notes, *known.notes),
        )

    def _noted(self, thread: Status) -> tuple[Entry, ...]:
        """The notes that hold for a thread: its process's own, or those of the next ancestor behind as many filters."""
        looked: Status | None = thread
        while looked is not None and looked.filters == thread.filters:
            if looked.uid not in self._notes:
                self._notes[looked.uid] = registry.entries(looked.uid)
            found = tuple(entry for entry in self._notes[looked.uid] if entry.pid == looked.tgid)
            if found:
                return found
            looked = procfs.status(looked.parent) if looked.parent > 0 else None
        return ()

    def _known(self, thread: Status, entries: Sequence[Entry], programs: tuple[Program, ...] | None) -> _Known:
        by_ordinal = {entry.ordinal: entry for entry in entries}
        policies = {number: policy for number, entry in by_ordinal.items() if (policy := read(entry)) is not None}
        entries = [by_ordinal[number] for number in sorted(policies)]
        name = "; ".join(dict.fromkeys(entry.name for entry in entries))
        how = "; ".join(dict.fromkeys(entry.how for entry in entries))
        if programs is None:
            notes = []
            if policies and len(policies) < thread.filters:
                notes.append(f"of {thread.filters} filters {len(policies)} are known: the others narrow it further")
            joined = _joined([policies[number] for number in sorted(policies)])
            return _Known(joined, REGISTERED if joined else KERNEL, False, name, how, tuple(notes))
        forged = [number for number in policies if not self._equal(by_ordinal[number], policies[number], programs)]
        if policies and not forged and len(policies) == len(programs):
            joined = _joined([policies[number] for number in sorted(policies)])
            if joined:
                return _Known(joined, REGISTERED, True, name, how)
        notes = [f"what is registered as {by_ordinal[number].name} is not what the kernel has" for number in forged]
        recovered = self._recover(self.programs) if self._recovering else None
        if isinstance(recovered, str):
            return _Known(None, KERNEL, False, "", "", (*notes, recovered))
        told = ("", "") if forged else (name, how)
        return _Known(recovered, RECOVERED, False, *told, tuple(notes))

    def _equal(self, entry: Entry, policy: Policy, programs: Sequence[Program]) -> bool:
        return 0 < entry.ordinal <= len(programs) and equal(entry, policy, programs[entry.ordinal - 1])

    def _recover(self, programs: tuple[Program, ...]) -> Policy | str:
        if programs not in self._recovered:
            from sysgate.analyse.decompile import to_policy

            try:
                self._recovered[programs] = to_policy(programs)
            except SysgateError as error:
                self._recovered[programs] = f"the filters cannot be turned into a policy: {error}"
        return self._recovered[programs]


class _Known(Value):
    policy: Policy | None = None
    source: str = KERNEL
    verified: bool = False
    name: str = ""
    how: str = ""
    notes: tuple[str, ...] = ()


def read(entry: Entry) -> Policy | None:
    """The policy of a note; None where its text is none. A note is read without opening what it might include."""
    from sysgate.policy import ast, include, parser
    from sysgate.policy.lexer import Source

    try:
        file, _ = parser.parse_file(Source(entry.text, entry.name))
        if any(isinstance(statement, ast.Include) for statement in file.statements):
            return None
        return include.parse(entry.text, entry.name, entry.dialect)
    except SysgateError:
        return None


def equal(entry: Entry, policy: Policy, program: Program) -> bool:
    """Whether the kernel's program is what sysgate loads for a policy, in the form noted, but for the launch ticket.

    Byte by byte; where a canonical text compiled otherwise than its original, by proof.
    """
    from sysgate.bpf import program as bpf_program
    from sysgate.bpf import ticket
    from sysgate.launch import prepared
    from sysgate.life.attach_program import attachable

    zeroed = ticket.patch(program, (0,) * ticket.WORDS)
    try:
        if entry.form == "attached":
            made = attachable(policy).raw
        else:
            made = prepared.prepare(policy).loadable(entry.form).filter
        return bpf_program.to_bytes(zeroed) == made or _proved(entry.form, policy, zeroed)
    except SysgateError:
        return False


def _proved(form: str, policy: Policy, program: Program) -> bool:
    from sysgate.launch import plan, prepared
    from sysgate.proof import prove
    from sysgate.supervise import leaf

    gate = prepared.prepare(policy).gate
    leaves = {prepared.EXPLAINED: leaf.accepted, prepared.OBSERVED: leaf.observed}
    calls = plan.TICKETED_IN_PLACE if form == prepared.IN_PLACE else plan.TICKETED
    passes = None if form == "attached" else (prepared.native_audit(), calls)
    try:
        prove(gate, program, leaf=leaves.get(form, lambda action: action), ticket=passes)
    except ProofError:
        return False
    return True


def _joined(policies: Sequence[Policy]) -> Policy | None:
    from sysgate.policy.both import both

    if not policies:
        return None
    first, *others = policies
    for other in others:
        try:
            first = both(first, other)
        except SysgateError:  # one asks for what no policy can see
            return None
    return first


def _living(pid: int) -> tuple[Status, ...]:
    found = (procfs.status(pid, tid) for tid in procfs.tasks(pid))
    return tuple(thread for thread in found if thread is not None and not thread.dead)
