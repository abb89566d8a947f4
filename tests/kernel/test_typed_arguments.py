"""The real kernel uses of each argument just the bits the tables say: garbage above them changes nothing.

Every call of x86_64 with an argument narrower than its register is made with garbage above that argument's bits
(typed_probes.py), and must do what it does without; and the argument must matter, or the call proves nothing. What
cannot be probed harmlessly is listed here, with the reason.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from sysgate.facts import calls, prototypes

Seen = Mapping[str, Mapping[str, Mapping[str, object]]]

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the probes speak x86_64")

NEVER = {
    "delete_module": "needs CAP_SYS_MODULE of the machine, and takes modules away",
    "finit_module": "needs CAP_SYS_MODULE of the machine, and loads code into the kernel",
    "kexec_file_load": "needs CAP_SYS_BOOT of the machine, and replaces the kernel to boot",
    "reboot": "stops the machine, or the first process of a pid namespace",
}
SILENT = {
    "lsm_set_self_attr.attr": "no security module here answers, whatever the attribute",
    "membarrier.cpu_id": "a processor that does not exist is no error: membarrier_private_expedited() returns 0",
    "quotactl.id": "reaches the file system only where quotas are on",
    "quotactl_fd.id": "reaches the file system only where quotas are on",
}
ROOT_ONLY = {"bpf", "setfsgid", "setfsuid", "setgroups", "syslog"}

# Words of 64 bits, by the tables, whose upper half the kernel drops nevertheless. A filter that compares them with
# `==` refuses more than it might; one that denies a value can be passed by garbage. Named in docs/facts.md.
DROPPED = {
    "fcntl.arg": "an int to F_DUPFD and its kin, a pointer to others: fs/fcntl.c, do_fcntl()",
    "kcmp.idx1": "a descriptor to KCMP_FILE, which takes 32 bits: kernel/kcmp.c, get_file_raw_ptr()",
    "kcmp.idx2": "likewise",
    "keyctl.arg2": "a key's number to most options, 32 bits: security/keys/keyctl.c",
    "mmap.flags": "unknown flags are ignored, those of the upper half among them: mm/mmap.c, do_mmap()",
    "preadv.vlen": "lib/iov_iter.c, import_iovec() counts in 32 bits",
    "preadv2.vlen": "import_iovec()",
    "process_madvise.vlen": "import_iovec()",
    "process_vm_readv.liovcnt": "import_iovec()",
    "process_vm_writev.liovcnt": "import_iovec()",
    "pwritev.vlen": "import_iovec()",
    "pwritev2.vlen": "import_iovec()",
    "readv.vlen": "import_iovec()",
    "semctl.arg": "an int to SETVAL, a pointer to others: ipc/sem.c",
    "vmsplice.nr_segs": "import_iovec()",
    "writev.vlen": "import_iovec()",
}


def narrow(name: str) -> list[str]:
    """The arguments of a call that do not fill their register."""
    prototype = prototypes.prototype(name, "x86_64")
    if prototype is None or not prototype.implemented:
        return []
    return [argument.name for argument in prototype.args or () if argument.bits < 64]


NARROW = [name for name in calls.table("x86_64") if narrow(name)]


@pytest.fixture(scope="module")
def kernel() -> Seen:
    """What the kernel did with every probe: call → argument → what was seen."""
    program = Path(__file__).with_name("typed_probes.py")
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, dict[str, object]]] = {}
    for line in done.stdout.splitlines():
        found.update(json.loads(line))
    if "" in found:
        pytest.skip(str(found[""]))
    return found


def test_every_narrow_argument_is_probed_or_listed_with_its_reason() -> None:
    program = Path(__file__).with_name("typed_probes.py").read_text()
    unprobed = [name for name in NARROW if f'    "{name}": P(' not in program]
    assert sorted(unprobed) == sorted(NEVER)
    assert sum(len(narrow(name)) for name in NARROW) > 480


@pytest.mark.parametrize("name", [name for name in NARROW if name not in NEVER])
def test_garbage_above_the_bits_in_use_changes_nothing(name: str, kernel: Seen) -> None:
    if name not in kernel and name in ROOT_ONLY and os.geteuid() != 0:
        pytest.skip("only the machine's root may make this call")
    for argument in narrow(name):
        seen = kernel[name][argument]
        assert seen["changed"] == [], f"{name}.{argument}"
        if seen["differs"] is None and f"{name}.{argument}" not in SILENT:
            answers = {str(answer).split(",")[0] for answer in seen["plain"]}  # type: ignore[attr-defined]
            if answers == {"-38"}:
                pytest.skip(f"this kernel has no {name}")
            if name == "pkey_free":
                pytest.skip("this processor has no protection keys")
            pytest.fail(f"no value of {argument} made a difference to {name}: {seen['plain']}")


def test_a_listed_argument_is_one_no_probe_shows(kernel: Seen) -> None:
    for listed in SILENT:
        name, _, argument = listed.partition(".")
        assert kernel[name][argument]["differs"] is None, listed


def test_a_full_word_of_the_tables_is_a_full_word_to_the_kernel_but_for_those_listed(kernel: Seen) -> None:
    dropped = {
        f"{name}.{argument}"
        for name, arguments in kernel.items()
        for argument, seen in arguments.items()
        if seen["bits"] == 64 and seen["differs"] is not None and not seen["changed"]
    }
    assert sorted(dropped) == sorted(DROPPED)
