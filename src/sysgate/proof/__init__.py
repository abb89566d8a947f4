"""The prover: shows that a program means what its policy says. It shares no code with the compiler it judges."""

from __future__ import annotations

from sysgate.proof.budget import Spent
from sysgate.proof.verdict import Proof, prove, prove_equal

__all__ = ["Proof", "Spent", "prove", "prove_equal"]
