"""What has come back of one answer so far: filled event by event, readable when it breaks."""

from __future__ import annotations

import bisect
import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ttc_bench.engines.completion import Timing, Usage
from ttc_bench.engines.hosting import reported, shapes
from ttc_bench.engines.hosting.pieces import Pieces
from ttc_bench.engines.hosting.usage import UsageReader
from ttc_bench.thinking import answer_start, thinking_blocks

_LONGEST_TOKEN_BYTES = 128
"""No token of a usual vocabulary is longer."""


class EventError(Exception):
    """The provider put an error into the event stream.

    Attributes:
        error: The error as the provider gave it.
    """

    def __init__(self, error: Any) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass
class Choice:
    """One of the answers to a request. A provider may send several, interleaved.

    Attributes:
        text: Pieces of the answer.
        reasoning: Pieces of hidden reasoning that come before it.
        logprobs: Log-probability of each token, where asked for; ``None`` where one has no value.
        finish: The provider's finish reason.
        stop_reason: The stop string that ended it, where the provider tells (vLLM).
        tells_stop: Whether the provider tells.
    """

    text: Pieces = field(default_factory=Pieces)
    reasoning: Pieces = field(default_factory=Pieces)
    logprobs: list[float | None] = field(default_factory=list)
    finish: str | None = None
    stop_reason: str | None = None
    tells_stop: bool = False

    def take(self, choice: Mapping[str, Any]) -> tuple[str, str, int]:
        """Take in what an event adds; return new text, new reasoning and the tokens it lists."""
        body, is_whole = shapes.body_of(choice)
        text, reasoning = shapes.texts(body)
        finish = choice.get("finish_reason") or body.get("stop_reason")
        if finish and self.text and (is_whole or len(self.text) > 1):
            # A last event that repeats the whole answer: only what is new in it counts.
            whole = "".join(self.text)
            text = text.removeprefix(whole) if is_whole or text == whole else text
        tokens = shapes.logprobs_of(choice)
        self.logprobs += tokens
        text = self.text.take(text) if text else ""
        reasoning = self.reasoning.take(reasoning) if reasoning else ""
        if isinstance(finish, str) and finish.lower() not in ("null", "none"):
            self.finish = finish
            stop_reason = choice.get("stop_reason")
            self.stop_reason = stop_reason if isinstance(stop_reason, str) else None
            self.tells_stop = "stop_reason" in choice
        return text, reasoning, len(tokens)


