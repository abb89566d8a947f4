"""The ticket: a launch passes a filter that would refuse it, and nobody else does."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

import sysgate
from sysgate.launch import child, prepared, search
from sysgate.launch.plan import TICKETED, Plan
from sysgate.launch.process import run

# What /bin/true needs before and after main, and nothing of what a launch needs but exit_group.
TRUE = """
brk, arch_prctl, set_tid_address, set_robust_list, rseq, prlimit64, readlink, getrandom, mprotect, read, close: 1
fstat, newfstatat, mmap, munmap, pread64, access, openat: 1
"""
LAUNCH = ("execve", "seccomp", "prctl", "sendmsg", "recvmsg", "clone", "clone3", "vfork", "close_range", "rt_sigaction")


@pytest.mark.parametrize("explain", [False, True])
@pytest.mark.parametrize("answer", ["kill", "kill_thread", "errno(EPERM)", "errno(0)", "trap"])
def test_a_policy_that_refuses_every_call_of_a_launch_starts_its_program(answer: str, explain: bool) -> None:
    policy = sysgate.Policy.parse(f"default: {answer}\n{TRUE}\nexit_group: 1\n")
    done = run(["/bin/true"], policy, explain=explain, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert {denial.call.name for denial in done.denials}.isdisjoint(LAUNCH)


@pytest.mark.parametrize("explain", [False, True])
def test_a_policy_that_allows_nothing_at_all_starts_its_program_and_kills_it(explain: bool) -> None:
    assert run(["/bin/true"], sysgate.Policy.parse("getpid: 0"), explain=explain).returncode == -31


@pytest.mark.parametrize("explain", [False, True])
@pytest.mark.parametrize(("program", "error"), [("/nonexistent", FileNotFoundError), ("/etc/passwd", PermissionError)])
def test_what_cannot_be_executed_is_told_from_behind_a_policy_that_allows_nothing(
    program: str, error: type[OSError], explain: bool
) -> None:
    with pytest.raises(error) as caught:
        run([program], sysgate.Policy.parse("getpid: 0"), explain=explain)
    assert caught.value.filename == program


# Each tries to execute once more; a ticket in its arguments is guessed. Prints what execve answers.
GUESS = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
path = ctypes.create_string_buffer(b"/bin/true")
argv = (ctypes.c_char_p * 2)(b"true", None)
for words in ((0, 0, 0), (2**64 - 1,) * 3, (1, 2, 3), (2**32, 0, 0), (0, 0, 2**32)):
    libc.syscall(NR, path, argv, None, *map(ctypes.c_ulong, words))
    print(errno.errorcode[ctypes.get_errno()], flush=True)
os.execv("/bin/true", ["true"])
"""


@pytest.mark.parametrize("explain", [False, True])
def test_a_later_execve_gets_the_policys_own_answer_whatever_its_spare_arguments(explain: bool) -> None:
    policy = sysgate.Policy.parse("default: allow\nexecve, execveat: 0 else errno(ENOSR)\n")
    code = GUESS.replace("NR", "59")
    done = run([sys.executable, "-c", code], policy, explain=explain, capture_output=True, text=True)
    assert done.stdout == "ENOSR\n" * 5
    assert f"[Errno {errno.ENOSR}]" in done.stderr
    assert sum(denial.count for denial in done.denials) == (6 if explain else 0)


@pytest.mark.parametrize("explain", [False, True])
def test_a_later_execve_is_killed_where_the_policy_kills(explain: bool) -> None:
    policy = sysgate.Policy.parse("default: allow\nexecve: 0 else kill\n")
    done = run(["sh", "-c", "exec true"], policy, explain=explain)
    assert done.returncode == -31


def test_children_get_the_policys_answer_to_execve_too() -> None:
    policy = sysgate.Policy.parse("default: allow\nexecve: 0 else errno(EACCES)\n")
    done = run(
        ["sh", "-c", "(true); (exec true); echo $?; true; echo $?; env true; echo $?"], policy, capture_output=True
    )
    assert done.stdout == b"126\n0\n126\n"


