"""Every program that other tools made comes back as a policy, proved equal and about as long as its source."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sysgate.analyse import decompile
from sysgate.bpf.program import Program, from_bytes
from sysgate.errors import BpfError
from sysgate.policy import printer, resolve
from sysgate.policy.include import parse
from sysgate.proof import prove

# First letters, enough to cut the corpus into pieces.
TOOLS = (
    *("a", "chromium", "chrony", "d", "firefox", "firej", "fl", "kafel", "libseccomp", "lxc"),
    *("m", "o", "p", "q", "r", "s", "v"),
)
# Only for architectures that no table has: big-endian mips.
UNKNOWN = {"docker-default-mips64-O1", "docker-default-mips64-O2"}


def programs_of(shared, start=""):
    for path in sorted(shared("conformance/programs").glob(f"{start}*.json")):
        about = json.loads(path.read_text())
        raw = path.with_suffix(".bpf").read_bytes()
        yield about, Program(from_bytes(raw, big_endian=False).insns, about["data_endian"] == "big")


def arches_for(about):
    """None, or for a program that tests no architecture the one it was made for."""
    return None if about["arch_checks"] else [about["target"]]


@pytest.mark.parametrize("start", TOOLS)
def test_every_program_comes_back_proved_and_stays_so_in_canonical_form(shared, start):
    longer = [tool for tool in TOOLS if tool != start and tool.startswith(start)]
    seen = 0
    for about, program in programs_of(shared, start):
        if about["name"].startswith(tuple(longer)):
            continue
        seen += 1
        if about["name"] in UNKNOWN:
            with pytest.raises(BpfError, match="which no table has"):
                decompile.to_policy([program])
            continue
        policy = decompile.to_policy([program], arches_for(about))  # proves it, or raises
        again = parse(printer.text(policy), "again")
        assert again == policy, about["name"]
        gate = resolve.gate([resolve.resolve(again, arch) for arch in again.named])
        prove(gate, program, audits=tuple(audit for audit, _ in gate.entries))
    assert seen


def test_the_tools_are_all_there(shared):
    names = [path.stem for path in shared("conformance/programs").glob("*.json")]
    assert len(names) == 331
    assert all(name.startswith(TOOLS) for name in names)


@pytest.mark.parametrize("tool", ["systemd", "firejail"])
def test_every_stack_that_a_tool_installs_comes_back_as_one_policy(shared, tool):
    known = {about["name"]: program for about, program in programs_of(shared, tool)}
    stacks = [entry["programs"] for entry in json.loads(shared(f"conformance/{tool}/compiled.json").read_text())]
    whole = [names for names in stacks if len(names) > 1 and all(name in known for name in names)]
    assert len(whole) > 15
    for names in whole:
        decompile.to_policy([known[name] for name in names])


# ---- rule lines


def rules_of_minijail(path: Path) -> int:
    count = 0
    for line in re.sub(r"\\\n", "", path.read_text()).splitlines():
        words = line.split("#")[0].split()
        if words and words[0] == "@include":
            name = Path(words[1]).name
            found = next((path.with_name(one) for one in (name, f"test__{name}") if path.with_name(one).exists()), None)
            count += rules_of_minijail(found) if found else 0
        elif words and ":" in line and not words[0].startswith("@"):
            count += 1
    return count


def rules_of_kafel(path: Path) -> int:
    text = path.read_text()
    if path.suffix == ".cfg":
        text = "\n".join(re.findall(r'seccomp_string:\s*"(.*)"', text))
    lines = re.sub(r"//.*", "", text).splitlines()
    frame = re.compile(r"\s*(POLICY|USE|#define|\}|[A-Z_]+(\(.*\))?\s*\{\s*$)")
    return sum(bool(line.strip()) and not frame.match(line) for line in lines)


def rules_of_source(path: Path) -> int:
    if "minijail" in path.parts:
        return rules_of_minijail(path)
    if "kafel" in path.parts:
        return rules_of_kafel(path)
    if "oci" in path.parts:
        return len(json.loads(path.read_text())["syscalls"])
    if "libseccomp-sim" in path.parts:
        return len(json.loads(path.read_text())["rules"])
    return sum(bool(line.strip()) and not line.startswith("#") for line in path.read_text().splitlines())


# What the source need not say: that x32's numbers pass under a deny-list, or (23) that each word size has its own test.
LONGER = {
    "kafel-samples__sample_empty_not_kill-x86_64": 1,
    "libseccomp-01-sim-allow": 1,
    "libseccomp-23-sim-arch_all_le_basic": 8,
    "libseccomp-23-sim-arch_all_le_basic-O2": 8,
    "libseccomp-28-sim-arch_x86": 2,
    "libseccomp-35-sim-negative_one": 2,
    "libseccomp-40-sim-log": 1,
    "libseccomp-41-sim-syscall_priority_arch": 2,
}


def test_a_program_comes_back_in_at_most_one_and_a_half_times_its_rules(shared):
    compared = 0
    for about, program in programs_of(shared):
        if "policy" not in about or about["name"] in UNKNOWN:
            continue
        text = decompile.to_text([program], arches_for(about))
        lines = [line for line in text.splitlines() if line and not line.startswith(("[", "default:", "deny:"))]
        source = rules_of_source(shared("conformance") / about["policy"])
        assert len(lines) <= max(1.5 * source, LONGER.get(about["name"], 0)), f"{about['name']}: {source} rules\n{text}"
        compared += 1
    assert compared > 170


GOLDEN = {
    "openssh-sshd-preauth": """\
[x86_64]
default: kill_thread
brk, clock_gettime, clock_nanosleep, close, exit, exit_group, futex, geteuid, getpgid, getpid, getrandom, gettid, \
gettimeofday, getuid, madvise, mremap, munmap, nanosleep, poll, ppoll, pselect6, read, rt_sigprocmask, select, \
shutdown, time, write, writev: 1
mmap, mprotect: (prot & ~(PROT_READ|PROT_WRITE)) == 0
fstat, lstat, newfstatat, open, openat, shmat, shmdt, shmget, stat, statx: 0 else errno(EACCES)
""",
    "minijail-minijail__examples__cat-bst": """\
[x86_64]
default: kill_thread
close, exit_group, fadvise64, fstat, mseal, open, openat, read, restart_syscall, rt_sigreturn, write: 1
mmap: (prot & (PROT_WRITE|PROT_EXEC)) != (PROT_WRITE|PROT_EXEC)
""",
}


@pytest.mark.parametrize("name", GOLDEN)
def test_what_comes_back_reads_as_a_person_would_have_written_it(shared, name):
    ((_, program),) = programs_of(shared, name)
    assert decompile.to_text([program]) == GOLDEN[name]
