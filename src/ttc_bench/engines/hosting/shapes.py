"""The shapes that a streamed choice comes in: parts of text, finishes, log-probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

Finish = Literal["stop", "length", "content_filter", "broken"]

_FINISHES: Mapping[Finish, tuple[str, ...]] = {
    "stop": (
        "stop",
        "eos",
        "eos_token",
        "end",
        "end_turn",
        "stop_sequence",
        "stop_token",
        "stop_string",
        "complete",
        "completed",
        "finished",
        "done",
        "finish_reason_unspecified",
        "tool_calls",
        "function_call",
        "tool_use",
    ),
    "length": (
        "length",
        "max_tokens",
        "model_length",
        "max_length",
        "max_output_tokens",
        "max_completion_tokens",
        "max_new_tokens",
        "token_limit",
        "limit",
        "model_context_window_exceeded",
        "context_length",
        "incomplete",
    ),
    "content_filter": (
        "content_filter",
        "content_filtered",
        "safety",
        "recitation",
        "blocklist",
        "prohibited_content",
        "spii",
        "sensitive",
        "error_toxic",
        "guardrail_intervened",
        "language",
    ),
    "broken": (
        "error",
        "abort",
        "aborted",
        "cancelled",
        "canceled",
        "network_error",
        "insufficient_system_resource",
        "malformed_response",
    ),
}
_BY_WORD = {word: finish for finish, words in _FINISHES.items() for word in words}

_HIDDEN = ("thinking", "reasoning", "thought", "redacted_thinking")
_TEXTS = ("text", "content", "output_text", "refusal", "value")
_REASONING = (
    "reasoning_content",
    "reasoning",
    "thinking",
    "reasoning_details",
    "reasoning_text",
    "thinking_content",
    "thinking_blocks",
    "thought",
)
_VENDORS = ("provider_specific_fields", "extra_content")
"""Where LiteLLM and Gemini's compatible address put what OpenAI has no field for."""
_FOREIGN = frozenset({"candidates", "delta", "message", "response", "token", "generated_text"})
"""Fields in which Gemini, Anthropic, OpenAI's Responses, Ollama and TGI put their text."""
_TOOLS = frozenset({"tool_calls", "function_call", "tool_use"})


def finish_of(word: str) -> Finish | None:
    """Return what a provider's finish reason means; ``None`` if nobody knows the word."""
    return _BY_WORD.get(word.strip().lower().rsplit(".", 1)[-1])


def is_foreign(event: Mapping[str, Any]) -> bool:
    """Return whether an event is of a protocol that is not OpenAI's chat completions."""
    return "choices" not in event and not _FOREIGN.isdisjoint(event)


def is_tool_call(word: str) -> bool:
    """Return whether a finish reason says that the model called a tool."""
    return word.strip().lower() in _TOOLS


def choices(event: Mapping[str, Any]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield index and choice of every choice of an event: of a list, one alone, or by number."""
    listed = event.get("choices")
    if isinstance(listed, dict):
        numbered = {k: v for k, v in listed.items() if k.isdecimal() and isinstance(v, dict)}
        listed = [{"index": int(k), **v} for k, v in numbered.items()] or [listed]
    for place, choice in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(choice, dict):
            index = choice.get("index")
            yield (index if isinstance(index, int) else place), choice


def body_of(choice: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """Return what a choice adds, and whether it is the whole answer so far."""
    delta, message = choice.get("delta"), choice.get("message")
    if isinstance(message, dict) and not (isinstance(delta, dict) and delta.get("content")):
        return message, True
    if isinstance(delta, dict):
        return delta, False
    text = delta if isinstance(delta, str) else choice.get("text")
    return {"content": text}, False


def texts(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return the visible text and the hidden reasoning of a delta or a message."""
    visible, hidden = _split(body.get("content"))
    if not visible:
        visible = _plain(body.get("refusal"))
    for holder in (body, *(body[name] for name in _VENDORS if isinstance(body.get(name), dict))):
        for name in _REASONING:
            if not hidden and name in holder:
                hidden = _plain(holder[name])
    return visible, hidden


def is_error(event: Mapping[str, Any]) -> bool:
    """Return whether an event is an error that does not stand in a field ``error``."""
    if event.get("choices"):
        return False
    is_called_one = "error" in (event.get("type"), event.get("object"))
    return is_called_one or isinstance(event.get("detail"), str | list)


def logprobs_of(choice: Mapping[str, Any]) -> list[float | None]:
    """Return the log-probability of each token that a choice carries; ``None`` for one without."""
    given = choice.get("logprobs")
    if not isinstance(given, dict):
        return []
    listed = given.get("content") or given.get("refusal") or given.get("token_logprobs")
    return [_logprob(token) for token in listed] if isinstance(listed, list) else []


def _logprob(token: Any) -> float | None:
    value = token.get("logprob") if isinstance(token, dict) else token
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _split(content: Any) -> tuple[str, str]:
    """Return visible and hidden text of content: a string, a part or a list of parts."""
    if isinstance(content, str):
        return content, ""
    if isinstance(content, int | float) and not isinstance(content, bool):
        return str(content), ""
    visible: list[str] = []
    hidden: list[str] = []
    for part in content if isinstance(content, list) else [content]:
        kind = part.get("type") if isinstance(part, dict) else None
        is_hidden = isinstance(kind, str) and kind.startswith(_HIDDEN)
        is_hidden = is_hidden or (isinstance(part, dict) and part.get("thought") is True)
        (hidden if is_hidden else visible).append(_plain(part))
    return "".join(visible), "".join(hidden)


def _plain(value: Any) -> str:
    """Return the text in a value, however deep it lies."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(_plain, value))
    if not isinstance(value, dict):
        return ""
    for name in (*_HIDDEN, "summary", *_TEXTS):
        if text := _plain(value.get(name)):
            return text
    return ""
