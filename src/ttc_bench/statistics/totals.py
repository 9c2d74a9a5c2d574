"""Sums that know when they are not known."""

from __future__ import annotations

from collections.abc import Iterable


def total(values: Iterable[float | None]) -> float | None:
    """Return the sum, or ``None`` if any part is unknown: a bill with a gap has no total."""
    known = list(values)
    return None if any(v is None for v in known) else sum(v for v in known if v is not None)
