"""Three deciders, one answer: the reference meaning, the compiled program, and what the kernel makes of a real process.

Policies and calls are drawn: typed and raw arguments, all operators, values on both sides of every boundary, garbage in
the upper halves.
"""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from policies import calls, policies, words_near
from sysgate import Policy
from sysgate.call import Call
from sysgate.decision import Decision
from sysgate.facts import arches
from sysgate.facts import calls as call_facts

SETTINGS = settings(
    deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
LITTLE = tuple(name for name in arches.ARCHES if name != "s390x")


def answer(decision: Decision) -> tuple[str, int]:
    return decision.action, decision.data


@pytest.mark.parametrize("arch", arches.ARCHES)
def test_reference_and_program_agree_on_every_architecture(arch: str) -> None:
    @settings(SETTINGS, max_examples=12)
    @given(st.data())
    def agree(data: st.DataObject) -> None:
        text = data.draw(policies((arch,)))
        policy = Policy.parse(text)
        program = policy.compile(arch, optimize="fast")
        for call in data.draw(st.lists(calls(text, arch), min_size=20, max_size=40)):
            wanted = answer(policy.decide(call.nr, call.args, arch=arch))
            assert answer(program.decide(call.nr, call.args, arch=arch, ip=1 << 40)) == wanted, f"{text}\n{call!r}"

    agree()


@pytest.mark.parametrize(
    "several", [("x86_64", "i386", "x32"), ("aarch64", "arm"), ("mips64el", "mips64el_n32", "mipsel"), LITTLE]
)
def test_one_program_for_several_architectures_agrees_on_each(several: tuple[str, ...]) -> None:
    @settings(SETTINGS, max_examples=60 // len(several) // 2)
    @given(st.data())
    def agree(data: st.DataObject) -> None:
        text = data.draw(policies(several))
        policy = Policy.parse(text)
        program = policy.compile(list(several), optimize="fast")
        alone = {arch: policy.compile(arch, optimize="fast") for arch in several}
        for arch in several:
            for call in data.draw(st.lists(calls(text, arch), min_size=5, max_size=10)):
                made = answer(program.decide(call.nr, call.args, arch=arch))
                # A number of an ABI that shares the audit value is foreign to the one that is compiled alone.
                if arch != "x32" and not (arch == "x86_64" and call.nr >> 30 == 1):
                    assert made == answer(policy.decide(call.nr, call.args, arch=arch)), f"{text}\n{call!r}"
                    assert made == answer(alone[arch].decide(call.nr, call.args, arch=arch)), f"{text}\n{call!r}"
                elif call.nr >> 30 == 1:
                    assert made == answer(alone["x32"].decide(call.nr, call.args, arch="x32")), f"{text}\n{call!r}"

    agree()


class Kernel:
    """Processes behind filters, and what becomes of their calls. Only x86_64; none of the calls is ever made."""

    MARKER = 4000
    SYSCALL, INT_80 = 0, 1

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def experience(self, filter_: bytes, made: list[Call]) -> list[tuple[str, int]]:
        """For each call ("returned", value), ("trapped", data) or ("died of", signal)."""
        order = struct.pack("I", len(filter_) // 8) + filter_ + struct.pack("I", len(made))
        for call in made:
            order += struct.pack("8Q", self.INT_80 if call.arch == "i386" else self.SYSCALL, call.nr, *call.args)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(order)
        self._process.stdin.flush()
        told = self._process.stdout.read(16 * len(made))
        assert len(told) == 16 * len(made), f"the helper ended: {self._process.poll()}"
        kinds = ("returned", "trapped", "died of")
        return [(kinds[kind], value) for kind, value in struct.iter_unpack("qq", told)]

    def close(self) -> None:
        self._process.communicate()


def expected(decision: Decision) -> tuple[str, int]:
    """What a process sees of an answer; all that the kernel would go on with looks alike here."""
    if decision.action in ("kill_process", "kill_thread"):
        return "died of", signal.SIGSYS
    if decision.action == "trap":
        return "trapped", decision.data
    return "returned", -decision.data if decision.action == "errno" else -Kernel.MARKER


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if os.uname().machine != "x86_64" or compiler is None:
        pytest.skip("needs x86_64 and a C compiler")
    target = tmp_path_factory.mktemp("agreement") / "experience"
    source = Path(__file__).with_name("experience.c")
    subprocess.run([compiler, "-O1", "-mno-red-zone", "-o", target, source], check=True)
    made = Kernel(target)
    yield made
    made.close()


# Its own ABIs, all by one program: `int $0x80` makes i386 calls with the upper halves of the registers as they are.
X86 = ("x86_64", "i386", "x32")


def same(kernel: Kernel, text: str, made: list[Call]) -> None:
    policy = Policy.parse(text)
    program = policy.compile(list(X86), optimize="fast")
    told = kernel.experience(bytes(program), made)
    for call, seen in zip(made, told):
        decision = program.decide(call.nr, call.args, arch=call.arch)
        assert seen == expected(decision), f"{text}\n{call!r}"
        if not (call.arch == "x86_64" and call.nr >> 30 == 1) and not (call.arch == "x32" and call.nr >> 30 != 1):
            assert answer(policy.decide(call.nr, call.args, arch=call.arch)) == answer(decision), f"{text}\n{call!r}"


def test_the_kernel_does_what_reference_and_program_say(kernel: Kernel) -> None:
    @settings(SETTINGS, max_examples=50)
    @given(st.data())
    def agree(data: st.DataObject) -> None:
        text = data.draw(policies(X86))
        made = [call for arch in X86 for call in data.draw(st.lists(calls(text, arch), min_size=8, max_size=12))]
        same(kernel, text, made)

    agree()


# One typed comparison each, asked with every value near its constant: the corners, in numbers.
TYPED = {"lseek": ("fd", 0), "kill": ("pid", 0), "fchmod": ("mode", 1), "munmap": ("len", 1), "close": ("reg0", 0)}
CONSTANTS = (0, 1, -1, 3, 0o777, 0xFFFF, 0x10000, -0x8000_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x1_0000_0000)


@pytest.mark.parametrize("operator", ["==", "!=", "<", "<=", ">", ">=", "in", "&"])
def test_every_operator_at_every_corner_in_the_kernel(kernel: Kernel, operator: str) -> None:
    for call, (name, register) in TYPED.items():
        for constant in CONSTANTS:
            other = f"{{{constant}}}" if operator == "in" else f"({constant})" if operator == "&" else constant
            text = f"deny: errno(7)\n{call}: {name} {operator} {other}\n"
            made = []
            for word in words_near(text):
                args = [0xDEAD_BEEF_0000_0000] * 6
                args[register] = word
                for arch in ("x86_64", "i386"):
                    number = call_facts.number(arch, call)
                    assert number is not None
                    made.append(Call(arch, number, tuple(args)))  # type: ignore[arg-type]
            same(kernel, text, made)


@pytest.mark.parametrize(
    ("text", "args", "seen"),
    [
        ("close: fd == 3 else errno(EACCES)", (3,), ("returned", -4000)),
        ("close: fd == 3 else errno(EACCES)", (0xDEAD_BEEF_0000_0003,), ("returned", -4000)),
        ("close: reg0 == 3 else errno(EACCES)", (0xDEAD_BEEF_0000_0003,), ("returned", -13)),
        ("close: fd == 3 else errno(EACCES)", (4,), ("returned", -13)),
        ("close: fd == 3 else errno(0)", (4,), ("returned", 0)),
        ("close: fd == 3 else errno(4095)", (4,), ("returned", -4095)),
        ("close: fd == 3 else trap(7)", (4,), ("trapped", 7)),
        ("close: fd == 3", (4,), ("died of", 31)),
        ("close: fd == 3 else kill_thread", (4,), ("died of", 31)),
        ("close: fd >= 0 else errno(1)", (0xFFFF_FFFF,), ("returned", -4000)),  # unsigned int fd
        ("kill: pid >= 0 else errno(1)", (0xFFFF_FFFF,), ("returned", -1)),  # pid_t pid
    ],
)
def test_a_row_of_answers_by_the_kernel(
    kernel: Kernel, text: str, args: tuple[int, ...], seen: tuple[str, int]
) -> None:
    number = call_facts.number("x86_64", text.partition(":")[0])
    assert number is not None
    call = Call("x86_64", number, (*args, *(0,) * (6 - len(args))))  # type: ignore[arg-type]
    same(kernel, text, [call])
    program = Policy.parse(text).compile(list(X86), optimize="fast")
    assert kernel.experience(bytes(program), [call]) == [seen]


HARMLESS: dict[str, Callable[[], int]] = {"getpid": os.getpid, "getppid": os.getppid, "getuid": os.getuid}


@settings(SETTINGS, max_examples=12)
@given(
    st.sampled_from(sorted(HARMLESS)),
    st.sampled_from(["1", "0", "0 else errno(EACCES)", "0 else errno(ENOSYS)", "0 else trap"]),
)
@example("getpid", "1")
@example("getuid", "0 else errno(EACCES)")
def test_harmless_calls_really_made_succeed_or_fail_as_the_policy_says(name: str, body: str) -> None:
    """The same without a filter in front: an allowed call does what it does."""
    if os.uname().machine != "x86_64":
        pytest.skip("needs x86_64")
    policy = Policy.parse(f"default: allow\n{name}: {body}\n")
    decision = policy.decide(name, arch="x86_64")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            policy.install()
            value = HARMLESS[name]()
            # These calls cannot fail, so the C library hands on what the kernel said: the errno below 0.
            os.write(write, struct.pack("q", value))
        finally:
            os._exit(0)
    os.close(write)
    told = os.read(read, 8)
    os.close(read)
    status = os.waitpid(child, 0)[1]
    if decision.action in ("trap", "kill_process", "kill_thread"):
        assert os.WTERMSIG(status) == signal.SIGSYS
    else:
        [value] = struct.unpack("q", told)
        if decision.action == "errno":
            assert value & 0xFFFF_FFFF == -decision.data & 0xFFFF_FFFF
        else:
            assert value == {"getpid": child, "getppid": os.getpid(), "getuid": os.getuid()}[name]
