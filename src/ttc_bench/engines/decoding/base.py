"""Settings that decodings share: a share or a count, of layers or of cached positions."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import AfterValidator


def _share_or_count(value: int | float) -> int | float:
    if isinstance(value, float) and not 0 < value <= 1:
        raise ValueError("a share must be in (0, 1]; write a count as a whole number")
    if isinstance(value, int) and value < 1:
        raise ValueError("a count must be at least 1")
    return value


ShareOrCount = Annotated[int | float, AfterValidator(_share_or_count)]
"""A float in (0, 1] is a share of the whole, a whole number from 1 on is a count."""


def _budget(value: int | float) -> int | float:
    if isinstance(value, int) and value < 2:
        raise ValueError("a budget of positions must be at least 2; write 1.0 for all of them")
    return value


KVBudget = Annotated[ShareOrCount, AfterValidator(_budget)]
"""Cached positions: a share of those that a full cache would hold, or a number of at least 2."""


def positions(budget: int | float, length: int) -> int:
    """Return how many of ``length`` positions a `KVBudget` keeps: at least 2."""
    return max(2, math.ceil(budget * length)) if isinstance(budget, float) else budget


def resolve(value: int | float, whole: int) -> int:
    """Return a `ShareOrCount` as a count between 1 and ``whole``; shares are rounded."""
    count = round(value * whole) if isinstance(value, float) else value
    return max(1, min(count, whole))
