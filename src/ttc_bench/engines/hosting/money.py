"""Dollars: what a call costs by published prices, and a budget that is never passed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from pydantic import Field

from ttc_bench.engines.completion import LIMIT, CallError, Usage
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
        reasoning: Tokens of hidden reasoning; ``None``: as the others of the answer.
    """

    prompt: float = Field(ge=0.0)
    completion: float = Field(ge=0.0)
    cached: float | None = Field(default=None, ge=0.0)
    reasoning: float | None = Field(default=None, ge=0.0)

    def usd(self, usage: Usage) -> float | None:
        """Return what a call cost; ``None`` if the price map cannot tell."""
        cached = self.prompt if self.cached is None else self.cached
        hidden = self.completion if self.reasoning is None else self.reasoning
        fresh, reasoning = usage.prompt_tokens - usage.cached_tokens, usage.reasoning_tokens or 0
        return (
            fresh * self.prompt
            + usage.cached_tokens * cached
            + (usage.completion_tokens - reasoning) * self.completion
            + reasoning * hidden
        ) / 1e6

    def most_usd(self, texts: list[str], max_tokens: int) -> float:
        """Return the most that a call can cost.

        Args:
            texts: Contents of its messages.
            max_tokens: Most tokens of its answer.
        """
        most = Usage(prompt_tokens=most_prompt_tokens(texts), completion_tokens=max_tokens)
        hidden = replace(most, reasoning_tokens=max_tokens)
        return max(self.usd(most) or 0.0, self.usd(hidden) or 0.0)


class ListedPrice(Price):
    """A price of LiteLLM's map, with its steps by the size of the prompt, as LiteLLM reckons it.

    Attributes:
        model: The provider's name of the model.
        provider: LiteLLM's name of the provider.
    """

    model: str
    provider: str

    def usd(self, usage: Usage) -> float | None:
        """Return what a call cost; ``None`` if the map cannot tell."""
        from litellm.types.utils import Usage as Listed

        listed = Listed(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
            prompt_tokens_details={"cached_tokens": usage.cached_tokens},
            completion_tokens_details={"reasoning_tokens": usage.reasoning_tokens or 0},
        )
        try:
            prompt, completion = litellm().cost_per_token(
                model=self.model, custom_llm_provider=self.provider, usage_object=listed
            )
        except Exception:  # LiteLLM raises several classes for what it cannot reckon
            return None
        return float(prompt + completion)


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
    reasoning = info.get("output_cost_per_reasoning_token")
    return ListedPrice(
        model=model,
        provider=provider,
        prompt=prompt * 1e6,
        completion=completion * 1e6,
        cached=None if cached is None else cached * 1e6,
        reasoning=None if reasoning is None else reasoning * 1e6,
    )


def most_prompt_tokens(texts: list[str]) -> int:
    """Return more tokens than any tokenizer can make of messages: one per byte, and a margin."""
    return sum(len(text.encode()) + _OVERHEAD_TOKENS for text in texts) + _OVERHEAD_TOKENS


@dataclass(frozen=True)
class Booking:
    """What one try cost.

    Attributes:
        usd: Dollars; ``None`` where they are not known: then the most is booked.
        came_usd: What the tokens that have come may cost, if a server went on past its limit.
    """

    usd: float | None
    came_usd: float | None = None


UNKNOWN = Booking(None)


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
        self._passed: tuple[str, str] | None = None
        """The limit that a try would have passed: no other begins, a cheaper one neither."""
        self._reservations: list[Reservation] = []
        self._settled = PerLoop(asyncio.Event)

    def limit(self, max_usd: float | None, max_requests: int | None) -> None:
        """Hold the run to other limits from now on; what is spent counts."""
        self.max_usd, self.max_requests = max_usd, max_requests
        self._passed = None
        self._settled.get().set()

    async def reserve(self, most_usd: float) -> Reservation:
        """Set aside what one try may cost at most.

        Raises:
            CallError: Fatal, if the try could pass a limit, or an earlier one could have.
        """
        while self._passed is None and not self._fits(most_usd):
            if not self._reservations:
                self._passed = "max_usd", f"{self.max_usd:g} dollars"
                break
            settled = self._settled.get()
            settled.clear()
            await settled.wait()
        if self.max_requests is not None and self.requests >= self.max_requests:
            self._passed = self._passed or ("max_requests", f"{self.max_requests}")
        if self._passed is not None:
            raise self._stop(*self._passed)
        self.requests += 1
        reservation = Reservation(most_usd)
        self._reservations.append(reservation)
        return reservation

    def settle(self, reservation: Reservation, cost: Booking) -> None:
        """Book what the try cost; if that is unknown, the most that it may have cost."""
        self._reservations.remove(reservation)
        most_usd = max(reservation.usd, cost.came_usd or 0.0)
        self.spent_usd += most_usd if cost.usd is None else cost.usd
        self._settled.get().set()

    def _fits(self, usd: float) -> bool:
        if self.max_usd is None:
            return True
        return self.spent_usd + sum(r.usd for r in self._reservations) + usd <= self.max_usd

    def _stop(self, name: str, limit: str) -> CallError:
        return CallError(
            LIMIT,
            f"the run stops before it passes model.{name} ({limit}): {self.requests} requests made,"
            f" {self.spent_usd:.6f} dollars spent as far as prices are known. What is done is in"
            " the journal: the same command with a higher limit goes on from there.",
            attempts=0,
            fatal=True,
        )
