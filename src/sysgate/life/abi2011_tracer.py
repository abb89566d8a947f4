"""The one tracer of a program of 2011: answers its prctl calls, puts its filters in force, ends what they refuse.

The kernel enforces: a refused call is RET_TRACE of a real filter. While this tracer lives it ends the task by SIGKILL,
as 2011 did (a filter's own kill is SIGSYS); without it the call is ENOSYS, and EXITKILL ends the task besides.
At a filter's stop a call can be changed. What it becomes passes the filters once more, and "trace" then lets it pass
(kernel/seccomp.c, __seccomp_filter with recheck_after_trace): so the tracer can make calls that the program may not.
"""

from __future__ import annotations

import errno
import os
import signal
import struct
import tempfile

from sysgate.decode import escaped
from sysgate.errors import CompileError, KernelError
from sysgate.facts import calls
from sysgate.facts.arches import by_audit
from sysgate.kernel import memory, procfs, procmap, ptrace, signals, syscall_stop, writing
from sysgate.life import abi2011_gate, abi2011_prctl, abi2011_proc
from sysgate.life.abi2011_prctl import Asked, Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sysgate.kernel.syscall_stop import SyscallStop
    from sysgate.life.abi2011_prctl import Reply
    from sysgate.policy.ruleset import Gate

OPTIONS = (
    ptrace.O_TRACESYSGOOD
    | ptrace.O_TRACEFORK
    | ptrace.O_TRACEVFORK
    | ptrace.O_TRACECLONE
    | ptrace.O_TRACEEXEC
    | ptrace.O_EXITKILL
    | syscall_stop.TRACESECCOMP
)
_BIRTHS = (ptrace.EVENT_FORK, ptrace.EVENT_VFORK, ptrace.EVENT_CLONE)
_STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_WORD = (1 << 64) - 1
_RED_ZONE = 128  # below the stack pointer; System V ABI of x86-64
_INSTRUCTION = 2  # bytes of `syscall` and of `int 0x80`
_SET_MODE_FILTER = 1
_CAP_SYS_ADMIN = 1 << 21
_SKIP = _WORD  # as number -1: the call is not made, and rax is what it returns
# Where an ABI passes a call's words, and whether they have 32 bits.
_REGISTERS = {
    "x86_64": (ptrace.RDI, ptrace.RSI, ptrace.RDX, ptrace.R10, ptrace.R8, ptrace.R9),
    "i386": (ptrace.RBX, ptrace.RCX, ptrace.RDX, ptrace.RSI, ptrace.RDI, ptrace.RBP),
}


class Traced:
    """A thread as the tracer sees it.

    task: its state of 2011; None until its parent's stop has told whose child it is. parent: that parent's process.
    then: what to do at its next exit from a call; while it is set, or `watched`, the thread stops at every entry and
    exit. retried: what to do when the open that it was made to repeat is done. passing: the call at hand passes
    whatever the filters say.
    """

    def __init__(self, tid: int, task: Task | None, parent: int = 0) -> None:
        self.tid, self.task, self.parent = tid, task, parent
        self.then: Callable[[], None] | None = None
        self.retried: Callable[[], None] | None = None
        self.watched = self.passing = False


