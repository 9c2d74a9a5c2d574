"""Regular expressions of a user's own, whose search ends: some would take years for one line."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

logger = logging.getLogger(__name__)

MOST_SECONDS = 5.0
"""Longest search of a pattern in one text."""


def fault_of(pattern: str) -> str | None:
    """Return what is wrong with a pattern; ``None`` if nothing is."""
    import regex

    try:
        regex.compile(pattern)
    except regex.error as error:
        return f"is no regular expression ({error})"
    return None


def is_found(pattern: str, text: str) -> bool:
    """Return whether a pattern matches somewhere; one that is wrong or takes too long does not."""
    return bool(_matches(pattern, text))


def last_match(pattern: str, text: str) -> str | None:
    """Return the last match of a pattern, or its first group; ``None`` if there is none."""
    matches = _matches(pattern, text)
    if not matches:
        return None
    last = matches[-1]
    return str(last[1] if last.re.groups and last[1] is not None else last[0]).strip()


@lru_cache(maxsize=1024)
def _matches(pattern: str, text: str) -> tuple[Any, ...]:
    import regex

    try:
        return tuple(regex.finditer(pattern, text, timeout=MOST_SECONDS))
    except regex.error:
        return ()
    except TimeoutError:
        logger.warning(
            "the pattern %r was given up after %g s in a text of %d characters, %r ...: it counts"
            " as not found there",
            *(pattern, MOST_SECONDS, len(text), text[:40]),
        )
        return ()
