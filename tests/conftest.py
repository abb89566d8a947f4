"""What every test may use: the shared corpus, an ordinary user, a fresh child."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

for _ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    # Whoever runs the tests may have them ignored (nohup, a shell's `&`); what inherits that outlives its test.
    if signal.getsignal(_ignored) == signal.SIG_IGN:
        signal.signal(_ignored, signal.SIG_DFL)

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SYSGATE_SHARED", ROOT.parent / "shared"))
NOBODY = 65534


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """A file of the corpus that stands beside the checkout; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"the shared corpus is not here ({name}); it stands beside the checkout or in SYSGATE_SHARED")
        return path

    return find


@pytest.fixture
def sysgate() -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command line, as a person types it: sysgate("check", "x.policy")."""

    def typed(*words: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
        options: dict[str, object] = {"capture_output": True, "text": True, "timeout": 60, **kwargs}
        return subprocess.run([sys.executable, "-m", "sysgate", *words], **options)  # type: ignore[call-overload,no-any-return]

    return typed


@pytest.fixture(params=["root", "user"])
def as_user(request: pytest.FixtureRequest) -> Callable[[Sequence[str]], list[str]]:
    """Wraps a command so that it runs as root and, in a second test, as an ordinary user.

    Without root both are the user who runs the tests: the first is skipped, the second runs as it is.
    """
    if os.geteuid() != 0:
        if request.param == "root":
            pytest.skip("not run as root")
        return list
    if request.param == "root":
        return list
    drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return lambda command: [*drop, *command]
