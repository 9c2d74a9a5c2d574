"""How long a provider asks to wait, in whatever form its header says it."""

from __future__ import annotations

import contextlib
import math
import re
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_A_MOMENT_S, _A_MOMENT_MS = 1e9, 1e12
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def wait_s(text: str | None) -> float | None:
    """Return the seconds to wait that a header's value says.

    Args:
        text: Seconds; a duration such as ``7.66s``, ``2m59.56s`` or ``120ms``; or a moment: seconds
            or milliseconds since 1970, a date of HTTP or of ISO 8601. Of a list, the first.

    Returns:
        ``None`` if it is none of these, or asks for no wait: zero, negative, past.
    """
    for part in ((text or "").strip(), (text or "").partition(",")[0].strip()):
        seconds = _seconds(part)
        if seconds is not None:
            return seconds if 0 < seconds < math.inf else None
    return None


def number(text: str | None) -> float | None:
    """Return a finite number as a header says it; ``None`` if it is none."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _seconds(text: str) -> float | None:
    seconds = number(text)
    if seconds is None:
        moment = _moment(text)
        return _duration_s(text) if moment is None else moment - time.time()
    if seconds > _A_MOMENT_MS:
        seconds /= 1000
    return seconds - (time.time() if seconds > _A_MOMENT_S else 0.0)


def _duration_s(text: str) -> float | None:
    if not text or _DURATION.sub("", text):
        return None
    return sum(float(amount) * _SECONDS[unit] for amount, unit in _DURATION.findall(text))


def _moment(text: str) -> float | None:
    """Return a date as seconds since 1970; one without a zone is of UTC."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        with contextlib.suppress(ValueError, OverflowError, TypeError, IndexError):
            moment = read(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None