class Tracer:
    """Traces `main` and all its descendants until none is left.

    forced: the only form that is spoken, None to tell by the arguments. log: takes the lines about refusals.
    ended: is called with main's wait status; stopped: with the signal that stopped main.
    """

    def __init__(
        self,
        main: int,
        forced: str | None,
        *,
        log: Callable[[str], None],
        ended: Callable[[int], None],
        stopped: Callable[[int], None],
    ) -> None:
        self._main, self._forced = main, forced
        self._log, self._ended, self._stopped = log, ended, stopped
        self._threads = {main: Traced(main, Task(main, main))}
        self._reader = memory.Reader()
        self._programs: dict[Gate, bytes] = {}

    def serve(self) -> None:
        """Until nobody is left to trace. The first thread is traced already, with OPTIONS."""
        while self._threads:
            try:
                tid, status = ptrace.wait_any()
            except ChildProcessError:
                return
            if os.WIFSTOPPED(status):
                try:
                    self._stop(tid, status)
                except KernelError as error:
                    if error.errno != errno.ESRCH:  # killed meanwhile: its end is reported next
                        raise
            else:
                self._end(tid, status)

    # ---- stops

    def _stop(self, tid: int, status: int) -> None:
        thread = self._threads.get(tid)
        if thread is None:  # a child's first stop may come before its parent's; it waits
            found = procfs.status(tid)
            self._threads[tid] = Traced(tid, None, found.parent if found else 0)
            return
        if thread.task is None:
            return
        number, event = os.WSTOPSIG(status), ptrace.event(status)
        if number == ptrace.SYSCALL_STOP:
            self._at_call(thread)
        elif event == syscall_stop.EVENT_SECCOMP:
            self._at_filter(thread, thread.task, syscall_stop.at(tid))
        elif event in _BIRTHS:
            self._born(thread.task, ptrace.event_message(tid), event)
            self._go(thread)
        elif event == ptrace.EVENT_EXEC:
            self._executed(thread, ptrace.event_message(tid))
            self._go(thread)
        elif event == ptrace.EVENT_STOP and number in _STOPS:
            if tid == self._main:
                self._stopped(number)
            ptrace.listen(tid)
        elif event:
            self._go(thread)
        else:
            self._go(thread, number)

    def _go(self, thread: Traced, signal: int = 0) -> None:
        resume = ptrace.resume_to_syscall if thread.then or thread.watched else ptrace.resume
        try:
            resume(thread.tid, signal)
        except KernelError as error:
            if error.errno != errno.ESRCH:  # killed meanwhile: its end is reported next
                raise

    def _born(self, parent: Task, tid: int, event: int) -> None:
        found = procfs.status(tid) if event == ptrace.EVENT_CLONE else None
        waiting = tid in self._threads
        self._threads[tid] = born = Traced(tid, parent.child(tid, found.tgid if found else tid))
        if waiting:
            self._go(born)

    def _end(self, tid: int, status: int) -> None:
        ended = self._threads.pop(tid, None)
        if tid == self._main:
            self._ended(status)
        if ended is None or ended.task is None:
            return
        process = ended.task.tgid
        if any(thread.task is not None and thread.task.tgid == process for thread in self._threads.values()):
            return
        # Killed while it was about to say whose parent it is.
        for orphan in [thread for thread in self._threads.values() if thread.task is None and thread.parent == process]:
            orphan.task = ended.task.child(orphan.tid, orphan.tid)
            self._go(orphan)

    def _executed(self, thread: Traced, before: int) -> None:
        # A thread that executes becomes its process's leader and takes that number; the others are gone.
        if before != thread.tid and before in self._threads:
            own = self._threads.pop(before)
            assert own.task is not None
            own.task.tid = own.task.tgid = thread.tid
            thread.task, thread.watched, thread.passing = own.task, own.watched, own.passing
        for tid, other in list(self._threads.items()):
            if tid != thread.tid and other.task is not None and other.task.tgid == thread.tid:
                del self._threads[tid]

    # ---- entries and exits, where a thread is watched

    def _at_call(self, thread: Traced) -> None:
        kind = syscall_stop.at(thread.tid).kind
        if kind == syscall_stop.EXIT:
            then, thread.then = thread.then, None
            if then is not None:
                then()
            if thread.passing and thread.retried is None:
                thread.passing = thread.watched = False
        elif thread.watched and thread.then is None and thread.task is not None and thread.task.grace:
            thread.task.grace, thread.passing = False, True
        self._go(thread)

    # ---- a filter's stop

    def _at_filter(self, thread: Traced, task: Task, stop: SyscallStop) -> None:
        if thread.retried is not None:  # the second open, of the file that stands for it
            thread.then, thread.retried = thread.retried, None
        elif stop.data == abi2011_prctl.REFUSED.data:
            self._refused(thread, task, stop)
        elif stop.data == abi2011_gate.SPEAKS:
            self._spoken(thread, task, stop)
        elif stop.data == abi2011_gate.OPENS:
            self._opening(thread, task, stop)
        elif stop.data == abi2011_gate.NEWER:
            self._skip(thread, -errno.ENOSYS)
        elif stop.data == abi2011_gate.UNTRACED:
            self._clone_traced(thread, stop)
        self._go(thread)

    def _refused(self, thread: Traced, task: Task, stop: SyscallStop) -> None:
        arch = _abi(stop)
        if thread.passing and arch == task.arch:
            return
        if task.delayed and arch == task.arch:
            if stop.nr == task.texts.execve:
                task.delayed = False
            return
        self._log(_line(task, stop))
        if thread.tid != task.tgid:
            self._end_thread(thread, arch)
            return
        self._skip(thread, -errno.ENOSYS)
        signals.to_thread(task.tgid, thread.tid, signal.SIGKILL)

    def _end_thread(self, thread: Traced, arch: str) -> None:
        # do_exit(SIGKILL) of 2011 ended the thread that called and no other.
        registers = ptrace.registers(thread.tid)
        registers[ptrace.ORIG_RAX] = calls.number(arch, "exit") or 0
        registers[_REGISTERS[arch][0]] = signal.SIGKILL
        ptrace.set_registers(thread.tid, registers)

    def _skip(self, thread: Traced, result: int) -> None:
        registers = ptrace.registers(thread.tid)
        registers[ptrace.ORIG_RAX], registers[ptrace.RAX] = _SKIP, result & _WORD
        ptrace.set_registers(thread.tid, registers)

    def _clone_traced(self, thread: Traced, stop: SyscallStop) -> None:
        registers = ptrace.registers(thread.tid)
        registers[_REGISTERS[_abi(stop)][0]] &= ~abi2011_gate.CLONE_UNTRACED
        ptrace.set_registers(thread.tid, registers)

    # ---- prctl

    def _spoken(self, thread: Traced, task: Task, stop: SyscallStop) -> None:
        arch = _abi(stop)
        mask = _WORD if arch == "x86_64" else 0xFFFF_FFFF
        option, *words = (word & mask for word in stop.args[:5])
        option = option & 0xFFFF_FFFF
        asked = Asked(arch, option, (words[0], words[1], words[2], words[3]))
        reply = abi2011_prctl.answer(task, asked, _World(self._reader, thread.tid, mask), self._forced)
        for note in reply.notes:
            self._log(f"sysgate: {note}")
        if reply.gate is None:
            self._skip(thread, reply.result)
        else:
            self._install(thread, task, stop, reply)

    def _install(self, thread: Traced, task: Task, stop: SyscallStop, reply: Reply) -> None:
        """Turn the prctl call at hand into the seccomp(2) call that puts the filter in force."""
        assert reply.gate is not None
        try:
            program = self._program(reply.gate)
        except CompileError as error:
            self._log(f"sysgate: {error}")
            self._skip(thread, -errno.ENOMEM)
            return
        arch = _abi(stop)
        borrowed = self._borrow(thread.tid, stop, arch, lambda address: _sock_fprog(program, address, arch))
        if borrowed is None:
            self._log(f"sysgate: the stack of thread {thread.tid} has no room for {len(program)} bytes of filter")
            self._skip(thread, -errno.ENOMEM)
            return
        saved, address, old = borrowed
        registers = list(saved)
        registers[ptrace.ORIG_RAX] = calls.number(arch, "seccomp") or 0
        for register, value in zip(_REGISTERS[arch], (_SET_MODE_FILTER, 0, address)):
            registers[register] = value
        ptrace.set_registers(thread.tid, registers)

        def installed() -> None:
            result = ptrace.registers(thread.tid)[ptrace.RAX]
            writing.write(thread.tid, address, old)
            if result == 0:
                result = reply.result
                if reply.settle is not None:
                    reply.settle()
                thread.watched = task.grace
            saved[ptrace.RAX] = result & _WORD
            ptrace.set_registers(thread.tid, saved)

        thread.then = installed

    def _program(self, gate: Gate) -> bytes:
        if gate not in self._programs:
            from sysgate.bpf import program as bpf_program
            from sysgate.compiler import compile
            from sysgate.proof import prove

            made = compile(gate, optimize="fast")
            prove(gate, made)
            self._programs = {gate: bpf_program.to_bytes(made)}  # the last is the one a program's children ask for
        return self._programs[gate]

    def _borrow(
        self, tid: int, stop: SyscallStop, arch: str, content: Callable[[int], bytes]
    ) -> tuple[list[int], int, bytes] | None:
        """Put bytes below a thread's stack: its registers, their address, and what was there; None without room."""
        size = len(content(0))
        address = (stop.sp - _RED_ZONE - size) & ~15
        stack = procmap.mapping_of(tid, stop.sp)
        if stack is None or address < stack.low or (arch == "i386" and stop.sp >> 32):
            return None
        old = self._reader.stretch(tid, address, size)
        if len(old) < size or not writing.write(tid, address, content(address)):
            return None
        return ptrace.registers(tid), address, old

    # ---- /proc/self/seccomp_filter

    def _opening(self, thread: Traced, task: Task, stop: SyscallStop) -> None:
        arch = _abi(stop)
        at_directory = stop.nr == calls.number(arch, "openat")
        dirfd = struct.unpack("=i", struct.pack("=I", stop.args[0] & 0xFFFF_FFFF))[0] if at_directory else -100
        path = self._reader.string(thread.tid, stop.args[int(at_directory)])
        if path is None or not path.endswith(abi2011_proc.NAME):
            return
        named = abi2011_proc.whose(path, dirfd, thread.tid, task.tgid)
        other = None if named is None else self._threads.get(named)
        if other is None or other.task is None:
            return
        content = abi2011_proc.listing(other.task)
        thread.then = lambda: self._opened(thread, stop, int(at_directory), content)

    def _opened(self, thread: Traced, stop: SyscallStop, argument: int, content: str) -> None:
        """The kernel has answered the open: where it knows no such file, let it open ours."""
        registers = ptrace.registers(thread.tid)
        if registers[ptrace.RAX] != -errno.ENOENT & _WORD:
            return
        arch = _abi(stop)
        file = _file(content)
        try:
            borrowed = self._borrow(thread.tid, stop, arch, lambda _: os.fsencode(file) + b"\0")
        except KernelError:
            _forget(file)
            raise
        if borrowed is None:
            _forget(file)
            return
        saved, address, old = borrowed
        again = list(saved)
        again[ptrace.RIP] -= _INSTRUCTION
        again[ptrace.RAX] = stop.nr
        again[_REGISTERS[arch][argument]] = address
        ptrace.set_registers(thread.tid, again)
        # The thread goes back to user code to repeat its call: no handler may run before that.
        status = procfs.status(thread.tid, thread.tid)
        mask = status.blocked if status else 0
        ptrace.block_signals(thread.tid, _WORD)

        def handed_over() -> None:
            _forget(file)
            ptrace.block_signals(thread.tid, mask)
            writing.write(thread.tid, address, old)
            saved[ptrace.RAX] = ptrace.registers(thread.tid)[ptrace.RAX]
            ptrace.set_registers(thread.tid, saved)

        thread.retried = handed_over


