"""What others wrote is made fit to be kept: text that is no text, numbers beyond any table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

REPLACEMENT = "\ufffd"
"""Unicode's own character for what is none."""

_MOST_INT = 2**63
_MOST_DEPTH = 20
_NESTED = (dict, list, tuple, Mapping)  # In this order: to ask for a mapping takes longest.


def storable(value: Any, depth: int = 0) -> Any:
    """Return a JSON value as every file and table can hold it; what all can hold stays equal.

    Halves of a surrogate pair that came in two pieces are put together and lone ones replaced.
    Integers beyond 64 bits, numbers that are not finite and what lies deeper than 20 levels become
    null.

    Args:
        value: Text, number, list, tuple or mapping; anything else stays as it is.
        depth: Levels above it.
    """
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return value if -_MOST_INT <= value < _MOST_INT else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return _parts(value, depth) if isinstance(value, _NESTED) else value


def _parts(value: Any, depth: int) -> Any:
    if depth >= _MOST_DEPTH:
        return None
    if isinstance(value, Mapping):
        return {_text(str(k)): storable(part, depth + 1) for k, part in value.items()}
    parts = [storable(part, depth + 1) for part in value]
    return tuple(parts) if isinstance(value, tuple) else parts


def is_changed(value: Any) -> bool:
    """Return whether `storable` changes a value; a number that is not finite may be meant so.

    Args:
        value: Text, number, list, tuple or mapping; anything else stays as it is.
    """
    if isinstance(value, _NESTED):
        within = any(map(is_changed, value))
        return within or (isinstance(value, Mapping) and any(map(is_changed, value.values())))
    return not isinstance(value, float) and storable(value) != value


def _text(text: str) -> str:
    if str.isascii(text):
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
