"""Checks for what is legal but looks wrong: one a module, each a function Subject → findings."""

from __future__ import annotations

from sysgate.lint import (
    constant_tests,
    dropped_half,
    gone,
    memory_flags,
    missing_restart,
    risky,
    twins,
    unreachable,
    wide_masks,
)
from sysgate.lint.finding import Finding, Subject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.policy.ast import Policy
    from sysgate.policy.ruleset import Ruleset

__all__ = ["CHECKS", "Finding", "Subject", "warnings"]

CHECKS = (constant_tests, wide_masks, dropped_half, unreachable, memory_flags, twins, missing_restart, risky, gone)


def warnings(policy: Policy, rulesets: Sequence[Ruleset]) -> tuple[Finding, ...]:
    """All findings, by line, each once however many calls and architectures show it."""
    subject = Subject(policy, tuple(rulesets))
    found = dict.fromkeys(finding for module in CHECKS for finding in module.check(subject))
    return tuple(sorted(found, key=lambda finding: (finding.file, finding.line)))