class _World:
    """A stopped thread's memory and rights, for `abi2011_prctl`."""

    def __init__(self, reader: memory.Reader, tid: int, mask: int) -> None:
        self._reader, self._tid, self._mask = reader, tid, mask

    def string(self, address: int, limit: int) -> bytes | None:
        found = b""
        while len(found) < limit:
            part = self._reader.string(self._tid, address + len(found) & self._mask)
            if part is None:
                return None
            found += part
            if len(part) < memory.PATH_MAX:
                end = self._reader.read(self._tid, address + len(found) & self._mask, 1)
                return found[:limit] if end == b"\0" else None
        return found[:limit]

    def write(self, address: int, data: bytes) -> bool:
        return writing.write(self._tid, address, data)

    def privileged(self) -> bool:
        raw = procfs.read(self._tid, "status") or b""
        for line in raw.splitlines():
            if line.startswith(b"CapEff:"):
                return bool(int(line.split()[1], 16) & _CAP_SYS_ADMIN)
        return False


def _abi(stop: SyscallStop) -> str:
    return by_audit(stop.arch)[0].name


def _line(task: Task, stop: SyscallStop) -> str:
    """What 2011's kernel log said of a refusal."""
    nr = stop.nr & 0xFFFF_FFFF
    where = f"ip:{stop.ip:x}" if task.form is not None and task.form.letter == "b" else f"0x{stop.ip:x}"
    name = abi2011_proc.entry_point(_abi(stop), nr)
    comm = escaped(procfs.comm(task.tid).decode("utf-8", "surrogateescape"))
    return f"{comm}[{task.tid}]: system call {nr} ({name}) blocked at {where}"


def _sock_fprog(program: bytes, address: int, arch: str) -> bytes:
    # struct sock_fprog and the instructions behind it: u16 len, and a pointer of the ABI's size.
    if arch == "i386":
        return struct.pack("=HxxIQ", len(program) // 8, address + 16 & 0xFFFF_FFFF, 0) + program
    return struct.pack("=H6xQ", len(program) // 8, address + 16) + program


def _file(content: str) -> str:
    # Readable for whatever user the program has become; only its path must not be guessed before it is opened.
    folder = tempfile.mkdtemp(prefix="sysgate-")
    os.chmod(folder, 0o711)
    path = os.path.join(folder, "seccomp_filter")
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(content)
    os.chmod(path, 0o444)
    return path


def _forget(path: str) -> None:
    os.unlink(path)
    os.rmdir(os.path.dirname(path))
