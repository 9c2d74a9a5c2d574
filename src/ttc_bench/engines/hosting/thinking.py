"""How much a model thinks before it answers, in the words of whoever serves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ttc_bench.errors import UserError

Fields = dict[str, Any]

_TEMPLATE = ("hosted_vllm", "vllm", "openai", "lm_studio", "llamafile", "sglang")
"""Servers of open models, whose chat template decides (``openai`` at an address of one's own)."""

_SWITCHES: Mapping[str, Callable[[bool], Fields]] = {
    **dict.fromkeys(_TEMPLATE, lambda on: {"chat_template_kwargs": {"enable_thinking": on}}),
    "dashscope": lambda on: {"enable_thinking": on},
    "deepseek": lambda on: {"thinking": {"type": "enabled" if on else "disabled"}},
    "zai": lambda on: {"thinking": {"type": "enabled" if on else "disabled"}},
    "moonshot": lambda on: {"thinking": {"type": "enabled" if on else "disabled"}},
    "openrouter": lambda on: {"reasoning": {"enabled": on}},
    "together_ai": lambda on: {"reasoning": {"enabled": on}},
    "ollama": lambda on: {"think": on},
    "ollama_chat": lambda on: {"think": on},
}

_BUDGETS: Mapping[str, Callable[[int], Fields]] = {
    "hosted_vllm": lambda tokens: {"thinking_token_budget": tokens},
    "vllm": lambda tokens: {"thinking_token_budget": tokens},
    "dashscope": lambda tokens: {"thinking_budget": tokens},
    "openrouter": lambda tokens: {"reasoning": {"max_tokens": tokens}},
    **dict.fromkeys(
        ("anthropic", "gemini", "vertex_ai", "bedrock"),
        lambda tokens: {"thinking": {"type": "enabled", "budget_tokens": tokens}},
    ),
}


def fields(
    provider: str, enable: bool | None, effort: str | None, budget_tokens: int | None
) -> Fields:
    """Return the fields of a request that say how much the model thinks.

    Args:
        provider: LiteLLM's name of the provider.
        enable: Whether it thinks at all; ``None`` leaves it to the model.
        effort: How hard, in the provider's words.
        budget_tokens: Most tokens of hidden reasoning.

    Raises:
        UserError: If the provider is not known to take one of them.
    """
    wanted: Fields = {} if effort is None else {"reasoning_effort": effort}
    for name, value, words in (
        ("enable_thinking", enable, _SWITCHES),
        ("thinking_budget", budget_tokens, _BUDGETS),
    ):
        if value is None:
            continue
        say: Callable[[Any], Fields] | None = words.get(provider)
        if say is None:
            raise UserError(
                f"parameter model.{name}: it is not known how {provider} takes it. Put the"
                " provider's own field under model.extra_body."
            )
        wanted |= say(value)
    return wanted
