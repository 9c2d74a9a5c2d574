"""A concurrency that gives way when the provider says that it is too much."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

logger = logging.getLogger(__name__)


class ConcurrencyLimiter:
    """An AIMD limiter: at most `limit` calls, halved on a refusal, one more per round of success.

    Additive increase, multiplicative decrease, as in TCP (Chiu and Jain 1989): the limit swings
    around what the provider takes.

    Args:
        most: The largest limit, and the first one.
        name: The endpoint, for the log.
    """

    def __init__(self, most: int, name: str) -> None:
        self.limit = float(most)
        self._most, self._name = most, name
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._lowered_s = 0.0

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[float]:
        """Wait for a place, first come, first served, and hold it; gives the time of entry."""
        await self._wait()
        try:
            yield time.perf_counter()
        finally:
            self._inside -= 1
            self._let_in()

    def refused(self, entered_s: float) -> None:
        """Halve the limit, once per overload.

        Args:
            entered_s: When the refused call entered: one that entered under a higher limit tells
                nothing about the present one.
        """
        if entered_s >= self._lowered_s:
            self._lowered_s = time.perf_counter()
            self.limit = max(1.0, self.limit / 2)
            logger.debug("%s refuses calls: down to %d at a time", self._name, int(self.limit))

    def silent(self, entered_s: float) -> None:
        """Halve the limit for a call that was not even begun in time, and say so.

        Args:
            entered_s: When it entered.
        """
        before = self.limit
        self.refused(entered_s)
        if self.limit < before:
            logger.warning(
                "%s did not begin to answer within model.first_token_timeout_s: now at most %d"
                " calls at a time. What such a call cost is not known",
                self._name,
                int(self.limit),
            )

    def succeeded(self) -> None:
        """Raise the limit a little."""
        self.limit = min(float(self._most), self.limit + 1 / self.limit)
        self._let_in()

    def resize(self, most: int) -> None:
        """Let so many in from now on; who is inside stays."""
        if most != self._most:
            self._most, self.limit = most, float(most)
            self._let_in()

    async def _wait(self) -> None:
        if self._inside < int(self.limit) and not self._waiting:
            self._inside += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                # The place was given in the moment of the cancellation: pass it on.
                self._inside -= 1
                self._let_in()
            raise

    def _let_in(self) -> None:
        while self._waiting and self._inside < int(self.limit):
            place = self._waiting.popleft()
            if not place.done():
                self._inside += 1
                place.set_result(None)
