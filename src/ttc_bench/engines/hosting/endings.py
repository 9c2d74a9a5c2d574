"""How an answer ended, and what of it a reader has to know."""

from __future__ import annotations

from ttc_bench.engines.base import Request
from ttc_bench.engines.completion import FinishReason, Usage
from ttc_bench.engines.hosting import shapes
from ttc_bench.engines.hosting.answer import Answer
from ttc_bench.engines.hosting.failures import TryError


def finish_of_answer(answer: Answer, request: Request) -> FinishReason:
    """Return how an answer ended.

    Raises:
        TryError: If it did not, or is none.
    """
    choice = answer.choice
    if not answer.choices_seen and answer.is_foreign:
        raise TryError(
            "bad_response",
            "it does not speak OpenAI's protocol: check the provider before the first slash of"
            " model.target, and model.api_base",
            fatal=True,
        )
    if not answer.choices_seen:
        raise TryError("empty_answer", "the answer has no choice", retryable=True)
    if answer.cut_off:
        return "length"
    if choice.finish is None:
        if not (answer.ended and answer.has_tokens):
            raise TryError("broken_stream", "the stream ended before the answer", retryable=True)
        answer.facts["finish"] = "none given: the stream said that it was over"
        return "length" if _is_used_up(answer, request) else "stop"
    finish = shapes.finish_of(choice.finish)
    if finish == "content_filter":
        raise TryError("content_policy", "the provider's filter stopped the answer")
    if finish == "broken":
        raise TryError("broken_stream", f"the answer ended by {choice.finish!r}", retryable=True)
    if finish is None and not choice.text:
        raise TryError("bad_response", f"no text, and unknown finish reason {choice.finish!r}")
    if finish is None:
        answer.facts["finish"] = f"unknown reason {choice.finish!r}"
        return "length" if _is_used_up(answer, request) else "stop"
    if shapes.is_tool_call(choice.finish) and not choice.text:
        raise TryError("bad_response", "it calls a tool, and none was offered")
    _check_empty(answer, request)
    return finish


def _check_empty(answer: Answer, request: Request) -> None:
    """Raise if there is no answer: an empty one needs an end that explains it.

    Raises:
        TryError: If nothing came, and the provider says that it generated nothing.
    """
    counts = answer.usage.counts()
    if not answer.has_tokens and not request.stop and counts is not None and not counts.completion:
        raise TryError("empty_answer", "the answer has no token", retryable=True)


def _is_used_up(answer: Answer, request: Request) -> bool:
    usage = answer.counts()
    return usage is not None and usage.completion_tokens >= request.max_tokens


def logprobs_of(answer: Answer) -> tuple[float, ...] | None:
    """Return the log-probability of every token; ``None`` if one of them has none."""
    known = tuple(value for value in answer.choice.logprobs if value is not None)
    if len(known) < len(answer.choice.logprobs):
        answer.facts["logprobs"] = "unknown: a token came without a value"
        return None
    return known


def note_oddities(answer: Answer, usage: Usage, request: Request) -> None:
    """Say in the facts what a reader of the row has to know."""
    facts, listed = answer.facts, len(answer.choice.logprobs)
    if usage.is_estimated:
        facts["usage"] = "estimated by us: the provider sent none that can be true"
    elif listed and listed != usage.completion_tokens and answer.choices_seen == 1:
        facts["logprobs_of"] = f"{listed} of {usage.completion_tokens} tokens billed"
    if answer.choices_seen > 1:
        facts["choices"] = f"{answer.choices_seen} came, the first one was taken"
    if not usage.is_estimated and usage.completion_tokens > request.max_tokens:
        facts["past_max_tokens"] = (
            f"{usage.completion_tokens} tokens billed where {request.max_tokens} were asked for"
        )


def cut_at(text: str, stop: tuple[str, ...]) -> tuple[str, str | None]:
    """Return ``text`` up to the first stop string, and that string: some servers leave it in."""
    match = min(((i, s) for s in stop if (i := text.find(s)) >= 0), default=None)
    return (text, None) if match is None else (text[: match[0]], match[1])
