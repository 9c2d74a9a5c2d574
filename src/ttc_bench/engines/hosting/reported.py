"""What providers report about a call beside its answer: their clock, limits and speculation.

Sources: Groq's ``x_groq`` object and timed ``usage``, llama.cpp's ``timings``, vLLM's ``metrics``
object (``--enable-per-request-metrics``, ``--per-request-spec-decode-metrics``), and the
rate-limit headers that OpenAI defined and others follow.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ttc_bench.engines.hosting.usage import count
from ttc_bench.engines.hosting.waits import number, wait_s
from ttc_bench.statistics.totals import total

PLAIN = frozenset({"id", "object", "created", "model", "choices", "service_tier", "obfuscation"})
"""Fields of an event that has nothing for `take`: most have no other."""

_GROQ_TIMES = ("queue_time", "prompt_time", "completion_time", "total_time")
_SPECULATION = {"num_draft_tokens": "draft_tokens", "num_accepted_draft_tokens": "accepted_tokens"}
_KEPT_HEADERS = re.compile(r"^(x-ratelimit-|retry-after|x-request-id$|x-groq-region$)")


def take(event: Mapping[str, Any], facts: dict[str, Any]) -> None:
    """Add what ``event`` reports about the call to ``facts``."""
    # Groq times a stream in x_groq, a whole answer in usage.
    for usage in (event.get("usage"), _object(event, "x_groq").get("usage")):
        if isinstance(usage, dict):
            facts.update({n: usage[n] for n in _GROQ_TIMES if _number(usage.get(n)) is not None})
    for name in ("metrics", "timings"):
        if values := _object(event, name):
            facts[name] = values
    if isinstance(event.get("system_fingerprint"), str):
        facts["system_fingerprint"] = event["system_fingerprint"]


def times(facts: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Return the provider's total and queue time in seconds, where it tells them."""
    if "total_time" in facts:
        # Groq's total leaves its queue out.
        queue = facts.get("queue_time")
        return float(facts["total_time"]) + float(queue or 0.0), queue
    timings = [_number(_object(facts, "timings").get(n)) for n in ("prompt_ms", "predicted_ms")]
    if (computed_ms := total(timings)) is not None:
        return computed_ms / 1000, None
    metrics = _object(facts, "metrics")
    parts = ("queue_time_ms", "time_to_first_token_ms", "generation_time_ms")
    queue_ms, *others = (_number(metrics.get(name)) for name in parts)
    whole_ms = total((queue_ms, *others))
    if whole_ms is None or queue_ms is None:
        return None, None
    return whole_ms / 1000, queue_ms / 1000


def speculation(facts: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return drafted and accepted tokens, where the endpoint reports them."""
    told = _object(_object(facts, "metrics"), "speculative_decoding")
    counts = told or _object(facts, "speculation")
    if counts:
        drafted, accepted = (count(counts.get(name)) for name in _SPECULATION)
        return drafted, accepted
    timings = _object(facts, "timings")
    return count(timings.get("draft_n")), count(timings.get("draft_n_accepted"))


def note_counters(facts: dict[str, Any], drafted: int, accepted: int) -> None:
    """Add what the server's counters tell about the call to ``facts``."""
    counts = dict(zip(_SPECULATION, (drafted, accepted), strict=True))
    facts["speculation"] = {**counts, "source": "counters"}


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers worth keeping: rate limits and the request's id, never a key."""
    return {k.lower(): v for k, v in headers.items() if _KEPT_HEADERS.match(k.lower())}


def pause_s(headers: Mapping[str, str], tokens: int) -> float | None:
    """Return how long to wait because a limit is used up, by OpenAI's rate-limit headers.

    Args:
        headers: Headers of the last response.
        tokens: What the next request may take.
    """
    waits = []
    for unit, needed in (("requests", 1), ("tokens", tokens)):
        left = number(headers.get(f"x-ratelimit-remaining-{unit}"))
        if left is None or left < 0:  # Less than nothing is a word for no limit.
            continue
        # A request larger than the whole limit would wait for ever: the provider must say no.
        most = number(headers.get(f"x-ratelimit-limit-{unit}"))
        if left < (needed if most is None else min(needed, most)):
            waits.append(wait_s(headers.get(f"x-ratelimit-reset-{unit}")))
    return max((w for w in waits if w is not None), default=None)


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < math.inf else None
