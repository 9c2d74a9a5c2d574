"""Rate limits as sliding windows, and the pauses that a provider asks for.

A leaky bucket of capacity N lets N requests through at once, and N more in the same second as it
drains: twice its limit in its first window. A sliding window counts what really left.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

GUARD_S = 0.03
"""Added to every window: requests reach the server after delays that differ by about this much.
A limit of N per second is sustained at N / 1.03."""

MINUTE_S = 60.0

_POLL_S = 0.002
_LOOK_AGAIN_S = 0.05
"""Tokens come free when an answer turns out shorter than it might have been."""

T = TypeVar("T")


class SlidingWindow:
    """At most ``limit`` in any ``window_s`` seconds, wherever one begins to count.

    Args:
        limit: Most that a window may hold: requests, or tokens.
        window_s: Length of the window.
        clock: The monotonic clock.
    """

    def __init__(
        self, limit: float, window_s: float, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.limit = limit
        self.window_s = window_s
        self._span_s = window_s + GUARD_S
        self._clock = clock
        self._slots: deque[Slot] = deque()
        self._in_window = 0.0

    def delay_s(self, amount: float) -> float:
        """Return how long to wait before asking again; 0 if ``amount`` fits now.

        What is larger than the whole limit fits into an empty window: the provider must judge it.
        """
        self._forget()
        if not self._slots or self._in_window + amount <= self.limit:
            return 0.0
        oldest_s = self._slots[0].sent_s
        if oldest_s is None:
            return _POLL_S
        return max(oldest_s + self._span_s - self._clock(), _POLL_S)

    def take(self, amount: float) -> Slot:
        """Take ``amount``, for which `delay_s` was 0."""
        slot = Slot(self, amount)
        self._slots.append(slot)
        self._in_window += amount
        return slot

    def change(self, slot: Slot, amount: float) -> None:
        """Put the true amount of a slot in the place of its estimate."""
        if not slot.is_past:
            self._in_window += amount - slot.amount
        slot.amount = amount

    def _forget(self) -> None:
        """Drop what has left the window; what is about to be sent stays."""
        past_s = self._clock() - self._span_s
        while self._slots and (sent_s := self._slots[0].sent_s) is not None and sent_s <= past_s:
            slot = self._slots.popleft()
            slot.is_past = True
            self._in_window -= slot.amount


@dataclass(eq=False)
class Slot:
    """What one request takes from a window.

    Attributes:
        window: The window.
        amount: How much; an estimate until the answer is there.
        sent_s: When the request left; ``None`` until then.
        is_past: The window has gone past it.
    """

    window: SlidingWindow
    amount: float
    sent_s: float | None = None
    is_past: bool = False


@dataclass(frozen=True)
class Ticket:
    """Leave to send one request.

    Attributes:
        requests: Its slots in the windows of requests.
        tokens: Its slots in the windows of tokens.
    """

    requests: tuple[Slot, ...]
    tokens: tuple[Slot, ...]

    def sent(self, now: float) -> None:
        """Say that the request left at ``now``; only the first time counts."""
        for slot in (*self.requests, *self.tokens):
            if slot.sent_s is None:
                slot.sent_s = now

    def settle(self, tokens: float) -> None:
        """Say how many tokens it really took."""
        for slot in self.tokens:
            slot.window.change(slot, tokens)


class Throttle:
    """Lets requests leave one after the other, as fast as the limits allow.

    Args:
        requests: Windows of requests.
        tokens: Windows of tokens.
    """

    def __init__(
        self, requests: tuple[SlidingWindow, ...] = (), tokens: tuple[SlidingWindow, ...] = ()
    ) -> None:
        self._requests, self._tokens = requests, tokens
        self._paused_until_s = 0.0
        self._held_since_s: float | None = None
        self._held_s = 0.0
        self._turn = PerLoop(asyncio.Lock)

    async def admit(self, tokens: int) -> Ticket:
        """Wait for leave to send a request of about ``tokens`` tokens; first come, first served."""
        async with self._turn.get():
            while (wait_s := self._wait_s(tokens)) > 0:
                await asyncio.sleep(min(wait_s, _LOOK_AGAIN_S))
            return Ticket(
                tuple(window.take(1) for window in self._requests),
                tuple(window.take(tokens) for window in self._tokens),
            )

    def limit(self, requests_per_minute: float | None, tokens_per_minute: float | None) -> None:
        """Let so much leave in a minute from now on, what left before included; ``None``: any."""
        both = ((self._requests, requests_per_minute), (self._tokens, tokens_per_minute))
        for windows, most in both:
            for window in windows:
                if window.window_s == MINUTE_S:
                    window.limit = most or math.inf

    def hold(self, is_held: bool) -> None:
        """Let nothing leave until told otherwise, or let it leave again."""
        self._held_s, now = self.held_s, time.perf_counter()
        self._held_since_s = now if is_held else None

    @property
    def held_s(self) -> float:
        """Seconds for which it was held so far."""
        since_s = self._held_since_s
        return self._held_s + (0.0 if since_s is None else time.perf_counter() - since_s)

    def pause(self, seconds: float) -> None:
        """Let nothing leave for ``seconds``; a longer pause that is on stays."""
        self._paused_until_s = max(self._paused_until_s, time.perf_counter() + seconds)

    def _wait_s(self, tokens: int) -> float:
        if self._held_since_s is not None:
            return _LOOK_AGAIN_S
        waits = [self._paused_until_s - time.perf_counter()]
        waits += [window.delay_s(1) for window in self._requests]
        waits += [window.delay_s(tokens) for window in self._tokens]
        return max(waits)


class PerLoop(Generic[T]):
    """A value that is bound to the running event loop, and made anew for another one.

    Args:
        make: Makes the value.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._loop: asyncio.AbstractEventLoop | None = None
        self._value: T | None = None

    def get(self) -> T:
        """Return the value of the running loop."""
        loop = asyncio.get_running_loop()
        if self._value is None or self._loop is not loop:
            self._loop, self._value = loop, self._make()
        return self._value

    def pop(self) -> T | None:
        """Forget the value; return it if it belongs to the running loop."""
        value, self._value = self._value, None
        return value if self._loop is asyncio.get_running_loop() else None
