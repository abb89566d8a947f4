"""`sysgate run --strict`: the kernel's own mode 1 (read, write, exit, sigreturn), entered when a program has started.

Mode 1 refuses execve and whatever a C library does before main, so it cannot be entered before the program runs. A
tracer lets through what a program's start is known to call; the first other call is turned into
prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT), and then made again. From there on the tracer is gone.
"""

from __future__ import annotations

import errno
import os
import signal

from sysgate.errors import KernelError
from sysgate.facts import calls
from sysgate.kernel import procfs, ptrace, syscall_stop
from sysgate.launch import search
from sysgate.launch.foreground import NOT_EXECUTABLE, NOT_FOUND, NoProgramError
from sysgate.launch.job import Job
from sysgate.life.abi import abi_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.kernel.syscall_stop import SyscallStop

_OPTIONS = ptrace.O_TRACEEXEC | ptrace.O_TRACESYSGOOD | ptrace.O_EXITKILL
_PR_SET_SECCOMP, _STRICT = 22, 1
_INSTRUCTION = 2  # bytes of `syscall` and of `int 0x80`
DEBUG_ADDRESS, DEBUG_CONTROL = 848, 904  # offsets of u_debugreg[0] and [7] in struct user, x86-64
EXECUTION_ENABLED = 1  # in DR7: stop where the address in DR0 is executed, this thread only

# What glibc and musl call between a program's entry point and main; and what ld.so calls before that.
BEFORE_MAIN = (
    *("brk", "arch_prctl", "set_thread_area", "set_tid_address", "set_robust_list", "rseq", "prlimit64", "ugetrlimit"),
    *("readlink", "readlinkat", "getrandom", "mprotect", "uname"),
)
IN_LOADER = (
    *BEFORE_MAIN,
    *("open", "openat", "read", "pread64", "close", "fstat", "fstat64", "newfstatat", "statx", "access", "faccessat"),
    *("mmap", "mmap2", "munmap"),
)


def run(argv: Sequence[str | bytes]) -> int:
    """Run a program in mode 1; its exit code, as a shell has it (137 where mode 1 ended it).

    Raises NoProgramError where it cannot be executed, KernelError where it cannot be traced or the kernel does not
    enter mode 1 (it stands behind a filter already); then it did not get beyond its start.
    """
    words = [os.fsencode(word) for word in argv]
    job = Job()
    pid = _started(words, job.blocked)
    job.started(pid)
    try:
        ended = _Start(pid).sealed()
    except BaseException:
        _kill(pid)
        raise
    if ended is None:
        job.wait()
        return job.code
    code = os.waitstatus_to_exitcode(ended)
    return code if code >= 0 else 128 - code


def _started(argv: list[bytes], blocked: int) -> int:
    """The program's process, traced, at its first instruction."""
    go_reads, go_writes = os.pipe()
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go_writes)
        _become(argv, blocked, go_reads, writes)
    os.close(go_reads)
    os.close(writes)
    try:
        ptrace.seize(pid, _OPTIONS)
        os.write(go_writes, b"g")
        status = ptrace.wait(pid)
        while os.WIFSTOPPED(status) and ptrace.event(status) != ptrace.EVENT_EXEC:
            ptrace.resume(pid)
            status = ptrace.wait(pid)
        if not os.WIFSTOPPED(status):
            raise _not_executed(argv[0], os.read(reads, 16))
    except KernelError as error:
        if not isinstance(error, NoProgramError):
            _kill(pid)
        raise
    finally:
        os.close(go_writes)
        os.close(reads)
    return pid


def _become(argv: list[bytes], blocked: int, go: int, failed: int) -> None:
    # In the child; does not return.
    try:
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # by Python
            signal.signal(ignored, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [n for n in range(1, 65) if blocked >> (n - 1) & 1])
        number = errno.EPERM
        if os.read(go, 1):
            number = errno.ENOENT
            for path in search.candidates(argv[0]):
                try:
                    os.execv(path, argv)
                except ValueError:
                    pass  # Python executes no program without a name; neither does anyone
                except OSError as error:
                    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                        number = error.errno or errno.EIO
        os.write(failed, str(number).encode())
    finally:
        os._exit(NOT_FOUND)


def _not_executed(program: bytes, said: bytes) -> NoProgramError:
    number = int(said or errno.EPERM)
    code = NOT_FOUND if number == errno.ENOENT else NOT_EXECUTABLE
    return NoProgramError(OSError(number, os.strerror(number)), code, program)


class _Start:
    """A program between its first instruction and the call that ends its start."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._abi = abi_of(ptrace.registers(pid))
        auxv = procfs.auxv(pid)
        loaded = bool(auxv.get(procfs.AT_BASE))
        self._passes = self._numbers(IN_LOADER if loaded else BEFORE_MAIN)
        self._in_loader = loaded
        if loaded:
            ptrace.poke_user(pid, DEBUG_ADDRESS, auxv[procfs.AT_ENTRY])
            ptrace.poke_user(pid, DEBUG_CONTROL, EXECUTION_ENABLED)

    def _numbers(self, names: Sequence[str]) -> frozenset[int]:
        found = (calls.number(self._abi.name, name) for name in names)
        return frozenset(nr for nr in found if nr is not None)

    def sealed(self) -> int | None:
        """None once the program is in mode 1 and untraced; its wait status where it ended before."""
        ptrace.resume_to_syscall(self._pid)
        while True:
            status = ptrace.wait(self._pid)
            if not os.WIFSTOPPED(status):
                return status
            number, event = os.WSTOPSIG(status), ptrace.event(status)
            if number == ptrace.SYSCALL_STOP:
                stop = syscall_stop.at(self._pid)
                if stop.kind == syscall_stop.ENTRY and stop.nr not in self._passes:
                    self._seal(stop)
                    return None
            elif event == ptrace.EVENT_STOP and number != signal.SIGTRAP:  # stopped, until a SIGCONT
                ptrace.listen(self._pid)
                continue
            elif number == signal.SIGTRAP and not event and self._in_loader:
                self._at_entry()
                number = 0
            ptrace.resume_to_syscall(self._pid, 0 if event or number == ptrace.SYSCALL_STOP else number)

    def _at_entry(self) -> None:
        self._in_loader = False
        self._passes = self._numbers(BEFORE_MAIN)
        ptrace.poke_user(self._pid, DEBUG_CONTROL, 0)

    def _seal(self, stop: SyscallStop) -> None:
        """Enter mode 1 in place of the call at hand, and have that made again."""
        saved = ptrace.registers(self._pid)
        changed = list(saved)
        changed[ptrace.ORIG_RAX] = self._abi.numbers["prctl"]
        for register, value in zip(self._abi.words, (_PR_SET_SECCOMP, _STRICT)):
            changed[register] = value
        ptrace.set_registers(self._pid, changed)
        ptrace.resume_to_syscall(self._pid)
        ptrace.wait(self._pid)
        result = ptrace.registers(self._pid)[ptrace.RAX]
        if result:
            why = "does it stand behind a filter already?"
            raise KernelError(-result & 0xFFF, f"the kernel does not put the program into strict mode; {why}")
        saved[ptrace.RIP] -= _INSTRUCTION
        saved[ptrace.RAX] = stop.nr
        ptrace.set_registers(self._pid, saved)
        ptrace.detach(self._pid)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
