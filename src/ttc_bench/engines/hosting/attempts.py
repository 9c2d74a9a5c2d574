"""The tries of one sample: when another one is made, and what they came to."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

from ttc_bench.engines.completion import BrokenCall
from ttc_bench.engines.hosting.failures import TryError


@dataclass(frozen=True)
class RetrySchedule:
    """How a sample is tried again: exponential backoff with full jitter, and when to give up.

    Attributes:
        attempts: Most tries of one sample; refusals for rate limits do not count.
        max_wait_s: Longest time that one sample may wait for a provider's limits and recovery.
        backoff_s: Most of the first wait after a failure; it doubles each time, to 30 s.
    """

    attempts: int
    max_wait_s: float
    backoff_s: float = 0.5


@dataclass
class Attempts:
    """What happened to one sample, try by try.

    Attributes:
        log: One entry per failed try: its error, HTTP status, seconds until it failed, and
            seconds that the provider then asked to wait.
        broken: Tries that broke off half-way and are billed.
        queue_s: Time in our own limiter before the first try.
        started_s: When the first try left; when it was admitted, if it could not leave.
        held_s: How long the run was paused while it waited: no loss of this sample.
    """

    log: list[dict[str, Any]] = field(default_factory=list)
    broken: list[BrokenCall] = field(default_factory=list)
    queue_s: float = 0.0
    started_s: float = 0.0
    held_s: float = 0.0

    def add(self, failure: TryError, left_s: float) -> None:
        """Note a failed try that left at ``left_s``."""
        self.started_s = self.started_s or left_s
        entry = {
            "error": failure.error_type,
            "status": failure.status,
            "s": round(time.perf_counter() - left_s, 6),
            "retry_after_s": failure.retry_after_s,
        }
        self.log.append(entry)

    def until_now(self) -> list[BrokenCall]:
        """Return the broken tries; the clock of the last one ends where the call is given up."""
        if not self.broken:
            return []
        *before, last = self.broken
        lost_s = time.perf_counter() - self.started_s
        timing = replace(last.timing, latency_s=lost_s, retry_s=lost_s)
        return [*before, replace(last, timing=timing)]

    @property
    def made(self) -> int:
        """Tries made, the successful last one included."""
        return len(self.log) + 1

    @property
    def counted(self) -> int:
        """Failed tries that were no refusals for rate limits: those end by time, not by count."""
        return sum(entry["error"] != "rate_limit" for entry in self.log)

    @property
    def lost_s(self) -> float:
        """Time since the first try left, and what the provider asks to wait yet."""
        return time.perf_counter() - self.started_s - self.held_s + self.told_s

    @property
    def told_s(self) -> float:
        """How long the provider said to wait: the throttle does, for all calls."""
        return float(self.log[-1]["retry_after_s"] or 0.0) if self.log else 0.0
