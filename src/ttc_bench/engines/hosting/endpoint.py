"""Where and how one hosted model is reached: all of it as LiteLLM resolves it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from ttc_bench.engines.base import Capability, Request
from ttc_bench.engines.completion import CallError
from ttc_bench.engines.hosting.library import litellm
from ttc_bench.engines.hosting.money import Price, listed_price
from ttc_bench.engines.hosting.secrets import check_address
from ttc_bench.errors import UserError
from ttc_bench.types import Message

Continuation = Literal["none", "prefill", "vllm", "prefix"]
"""How a partial assistant turn is continued: not at all; by sending it as it is; by vLLM's
``continue_final_message``; by ``"prefix": true`` on the message (DeepSeek, Mistral)."""

_CONTINUES: Mapping[str, Continuation] = {
    "groq": "prefill",
    "ollama": "prefill",
    "ollama_chat": "prefill",
    "anthropic": "prefill",
    "hosted_vllm": "vllm",
    "deepseek": "prefix",
    "mistral": "prefix",
}

_HAS_LOGPROBS = ("openai", "hosted_vllm", "deepseek")

_ADDRESSES = {
    "openai": "https://api.openai.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
}
"""Addresses that LiteLLM keeps in its call functions instead of its resolution."""


@dataclass(frozen=True)
class Endpoint:
    """One hosted model.

    Attributes:
        name: LiteLLM's name of the model, as it stands in results (``groq/...``).
        provider: LiteLLM's name of the provider.
        dialect: The provider whose parameters it takes (Ollama speaks OpenAI's, too).
        model: The provider's name of the model.
        address: Base address the user named, or the provider's own.
        url: Where chat completions go; ``None`` if LiteLLM has to make the call.
        headers: Request headers, the key among them: never shown.
        key: The key: never shown.
        key_variable: The environment variable that holds it.
        supported: OpenAI parameters that the provider knows.
        price: Its price, if known.
        continuation: How a partial assistant turn is continued.
        logprobs: Whether log-probabilities are asked for.
        extra_body: Fields added to every request.
        secrets: Values of the user's own headers: never shown.
    """

    name: str
    provider: str
    dialect: str
    model: str
    address: str | None
    url: str | None
    headers: Mapping[str, str] = field(repr=False)
    key: str = field(repr=False)
    key_variable: str
    supported: frozenset[str] = field(repr=False)
    price: Price | None = None
    continuation: Continuation = "none"
    logprobs: bool = False
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def is_direct(self) -> bool:
        """Whether the event stream is read here, not by LiteLLM."""
        return self.url is not None

    @cached_property
    def capabilities(self) -> frozenset[Capability]:
        """What the model can be asked for."""
        able = {Capability.GENERATE}
        if self.continuation != "none":
            able.add(Capability.CONTINUE)
        if self.logprobs:
            able.add(Capability.LOGPROBS)
        return frozenset(able)

    def messages(self, messages: tuple[Message, ...]) -> list[dict[str, Any]]:
        """Return the messages as the provider takes them."""
        plain: list[dict[str, Any]] = [{"role": m.role, "content": m.content} for m in messages]
        if messages[-1].role == "assistant" and self.continuation == "prefix":
            plain[-1]["prefix"] = True
        return plain

    def parameters(self, request: Request) -> dict[str, Any]:
        """Return the OpenAI parameters of a request; samples add their ``seed``.

        Raises:
            CallError: If the provider cannot do what is asked.
        """
        sampling = request.sampling
        parameters: dict[str, Any] = {
            "temperature": sampling.temperature,
            "max_tokens": request.max_tokens,
            "stream_options": {"include_usage": True},
        }
        if request.stop:
            parameters["stop"] = list(request.stop)
        if sampling.temperature > 0 and sampling.top_p < 1:
            parameters["top_p"] = sampling.top_p
        if self.logprobs:
            parameters["logprobs"] = True
        missing = [
            n for n in ("temperature", "top_p", "stop") if n in parameters.keys() - self.supported
        ]
        if sampling.temperature > 0 and sampling.top_k:
            missing.append("top_k")
        if missing:
            raise self.cannot(f"the parameter {missing[0]!r} that the policy needs")
        return parameters

    def extras(self, request: Request) -> dict[str, Any]:
        """Return the fields beyond OpenAI's that a request carries."""
        fields = dict(self.extra_body)
        if self.continuation == "vllm" and request.messages[-1].role == "assistant":
            fields |= {"continue_final_message": True, "add_generation_prompt": False}
        return fields

    def cannot(self, what: str) -> CallError:
        """Return the error of a model that does not support something; it stops the run."""
        message = f"{self.name} does not support {what}."
        return CallError("unsupported_parameter", message, attempts=0, fatal=True)


def resolve(
    name: str,
    api_base: str | None,
    *,
    transport: Literal["auto", "direct", "litellm"] = "auto",
    continuation: Literal["auto"] | Continuation = "auto",
    logprobs: bool | None = None,
    price: Price | None = None,
    extra_body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    has_keys: bool = True,
) -> Endpoint:
    """Return how LiteLLM reaches a model; no call is made.

    Args:
        name: LiteLLM's name, ``provider/model``.
        api_base: Base address; ``None`` takes the provider's own.
        transport: ``direct`` reads the event stream here, ``litellm`` lets LiteLLM call; ``auto``
            is direct wherever the provider speaks OpenAI's protocol.
        continuation: How partial assistant turns are continued; ``auto`` goes by the provider.
        logprobs: Whether to ask for log-probabilities; ``None`` goes by the provider.
        price: Price to use instead of LiteLLM's.
        extra_body: Fields to add to every request.
        headers: Names of environment variables that hold headers of the user's own, by header.
        has_keys: Whether keys and headers are to be read; else nothing is asked for them, and no
            call can be made.

    Raises:
        UserError: If there is no such provider, no key, or no way to read its stream here.
    """
    library = litellm()
    model, provider, listed_key, listed_base = _provider(library, name, api_base)
    is_open = api_base is not None or not has_keys
    key, variable = _key(library, name, provider, listed_key, is_open)
    base = api_base or listed_base or _ADDRESSES.get(provider) or _local(provider)
    check_address(base)
    # Where no call is made any word will do: some providers' headers cannot be built without one.
    direct = _reached(transport, model, provider, key if has_keys else key or "none", base)
    dialect = _dialect(provider) if direct else provider
    supported = frozenset(library.get_supported_openai_params(model, dialect) or ())
    url, known = direct or (None, {})
    own = _own_headers(headers or {}) if has_keys else {}
    return Endpoint(
        name=name,
        provider=provider,
        dialect=dialect,
        model=model,
        address=base,
        url=url,
        headers={**_without(known, own), **own},
        secrets=tuple(own.values()),
        key=key,
        key_variable=variable,
        supported=supported,
        price=price or listed_price(model, provider),
        continuation=_continuation(library, model, provider, continuation),
        logprobs=_logprobs(provider, supported, api_base, logprobs),
        extra_body=dict(extra_body or {}),
    )


def _provider(
    library: Any, name: str, api_base: str | None
) -> tuple[str, str, str | None, str | None]:
    """Return model, provider, key and base address as LiteLLM splits and finds them.

    Raises:
        UserError: If it knows no such provider.
    """
    try:
        model, provider, key, base = library.get_llm_provider(name, api_base=api_base)
    except Exception as error:
        raise UserError(
            f"parameter model: LiteLLM knows no provider for {name!r}. Names are provider/model,"
            " e.g. groq/llama-3.3-70b-versatile, hosted_vllm/<model>, ollama_chat/<model>."
        ) from error
    return model, provider, key, base


def _reached(
    transport: str, model: str, provider: str, key: str, base: str | None
) -> tuple[str, dict[str, str]] | None:
    """Return address and headers where the stream is read here; ``None`` if LiteLLM calls.

    Raises:
        UserError: If it must be read here and cannot.
    """
    if transport == "litellm":
        return None
    direct = _direct(model, provider, key, base)
    if transport == "direct" and direct is None:
        raise UserError(
            f"parameter model.transport: {provider} does not speak OpenAI's protocol;"
            " set it to auto or litellm."
        )
    return direct


def _key(
    library: Any, name: str, provider: str, key: str | None, may_lack: bool
) -> tuple[str, str]:
    """Return the key and the variable that holds it; endpoints of one's own may have no key.

    Raises:
        UserError: If there is none.
    """
    missing = library.validate_environment(name)["missing_keys"]
    variables = [variable for variable in missing if variable.endswith("_KEY")]
    variable = next(iter(variables), f"{provider.upper()}_API_KEY")
    if key == "fake-api-key":  # LiteLLM's word for none
        key = None
    key = key or os.environ.get(variable)
    if key is None and variables and not may_lack:
        raise UserError(
            f"{name} has no key: set the environment variable {' or '.join(variables)}"
            " (or put it under `hosted` in conf/local/credentials.yml)."
        )
    _check_header(variable, key or "")
    return key or "", variable


def _dialect(provider: str) -> str:
    """Return the provider whose protocol is spoken: Ollama has OpenAI's beside its own."""
    return "openai" if provider in ("ollama", "ollama_chat") else provider


def _local(provider: str) -> str | None:
    if _dialect(provider) == provider:
        return None
    return os.environ.get("OLLAMA_API_BASE", "http://localhost:11434")


def _without(headers: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Return headers but for those that stand among one's own, whatever their letters' case."""
    names = {name.lower() for name in own}
    return {name: value for name, value in headers.items() if name.lower() not in names}


def _own_headers(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the user's own headers, read from the environment.

    Raises:
        UserError: If a variable is not set; what was given in its place is not shown.
    """
    if missing := [header for header, name in variables.items() if not os.environ.get(name)]:
        raise UserError(
            f"parameter model.headers: {missing[0]} names no environment variable that is set."
            " Values of headers are secrets: only the variable's name stands in parameters."
        )
    for name in variables.values():
        _check_header(name, os.environ[name])
    return {header: os.environ[name] for header, name in variables.items()}


def _check_header(variable: str, value: str) -> None:
    """Raise if a value cannot stand in a header; it is not shown.

    Raises:
        UserError: Naming its variable.
    """
    if any(sign in value for sign in "\r\n\0"):
        raise UserError(
            f"the environment variable {variable} holds a line break, which no key or header has:"
            " set it anew, without what its file has behind it."
        )


def _direct(
    model: str, provider: str, key: str, base: str | None
) -> tuple[str, dict[str, str]] | None:
    """Return address and headers of an OpenAI-compatible endpoint, or ``None``."""
    from litellm.llms.openai.chat.gpt_transformation import OpenAIGPTConfig
    from litellm.types.utils import LlmProviders
    from litellm.utils import ProviderConfigManager

    if _dialect(provider) != provider:
        # LiteLLM speaks Ollama's own protocol; its address serves OpenAI's under /v1.
        base = f"{(base or '').rstrip('/').removesuffix('/v1')}/v1"
    dialect = _dialect(provider)
    config = ProviderConfigManager.get_provider_chat_config(model, LlmProviders(dialect))
    compatible = {"openai", "openrouter", "mistral", *litellm().openai_compatible_providers}
    if dialect not in compatible or not isinstance(config, OpenAIGPTConfig) or base is None:
        return None
    url = config.get_complete_url(
        api_base=base, api_key=key, model=model, optional_params={}, litellm_params={}, stream=True
    )
    headers = config.validate_environment(
        headers={},
        model=model,
        messages=[],
        optional_params={},
        litellm_params={},
        api_key=key or None,
        api_base=base,
    )
    return url, {**headers, "Accept": "text/event-stream", "Accept-Encoding": "identity"}


def _continuation(
    library: Any, model: str, provider: str, setting: Literal["auto"] | Continuation
) -> Continuation:
    if setting != "auto":
        return setting
    if provider in _CONTINUES:
        return _CONTINUES[provider]
    listed = library.model_cost.get(f"{provider}/{model}") or library.model_cost.get(model) or {}
    return "prefill" if listed.get("supports_assistant_prefill") else "none"


def _logprobs(
    provider: str, supported: frozenset[str], api_base: str | None, setting: bool | None
) -> bool:
    if setting is not None:
        return setting
    # An address of one's own may be any server: only vLLM's is known to report them.
    at_home = api_base is None or provider == "hosted_vllm"
    return provider in _HAS_LOGPROBS and "logprobs" in supported and at_home