# A static program that prints the registers execve left it: any ticket word would stand in r10, r8 or r9.
REGISTERS = r"""
typedef unsigned long word;
static word seen[16];
__attribute__((noreturn, used)) void show(void) {
    word result;
    __asm__ volatile("syscall" : "=a"(result) : "0"(1L), "D"(1L), "S"(seen), "d"(sizeof seen) : "rcx", "r11", "memory");
    __asm__ volatile("syscall" : : "a"(231L), "D"(0L));
    __builtin_unreachable();
}
__asm__(".globl _start\n_start:\n"
    "mov %rax, seen(%rip)\n mov %rbx, seen+8(%rip)\n mov %rcx, seen+16(%rip)\n mov %rdx, seen+24(%rip)\n"
    "mov %rsi, seen+32(%rip)\n mov %rdi, seen+40(%rip)\n mov %rbp, seen+48(%rip)\n mov %r8, seen+56(%rip)\n"
    "mov %r9, seen+64(%rip)\n mov %r10, seen+72(%rip)\n mov %r11, seen+80(%rip)\n mov %r12, seen+88(%rip)\n"
    "mov %r13, seen+96(%rip)\n mov %r14, seen+104(%rip)\n mov %r15, seen+112(%rip)\n and $-16, %rsp\n call show\n");
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_no_register_carries_the_ticket_into_the_program(tmp_path: Path) -> None:
    source, program = tmp_path / "registers.c", tmp_path / "registers"
    source.write_text(REGISTERS)
    subprocess.run(["cc", "-O1", "-nostdlib", "-static", "-no-pie", "-o", program, source], check=True)
    done = run([program], sysgate.Policy.parse("write: fd == 1\nexit_group: 1\n"), capture_output=True)
    assert done.returncode == 0
    assert done.stdout == bytes(128)


def loadable(text: str) -> prepared.Loadable:
    return prepared.prepare(sysgate.Policy.parse(text)).loadable(prepared.NATIVE)


def test_nothing_is_left_of_the_ticket_in_the_launchers_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    from sysgate.launch.orders import Orders

    drawn: list[bytes] = []
    used: list[Orders] = []
    draw = Orders.draw_ticket

    def watched(self: Orders, *args: object) -> None:
        draw(self, *args)  # type: ignore[arg-type]
        drawn.append(bytes(self._view[56:80]))
        used.append(self)

    monkeypatch.setattr(Orders, "draw_ticket", watched)
    policy = sysgate.Policy.parse(f"default: kill\n{TRUE}\nexit_group: 1\n")
    for launched in (policy, policy, sysgate.Policy.parse(str(policy))):
        assert run(["/bin/true"], launched, explain=False).returncode == 0
    assert len(set(drawn)) == 3  # another ticket every time
    assert all(any(ticket[at : at + 4] != bytes(4) for at in range(0, 24, 4)) for ticket in drawn)
    for orders in used:
        assert not any(orders._view[: orders._at])
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb") as memory:
        for line in maps:
            low, high = (int(part, 16) for part in line.split()[0].split("-"))
            if "rw" in line.split()[1] and high - low < 1 << 26:
                memory.seek(low)
                try:
                    content = memory.read(high - low)
                except OSError:
                    continue
                found = sum(content.count(ticket[8:]) for ticket in drawn)
                assert found <= sum(1 for ticket in drawn if ticket in content), line  # only this test's own copies


@pytest.mark.parametrize("kwargs", [{}, {"flags": (child.NEW_LISTENER,)}, {"hold": True}], ids=str)
def test_a_filter_that_was_not_given_its_ticket_stops_the_launch_itself(
    kwargs: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Fails closed, even where exit_group is refused to it.
    made = loadable("default: errno(EPERM)\ngetpid: 0")
    monkeypatch.setattr(child, "Orders", Untold)
    with pytest.raises(child.NotStartedError) as caught:
        child.start(Plan((b"true",), search.candidates(b"true")), made, **kwargs)  # type: ignore[arg-type]
    assert caught.value.errno == errno.EPERM


class Untold(child.Orders):
    """Orders whose filter gets other words than its steps."""

    def draw_ticket(self, slots: Iterable[int]) -> None:
        super().draw_ticket(slots)
        for offset in self._ticketed:
            at = self._first + offset
            self._view[at : at + 24] = os.urandom(24)


@pytest.mark.parametrize("number", sorted(TICKETED))
def test_each_ticketed_call_is_refused_without_the_ticket(number: int) -> None:
    code = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.syscall({number}, -1, 0, 0, 7, 7, 7), ctypes.get_errno())
"""
    name = {46: "sendmsg", 47: "recvmsg", 59: "execve", 231: "exit_group"}[number]
    policy = sysgate.Policy.parse(f"default: allow\n{name}: 0 else errno(ENOSR)\n")
    done = run([sys.executable, "-c", code], policy, explain=False, capture_output=True, text=True)
    assert done.stdout == f"-1 {errno.ENOSR}\n"


def test_root_and_user_launch_alike(as_user: Callable[[Sequence[str]], list[str]]) -> None:
    code = f"""
import sysgate
from sysgate.launch.process import run
policy = sysgate.Policy.parse('''default: kill\n{TRUE}\nexit_group: 1''')
for explain in (False, True):
    print(run(["/bin/true"], policy, explain=explain).returncode)
show = ["cat", "/proc/self/status"]
status = run(show, sysgate.Policy.parse("default: allow"), capture_output=True, text=True).stdout
print([line.split()[1] for line in status.splitlines() if line.startswith(("NoNewPrivs", "Seccomp"))])
"""
    done = subprocess.run(as_user([sys.executable, "-c", code]), capture_output=True, text=True)
    needed = "0" if as_user([]) == [] and os.geteuid() == 0 else "1"
    assert done.stdout == f"0\n0\n['{needed}', '2', '1']\n", done.stderr


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")
def test_a_launch_works_while_it_is_traced(tmp_path: Path) -> None:
    code = f"""
import sysgate
from sysgate.launch.process import run
policy = sysgate.Policy.parse('''default: kill\n{TRUE}\nexit_group: 1''')
print(run(["/bin/true"], policy, explain=False).returncode, run(["/bin/true"], policy).returncode)
"""
    argv = ["strace", "-f", "-o", str(tmp_path / "trace"), sys.executable, "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.stdout == "0 0\n", done.stderr


@pytest.mark.parametrize(
    "refused", ["ptrace", "process_vm_readv", "pidfd_open", "memfd_create", "process_vm_readv, pidfd_open"]
)
def test_a_launch_works_where_its_own_process_is_narrowed(refused: str) -> None:
    code = f"""
import sysgate
from sysgate.launch.process import run
policy = sysgate.Policy.parse('''default: kill\n{TRUE}\nexit_group: 1''')
run(["/bin/true"], policy)  # its launch code is mapped by now
sysgate.Policy.parse("default: allow\\n" + {refused!r} + ": 0 else errno(EPERM)\\n").install()
print(run(["/bin/true"], policy, explain=False).confined, run(["/bin/true"], policy).returncode)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "True 0\n", done.stderr
