"""What a server sent, as this side can keep it."""

from __future__ import annotations

from typing import Any, TypeVar

from ttc_bench.storable import storable

T = TypeVar("T")


def clean(value: T, facts: dict[str, Any]) -> T:
    """Return a JSON value as `storable` makes it; say in ``facts``, and in it, if it changed."""
    cleaned: Any = storable(value)
    if cleaned != value:
        facts["sanitised"] = "characters or numbers that nothing can store were replaced"
        if isinstance(cleaned, dict):
            cleaned["sanitised"] = facts["sanitised"]
    return cleaned  # type: ignore[no-any-return]
