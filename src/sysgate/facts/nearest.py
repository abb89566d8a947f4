"""The nearest right spelling of a mistyped word, for hints."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, candidates: Iterable[str], n: int = 1) -> tuple[str, ...]:
    """Up to n candidates that look like `word`, the nearest first; empty where none is near.

    Letter case counts little: `o_rdonly` finds O_RDONLY.
    """
    from difflib import get_close_matches

    by_lower: dict[str, str] = {}
    for candidate in candidates:
        by_lower.setdefault(candidate.lower(), candidate)
    cutoff = 0.65 if len(word) < 5 else 0.7  # x87 is near x86, stdin is not near SIGTTIN
    return tuple(by_lower[found] for found in get_close_matches(word.lower()[:64], list(by_lower), n, cutoff))
