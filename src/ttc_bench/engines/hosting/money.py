"""Dollars: what a call costs by published prices, and a budget that is never passed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pydantic import Field

from ttc_bench.engines.completion import CallError, Usage
from ttc_bench.engines.hosting.library import litellm
from ttc_bench.engines.hosting.limits import PerLoop
from ttc_bench.params import Params

_OVERHEAD_TOKENS = 64
"""More than any chat template adds to a message."""


class Price(Params):
    """What tokens cost, in dollars per million.

    Attributes:
        prompt: Tokens of the prompt.
        completion: Tokens of the answer.
        cached: Tokens of the prompt that the provider had in its cache; ``None``: as the others.
    """

    prompt: float = Field(ge=0.0)
    completion: float = Field(ge=0.0)
    cached: float | None = Field(default=None, ge=0.0)

    def usd(self, usage: Usage) -> float:
        """Return what a call cost."""
        cached = self.prompt if self.cached is None else self.cached
        fresh = usage.prompt_tokens - usage.cached_tokens
        return (
            fresh * self.prompt
            + usage.cached_tokens * cached
            + usage.completion_tokens * self.completion
        ) / 1e6


_PUBLISHED = {
    ("groq", "llama-3.3-70b-versatile"): Price(prompt=0.59, completion=0.79),
    ("groq", "llama-3.1-8b-instant"): Price(prompt=0.05, completion=0.08),
}
"""Prices that LiteLLM's map lacks, by provider and model: Groq's list of on-demand prices,
https://groq.com/pricing, as public code quotes it in July 2026."""


def listed_price(model: str, provider: str) -> Price | None:
    """Return the price in LiteLLM's map, or the one shipped; ``None`` if there is neither."""
    try:
        info = litellm().get_model_info(model=model, custom_llm_provider=provider)
    except Exception:  # LiteLLM raises several classes for "not in the map"
        return _PUBLISHED.get((provider, model))
    prompt, completion = info.get("input_cost_per_token"), info.get("output_cost_per_token")
    if prompt is None or completion is None:
        return _PUBLISHED.get((provider, model))
    cached = info.get("cache_read_input_token_cost")
    return Price(
        prompt=prompt * 1e6,
        completion=completion * 1e6,
        cached=None if cached is None else cached * 1e6,
    )


def most_prompt_tokens(texts: list[str]) -> int:
    """Return more tokens than any tokenizer can make of messages: one per byte, and a margin."""
    return sum(len(text.encode()) + _OVERHEAD_TOKENS for text in texts) + _OVERHEAD_TOKENS


@dataclass(eq=False)
class Reservation:
    """Dollars set aside for one try.

    Attributes:
        usd: The most that it may cost.
    """

    usd: float


class Budget:
    """Counts requests and dollars of a run, and stops it before a limit is passed.

    A try is let through only if the limit holds even when every try in flight turns out as dear
    as it can be; while that is open, it waits for them.

    Args:
        max_usd: Most dollars; ``None`` sets no limit.
        max_requests: Most requests; ``None`` sets no limit.
    """

    def __init__(self, max_usd: float | None = None, max_requests: int | None = None) -> None:
        self.max_usd, self.max_requests = max_usd, max_requests
        self.spent_usd, self.requests = 0.0, 0
        self._reservations: list[Reservation] = []
        self._settled = PerLoop(asyncio.Event)

    async def reserve(self, most_usd: float) -> Reservation:
        """Set aside what one try may cost at most.

        Raises:
            CallError: Fatal, if the try could pass a limit.
        """
        while not self._fits(most_usd):
            if not self._reservations:
                raise self._stop("max_usd", f"{self.max_usd:g} dollars")
            settled = self._settled.get()
            settled.clear()
            await settled.wait()
        if self.max_requests is not None and self.requests >= self.max_requests:
            raise self._stop("max_requests", f"{self.max_requests}")
        self.requests += 1
        reservation = Reservation(most_usd)
        self._reservations.append(reservation)
        return reservation

    def settle(self, reservation: Reservation, usd: float | None) -> None:
        """Book what the try cost; if that is unknown, the most that it may have cost."""
        self._reservations.remove(reservation)
        self.spent_usd += reservation.usd if usd is None else usd
        self._settled.get().set()

    def _fits(self, usd: float) -> bool:
        if self.max_usd is None:
            return True
        return self.spent_usd + sum(r.usd for r in self._reservations) + usd <= self.max_usd

    def _stop(self, name: str, limit: str) -> CallError:
        return CallError(
            "budget",
            f"the run stops before it passes model.{name} ({limit}): {self.requests} requests made,"
            f" {self.spent_usd:.6f} dollars spent as far as prices are known. What is done is in"
            " the journal: the same command with a higher limit goes on from there.",
            attempts=0,
            fatal=True,
        )
