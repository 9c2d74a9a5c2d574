"""Token counts in every provider's words, brought to one: OpenAI's, reasoning included.

Fields are taken each at its largest over the events of an answer: counts of a stream only grow,
some providers send the prompt's first and the answer's last, and a late empty object takes
nothing away.

Sources: OpenAI's Chat Completions and Responses, Anthropic's Messages, Gemini's
``usageMetadata``, DeepSeek's and Moonshot's cache fields, xAI's reasoning outside of
``completion_tokens``, Groq's ``x_groq``, Ollama's own protocol and llama.cpp's ``timings``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_WHOLE = re.compile(r"[0-9]{1,15}(?:\.0{1,9})?")
_MOST = 10**12
"""No call takes this many tokens: what is beyond cannot be true, nor be stored as 64 bits."""

_NAMES: Mapping[str, tuple[str, ...]] = {
    "prompt": (
        "prompt_tokens",
        "input_tokens",
        "promptTokenCount",
        "prompt_token_count",
        "inputTokens",
        "inputTokenCount",
        "input_token_count",
        "tokens.input_tokens",
        "prompt_eval_count",
    ),
    "completion": (
        "completion_tokens",
        "output_tokens",
        "candidatesTokenCount",
        "candidates_token_count",
        "outputTokens",
        "outputTokenCount",
        "generated_tokens",
        "generated_token_count",
        "output_token_count",
        "tokens.output_tokens",
        "eval_count",
    ),
    "total": ("total_tokens", "totalTokenCount", "total_token_count", "totalTokens"),
    "cached": (
        "prompt_tokens_details.cached_tokens",
        "input_tokens_details.cached_tokens",
        "cached_tokens",
        "prompt_cache_hit_tokens",
        "cache_read_input_tokens",
        "cachedContentTokenCount",
        "cached_content_token_count",
        "cacheReadInputTokens",
        "num_cached_tokens",
    ),
    "reasoning": (
        "completion_tokens_details.reasoning_tokens",
        "output_tokens_details.reasoning_tokens",
        "reasoning_tokens",
        "thoughtsTokenCount",
        "thoughts_token_count",
    ),
    "cache_write": ("cache_creation_input_tokens", "cacheWriteInputTokens"),
    "accepted": ("completion_tokens_details.accepted_prediction_tokens",),
}
"""The words for each count; the first one that is there counts."""

_BESIDE = frozenset({"cache_read_input_tokens", "cacheReadInputTokens"})
"""Anthropic's and Bedrock's words: their ``input_tokens`` leaves the cached ones out."""

_PLACES = ("usage", "usageMetadata", "usage_metadata", "token_usage")
_OBJECTS = ("timings", "metrics")
"""Objects of an event that hold no usage object."""


@dataclass(frozen=True)
class Counts:
    """What a provider counted for one call.

    Attributes:
        prompt: Tokens of the prompt, cached ones included.
        cached: Those that it had in its cache; ``None`` where it does not say.
        completion: Tokens of the answer, hidden reasoning included.
        reasoning: Those of hidden reasoning; ``None`` where it does not say.
    """

    prompt: int
    cached: int | None
    completion: int
    reasoning: int | None


@dataclass
class UsageReader:
    """Reads the usage of an answer, event by event."""

    _largest: dict[str, int] = field(default_factory=dict)
    _is_beside: bool = False

    def take(self, event: Mapping[str, Any]) -> None:
        """Read what an event says about usage, wherever it stands."""
        for usage in _objects(event):
            for name, words in _NAMES.items():
                for word in words:
                    value = count(_at(usage, word))
                    if value is not None:
                        self._is_beside = self._is_beside or (name == "cached" and word in _BESIDE)
                        self._largest[name] = max(self._largest.get(name, 0), value)
                        break

    def forget(self, *names: str) -> None:
        """Forget counts that are no provider's: those named, or all."""
        for name in names or tuple(self._largest):
            self._largest.pop(name, None)

    def counts(self) -> Counts | None:
        """Return the counts in one wording; ``None`` unless prompt and answer are both known."""
        prompt, completion = self._largest.get("prompt"), self._largest.get("completion")
        total, cached = self._largest.get("total") or None, self._largest.get("cached")
        if prompt and completion is None and total is not None and total >= prompt:
            completion = total - prompt
        if not prompt or completion is None:
            return None
        reasoning = self._largest.get("reasoning")
        completion = _with_reasoning(prompt, completion, reasoning or 0, total)
        written = self._largest.get("cache_write", 0)
        beside = (cached or 0) + written
        if self._is_beside and (
            total is None or beside > prompt or total >= prompt + completion + beside
        ):
            prompt += beside
        return Counts(
            prompt=prompt,
            cached=None if cached is None else min(cached, prompt),
            completion=completion,
            reasoning=None if reasoning is None else min(reasoning, completion),
        )


def count(value: Any) -> int | None:
    """Return a token count as a number, whatever type it came in; ``None`` if it cannot be one."""
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value.partition(".")[0])
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MOST:
        return None
    return int(value) if int(value) == value else None


def _with_reasoning(prompt: int, completion: int, reasoning: int, total: int | None) -> int:
    """Return all tokens of the answer: some count the hidden ones apart, which the sum tells."""
    is_outside = (
        reasoning > completion if total is None else total == prompt + completion + reasoning
    )
    return completion + reasoning if is_outside else completion


def _objects(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield every usage object of an event: its own, a choice's, a vendor's, and plain fields."""
    choices = event.get("choices")
    inner = [c for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []
    vendors = [v for k, v in event.items() if isinstance(v, dict) and k not in _OBJECTS]
    for holder in (event, *inner, *vendors):
        for place in _PLACES:
            usage = holder.get(place)
            yield from (u for u in (usage if isinstance(usage, list) else [usage]) if _is_usage(u))
    if "prompt_eval_count" in event or "eval_count" in event:
        yield event
    timings = event.get("timings")
    if isinstance(timings, dict):
        yield _of_llama_cpp(timings)


def _is_usage(value: Any) -> bool:
    return isinstance(value, dict) and bool(value)


def _of_llama_cpp(timings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the counts of llama.cpp's ``timings``: it computes what is not in its cache."""
    computed, cached = count(timings.get("prompt_n")), count(timings.get("cache_n"))
    prompt = None if computed is None or cached is None else computed + cached
    return {
        "prompt_tokens": prompt,
        "completion_tokens": timings.get("predicted_n"),
        "cached_tokens": cached,
    }


def _at(usage: Mapping[str, Any], path: str) -> Any:
    value: Any = usage
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
