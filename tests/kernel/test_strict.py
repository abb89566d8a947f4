"""`sysgate run --strict`, the kernel's own mode 1, and the policy that says the same."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import sysgate

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/strict.policy"
KILLED = 128 + signal.SIGKILL
Wrap = Callable[[Sequence[str]], list[str]]

PROGRAM = r"""
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv) {
	const char *what = argc > 1 ? argv[1] : "";
	if (!strcmp(what, "seccomp"))
		return 0; /* the C library ends with exit_group */
	write(1, "hello\n", 6);
	if (!strcmp(what, "wait"))
		read(0, (char[1]){0}, 1);
	if (!strcmp(what, "open"))
		syscall(SYS_open, "/dev/null", 0);
	if (!strcmp(what, "segv")) {
		char *nowhere = 0;
		*nowhere = 1;
	}
	syscall(SYS_exit, 3);
}
"""


@pytest.fixture(scope="module", params=["dynamic", "static"])
def program(request: pytest.FixtureRequest) -> Iterator[Path]:
    """The program above, where an ordinary user can reach it."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    with tempfile.TemporaryDirectory(prefix="sysgate-strict-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        (folder / "p.c").write_text(PROGRAM)
        options = ["-static"] if request.param == "static" else []
        if subprocess.run([compiler, *options, "-w", "-o", folder / "p", folder / "p.c"], check=False).returncode:
            pytest.skip(f"this compiler cannot link it {request.param}")
        yield folder / "p"


@pytest.fixture
def strict(as_user: Wrap) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = as_user([sys.executable, "-m", "sysgate", "run", "--strict", "--", *words])
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run


CASES = [
    ("", "hello\n", 3),
    ("open", "hello\n", KILLED),
    ("seccomp", "", KILLED),  # exit is allowed, exit_group is not
    ("segv", "hello\n", 128 + signal.SIGSEGV),
]


@pytest.mark.parametrize(("what", "said", "code"), CASES)
def test_a_program_in_mode_1_reads_writes_and_exits(
    strict: Callable[..., subprocess.CompletedProcess[str]], program: Path, what: str, said: str, code: int
) -> None:
    done = strict(str(program), what)
    assert (done.stdout, done.returncode, done.stderr) == (said, code, "")


def test_it_is_the_kernels_mode_1_and_no_tracer_stays(program: Path, as_user: Wrap) -> None:
    command = as_user([sys.executable, "-m", "sysgate", "run", "--strict", "--", str(program), "wait"])
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "hello\n"
    child = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
    status = dict(line.split(":\t") for line in Path(f"/proc/{child}/status").read_text().splitlines() if ":\t" in line)
    assert (status["Seccomp"], status["TracerPid"]) == ("1", "0")
    process.communicate("x", timeout=30)
    assert process.returncode == 3


def test_what_cannot_be_executed_is_127_or_126(strict: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert strict("/no/such/program").returncode == 127
    assert strict("/etc/passwd").returncode == 126


BEHIND = """
import sys
import sysgate
from sysgate.life import strict
sysgate.Policy.parse("default: allow").install()
strict.run(sys.argv[1:])
"""


def test_behind_a_filter_it_is_refused_and_nothing_runs(as_user: Wrap, program: Path) -> None:
    command = as_user([sys.executable, "-c", BEHIND, str(program)])
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == ""
    assert "KernelError: the kernel does not put the program into strict mode" in done.stderr


MODE_1 = {"x86_64": {0, 1, 60, 15}, "i386": {3, 4, 1, 119}, "aarch64": {63, 64, 93, 139}, "s390x": {3, 4, 1, 119}}


@pytest.mark.parametrize("arch", MODE_1)
def test_the_example_policy_allows_the_same_calls(arch: str) -> None:
    policy = sysgate.Policy.load(EXAMPLE)
    allowed = {nr for nr in range(1024) if policy.decide(nr, arch=arch).action == "allow"}
    assert allowed == MODE_1[arch]