@dataclass
class Answer:
    """One streamed answer. Times are of ``time.perf_counter``, which is monotonic.

    Attributes:
        most_tokens: Tokens asked for at most.
        sent_s: When the request was written to its connection.
        marks: When each token or bundle of tokens of the answer itself came.
        hidden_marks: When those of the hidden reasoning before it came.
        tokens: Tokens that have surely come, of all choices.
        status: HTTP status.
        headers: Response headers.
        facts: What else the provider reported about this call.
        usage: The provider's token counts.
        ended: The stream said that it is over.
        cut_off: We broke it off, because it went on past ``most_tokens``.
        is_foreign: An event was of another protocol.
    """

    most_tokens: int = 0
    sent_s: float = 0.0
    marks: list[float] = field(default_factory=list)
    hidden_marks: list[float] = field(default_factory=list)
    tokens: int = 0
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    usage: UsageReader = field(default_factory=UsageReader)
    ended: bool = False
    cut_off: bool = False
    is_foreign: bool = False
    _choices: dict[int, Choice] = field(default_factory=dict)
    _lengths: list[int] = field(default_factory=list)
    _pieces: int = 0
    _bytes: int = 0

    def take(self, event: Mapping[str, Any], now: float) -> None:
        """Take in one event that came at ``now``.

        Raises:
            EventError: If the event is an error.
        """
        if event.get("error"):
            raise EventError(event["error"])
        if shapes.is_error(event):
            raise EventError(dict(event))
        self.is_foreign = self.is_foreign or shapes.is_foreign(event)
        for index, choice in shapes.choices(event):
            self._take_choice(index, choice, now)
        if self.is_whole or not event.keys() <= reported.PLAIN:
            self.usage.take(event)
            reported.take(event, self.facts)

    @property
    def choice(self) -> Choice:
        """The answer that was asked for: the first one, whatever others came beside it."""
        return self._choices[min(self._choices)] if self._choices else Choice()

    @property
    def choices_seen(self) -> int:
        """How many answers came."""
        return len(self._choices)

    @property
    def began(self) -> bool:
        """Whether the provider had begun to answer."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def has_tokens(self) -> bool:
        """Whether any token came, hidden ones included."""
        return bool(self.marks or self.hidden_marks)

    @property
    def most_came(self) -> int:
        """Tokens that can have come at most: no token is shorter than a byte."""
        return max(self._bytes, self.tokens)

    @property
    def is_whole(self) -> bool:
        """Whether all of the answer is there, whatever the stream still may say."""
        return self.cut_off or any(choice.finish for choice in self._choices.values())

    def timing(self, queue_s: float, started_s: float) -> Timing:
        """Return the clock of the call that this answer ends.

        Args:
            queue_s: Seconds in our own limiter before its first try left.
            started_s: When its first try left.
        """
        marks, hidden = self._marks_apart()
        came = marks or hidden
        end = came[-1] if came else time.perf_counter()
        provider_s, provider_queue_s = reported.times(self.facts)
        return Timing(
            queue_s=queue_s,
            ttft_s=marks[0] - started_s if marks else None,
            latency_s=end - started_s,
            retry_s=self.sent_s - started_s,
            itl_s=tuple(b - a for a, b in itertools.pairwise(marks)),
            reasoning_s=self._reasoning_s(marks, hidden),
            provider_s=provider_s,
            provider_queue_s=provider_queue_s,
        )

    def counts(self) -> Usage | None:
        """Return the provider's token counts; ``None`` if it gave none that can be true."""
        counts = self.usage.counts()
        if counts is None or (counts.completion == 0 and self.has_tokens):
            return None
        drafted, accepted = reported.speculation(self.facts)
        return Usage(
            prompt_tokens=counts.prompt,
            cached_tokens=counts.cached or 0,
            completion_tokens=counts.completion,
            reasoning_tokens=counts.reasoning,
            draft_tokens=drafted,
            accepted_tokens=accepted,
        )

    def estimated(self, prompt_tokens: int) -> Usage:
        """Return our own estimate, where the provider gave no counts.

        Args:
            prompt_tokens: Estimated tokens of the prompt.
        """
        drafted, accepted = reported.speculation(self.facts)
        return Usage(
            prompt_tokens=prompt_tokens,
            completion_tokens=self.tokens,
            reasoning_tokens=None,
            draft_tokens=drafted,
            accepted_tokens=accepted,
            is_estimated=True,
        )

    def _take_choice(self, index: int, choice: Mapping[str, Any], now: float) -> None:
        chosen = self._choices.setdefault(index, Choice())
        if self.cut_off:
            return
        text, reasoning, listed = chosen.take(choice)
        if not (text or reasoning or listed):
            return
        self._count(len(text.encode("utf-8", "replace")) + len(reasoning), listed)
        if self._is_past(chosen, text, listed):
            return
        if chosen is self.choice:
            # Tokens of one bundle came together: with gaps of zero between them.
            came = [now] * max(listed, 1)
            if text:
                self.marks += came
                length = chosen.text.length
                if self._lengths and self._lengths[-1] > length:
                    # The pieces turned out to hold all before them.
                    self._lengths = [min(length, one) for one in self._lengths]
                self._lengths += [length] * len(came)
            elif reasoning:
                self.hidden_marks += came

    def _count(self, size: int, listed: int) -> None:
        self.tokens += max(listed, 1 if size else 0)
        self._pieces += 1
        self._bytes += size

    def _is_past(self, chosen: Choice, text: str, listed: int) -> bool:
        """Note that the answer goes on past what was asked for; what is past it is left out.

        A piece may be less than a token (a server that streams letters), so pieces count only
        where they are longer than that.
        """
        most = self.most_tokens * max(len(self._choices), 1)
        letters = self._bytes < 2 * self._pieces
        surely = self._bytes / _LONGEST_TOKEN_BYTES
        if not most or (surely <= most if letters else max(self.tokens, surely) <= most):
            return False
        self.cut_off = True
        self.facts["past_max_tokens"] = "broken off: the server went on past max_tokens"
        if text and listed <= 1 and self.tokens == most + 1:
            chosen.text.pop()
            del chosen.logprobs[len(chosen.logprobs) - listed :]
        return True

    def _marks_apart(self) -> tuple[list[float], list[float]]:
        """Return when the answer's pieces came, and when reasoning did, marked in the text or not.

        A server without a parser for a model's reasoning sends it as text.
        """
        text = "".join(self.choice.text)
        blocks = thinking_blocks(text)
        if not blocks:
            return self.marks, self.hidden_marks
        start = answer_start(text, blocks)
        first = len(self.marks) if start is None else bisect.bisect_right(self._lengths, start)
        return self.marks[first:], [*self.hidden_marks, *self.marks[:first]]

    def _reasoning_s(self, marks: list[float], hidden: list[float]) -> float | None:
        """Return how long the hidden reasoning took that was seen, to the answer's first token."""
        if hidden:
            until = marks[0] if marks else hidden[-1]
            return max(until - hidden[0], 0.0)
        counts = self.usage.counts()
        return None if counts is not None and counts.reasoning else 0.0
