"""What has come back of one answer so far: filled event by event, readable when it breaks."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ttc_bench.engines.completion import Timing, Usage
from ttc_bench.engines.hosting import reported


class EventError(Exception):
    """The provider put an error into the event stream.

    Attributes:
        error: The error as the provider gave it.
    """

    def __init__(self, error: Any) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass
class Answer:
    """One streamed answer. Times are of ``time.perf_counter``, which is monotonic.

    Attributes:
        sent_s: When the request was written to its connection.
        marks: When each token or bundle of tokens came.
        text: Pieces of the answer.
        reasoning: Pieces of hidden reasoning that come before it.
        logprobs: Log-probability of each token, where asked for.
        finish: The provider's finish reason.
        stop_reason: The stop string that ended it, where the provider tells (vLLM).
        usage: The provider's token counts.
        status: HTTP status.
        headers: Response headers.
        facts: What else the provider reported about this call.
        choices_seen: Whether any event carried a choice.
        visible_s: When the first piece of the answer itself came.
    """

    sent_s: float = 0.0
    marks: list[float] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: str | None = None
    stop_reason: str | None = None
    usage: Mapping[str, Any] | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    choices_seen: bool = False
    visible_s: float | None = None

    def take(self, event: Mapping[str, Any], now: float) -> None:
        """Take in one event that came at ``now``.

        Raises:
            EventError: If the event is an error.
        """
        if event.get("error"):
            raise EventError(event["error"])
        for choice in event.get("choices") or ():
            self._take_choice(choice, now)
        if not reported.FIELDS.isdisjoint(event):
            self.usage = event.get("usage") or self.usage
            reported.take(event, self.facts)

    @property
    def began(self) -> bool:
        """Whether the provider had begun to answer."""
        return self.status == 200

    def timing(self, queue_s: float, started_s: float) -> Timing:
        """Return the clock of the call that this answer ends.

        Args:
            queue_s: Seconds in our own limiter before its first try left.
            started_s: When its first try left.
        """
        marks = self.marks
        end = marks[-1] if marks else time.perf_counter()
        provider_s, provider_queue_s = reported.times(self.facts)
        return Timing(
            queue_s=queue_s,
            ttft_s=marks[0] - started_s if marks else None,
            latency_s=end - started_s,
            retry_s=self.sent_s - started_s,
            itl_s=tuple(b - a for a, b in itertools.pairwise(marks)),
            provider_s=provider_s,
            provider_queue_s=provider_queue_s,
        )

    def counts(self) -> Usage | None:
        """Return the provider's token counts; ``None`` if it gave none that can be true."""
        counts = self.usage or {}
        prompt = _count(counts.get("prompt_tokens"))
        completion = _count(counts.get("completion_tokens"))
        if not prompt or completion is None or (completion == 0 and self.marks):
            return None
        cached = _count((counts.get("prompt_tokens_details") or {}).get("cached_tokens"))
        drafted, accepted = reported.speculation(self.facts)
        return Usage(
            prompt_tokens=prompt,
            cached_tokens=min(cached or 0, prompt),
            completion_tokens=completion,
            draft_tokens=drafted,
            accepted_tokens=accepted,
        )

    def counted(self, prompt_tokens: int) -> Usage:
        """Return our own count, where the provider gave none: an estimate.

        Args:
            prompt_tokens: Estimated tokens of the prompt.
        """
        tokens = max(len(self.logprobs), len(self.marks))
        drafted, accepted = reported.speculation(self.facts)
        return Usage(
            prompt_tokens=prompt_tokens,
            completion_tokens=tokens,
            draft_tokens=drafted,
            accepted_tokens=accepted,
        )

    def _take_choice(self, choice: Mapping[str, Any], now: float) -> None:
        self.choices_seen = True
        delta = choice.get("delta") or {}
        text = delta.get("content")
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if text or reasoning:
            tokens = (choice.get("logprobs") or {}).get("content")
            if tokens:
                self.logprobs += [token["logprob"] for token in tokens]
                # Tokens of one bundle came together: with gaps of zero between them.
                self.marks += [now] * len(tokens)
            else:
                self.marks.append(now)
        if reasoning:
            self.reasoning.append(reasoning)
        if text:
            if self.visible_s is None:
                self.visible_s = now
            self.text.append(text)
        if choice.get("finish_reason"):
            self.finish = choice["finish_reason"]
            stop_reason = choice.get("stop_reason")
            self.stop_reason = stop_reason if isinstance(stop_reason, str) else None
            if "stop_reason" in choice:
                self.facts["stop_reason"] = self.stop_reason


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return int(value) if is_count else None
