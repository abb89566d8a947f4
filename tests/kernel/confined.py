"""Runs sysgate.run in a process of its own, as root or as an ordinary user, and brings home what it returned."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from sysgate.value import Value

AsUser = Callable[[Sequence[str]], list[str]]

_DRIVER = """
import json, sys
import sysgate
from sysgate.kernel import abilities
from sysgate.report.denial import as_json
from sysgate.value import replace
order = json.load(sys.stdin)
given = dict(order["options"])
if order["lacking"]:
    given["abilities"] = replace(abilities.probe(), **dict.fromkeys(order["lacking"], False))
done = sysgate.run(
    order["argv"], policy=sysgate.Policy.parse(order["policy"], name="app.policy"),
    capture_output=True, text=True, timeout=25, **given)
print(json.dumps([done.returncode, done.stdout, done.stderr, [as_json(denial) for denial in done.denials]]))
"""


class Outcome(Value):
    """What sysgate.run returned; denials as report.denial.as_json has them."""

    returncode: int
    stdout: str
    stderr: str
    denials: tuple[dict[str, object], ...]


def confined(
    as_user: AsUser, policy: str, argv: Sequence[str], *, lacking: Sequence[str] = (), **options: object
) -> Outcome:
    """The outcome of a program behind a policy named app.policy. lacking: abilities that are not to be used."""
    order = {"argv": list(argv), "policy": policy, "lacking": list(lacking), "options": options}
    command = as_user([sys.executable, "-c", _DRIVER])
    done = subprocess.run(command, input=json.dumps(order), capture_output=True, text=True, timeout=40)
    assert done.returncode == 0, done.stderr
    code, stdout, stderr, denials = json.loads(done.stdout)
    return Outcome(code, stdout, stderr, tuple(denials))


def python(code: str) -> list[str]:
    """The command that runs a piece of Python, by an interpreter that every user may execute."""
    return [interpreter(), "-c", code]


@functools.cache
def interpreter() -> str:
    """This interpreter, or the system's where this one lies in a folder that others may not enter."""
    real = Path(sys.executable).resolve()
    if all(folder.stat().st_mode & 0o001 for folder in real.parents):
        return sys.executable
    found = shutil.which("python3", path=os.defpath)
    if found is None:
        pytest.skip("no Python that every user may execute")
    return found
