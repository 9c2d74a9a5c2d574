"""What others wrote is made fit to be kept: text that is no text, numbers beyond any table."""

from __future__ import annotations

import math
from typing import Any, TypeVar

T = TypeVar("T")

_MOST_INT = 2**63
_MOST_DEPTH = 20


def clean(value: T, facts: dict[str, Any]) -> T:
    """Return a JSON value that every file and table can hold; say in ``facts`` if it changed.

    Halves of a surrogate pair that came in two pieces are put together, lone ones replaced.
    """
    cleaned: Any = _clean(value, 0)
    if cleaned != value:
        facts["sanitised"] = "characters or numbers that nothing can store were replaced"
        if isinstance(cleaned, dict):
            cleaned["sanitised"] = facts["sanitised"]
    return cleaned  # type: ignore[no-any-return]


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict) and depth < _MOST_DEPTH:
        return {_text(str(k)): _clean(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple) and depth < _MOST_DEPTH:
        return [_clean(each, depth + 1) for each in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -_MOST_INT <= value < _MOST_INT else None
    return value if isinstance(value, float) and math.isfinite(value) else None


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
