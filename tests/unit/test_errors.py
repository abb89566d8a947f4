"""Errors as values: a worker process hands them to its parent."""

from __future__ import annotations

import copy
import pickle

import pytest

from sysgate import Call, PolicyError, ProofError
from sysgate.errors import CompileError, KernelError, SysgateError, UnfitError

PLACE = {"file": "a.policy", "line": 2, "column": 3, "source": "  foo: 1", "width": 3, "hint": "did you mean fork?"}


@pytest.mark.parametrize(
    "error",
    [
        PolicyError("unknown call", **PLACE),  # type: ignore[arg-type]
        UnfitError("no such call", **PLACE),  # type: ignore[arg-type]
        CompileError("too long"),
        ProofError("they differ", Call("x86_64", 1, (1, 2, 3, 0, 0, 0))),
        KernelError(13, "seccomp: no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_passes_between_processes_whole(error: SysgateError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        for name in ("line", "hint", "errno", "counterexample"):
            assert getattr(again, name, None) == getattr(error, name, None)
