"""The hosted engine: any model that LiteLLM knows, seen from outside.

LiteLLM resolves provider, address, key, parameters, price and error classes. The event stream of
every OpenAI-compatible endpoint is read here over one pooled session, because the client's own
load bends what it measures; the other providers go through LiteLLM and results say so.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ttc_bench.engines.base import CallLimits, Capability, Engine, ModelRole, Request, Sampling
from ttc_bench.engines.completion import Completion, Reading
from ttc_bench.engines.hosting.money import Budget, Price
from ttc_bench.engines.hosting.secrets import check_address, name_of_secret
from ttc_bench.engines.selection import ENGINES, EngineParams
from ttc_bench.errors import CapabilityError, UserError
from ttc_bench.types import Message

if TYPE_CHECKING:
    from ttc_bench.engines.hosting.client import EndpointClient
    from ttc_bench.engines.hosting.endpoint import Endpoint
    from ttc_bench.engines.hosting.limits import Throttle

ANSWERS_VERSION = "1"
"""Raised whenever a change of this engine could change what a model answers."""

LACKING = {
    Capability.DECODING_LOOP: "a provider runs no decoding loop but its own",
    Capability.LOGPROBS: "where it reports them, set the parameter model.logprobs to true",
    Capability.CONTINUE: "where it goes on from a partial answer, say how by the parameter"
    " model.continuation",
    Capability.PROMPT_LOGPROBS: "a hosted model does not report prompt logprobs: set the parameter"
    " model.draft to local/<path>",
}
"""Why a hosted model lacks a capability, or what is set where it has it all the same."""


@ENGINES.register("hosted")
class HostedModels(EngineParams):
    """Models of the hosted engine, by role, and how politely they are asked.

    Keys are no parameters: they come from the environment (``GROQ_API_KEY``, ...).

    Attributes:
        target: LiteLLM's name of the model that answers: ``provider/model``.
        draft: The same for a small model (cascades, speculation by steps). ``local/<path>`` is a
            local one, which can prune prompts too.
        verifier: Path of a local verifier; hosted models have no head that scores.
        api_base: Base address of an endpoint of one's own; null takes the provider's.
        draft_api_base: The same for the draft; null takes ``api_base`` if the draft has the
            target's provider.
        served: The target at an endpoint that speculates by itself, where it has another name.
        served_api_base: Base address of that endpoint; alone, it serves the target's name.
        counters: Read the Prometheus counters of vLLM and SGLang around every call, for servers
            that do not report speculation per request. Their rise belongs to a call only if
            nothing else runs, so the run then makes one call at a time, everywhere.
        transport: ``direct`` reads the event stream here, ``litellm`` lets LiteLLM call, ``auto``
            is direct wherever the provider speaks OpenAI's protocol.
        concurrency: Most calls in flight at once, on each endpoint; it falls by itself while the
            provider refuses calls.
        requests_per_s: Most requests in any second, on each endpoint; null sets no limit.
        requests_per_minute: Most requests in any minute.
        tokens_per_minute: Most tokens, of prompts and answers, in any minute.
        attempts: Most tries of one sample; refusals for rate limits are not counted.
        max_wait_s: Longest time in seconds that one sample may lose to failed tries and waits.
        timeout_s: Longest time in seconds for one answer.
        first_token_timeout_s: Longest wait in seconds for the first token of an answer, the
            server's own queue included; null sets no limit but that of the whole answer.
        idle_timeout_s: Longest silence in seconds within an answer that has begun.
        max_usd: Dollars that the run never passes.
        max_requests: Requests that the run never passes.
        prices: Prices of models that LiteLLM's map does not list, by name.
        continuation: How a partial assistant turn is continued (``prefill`` sends it as it is,
            ``vllm`` and ``prefix`` mark it); ``auto`` goes by the provider.
        logprobs: Whether to ask for log-probabilities; null goes by the provider.
        tokenizer: Folder of the models' tokenizer, which counts tokens exactly where a server
            sends no usage; without it such counts and their price are null.
        enable_thinking: Whether the models reason before they answer; null leaves it to them.
        reasoning_effort: How hard they reason, in the provider's words (``low``, ``high``, ...).
        thinking_budget: Most tokens of hidden reasoning.
        headers: Headers of one's own, each with the name of the environment variable that holds
            its value, which is written nowhere.
        extra_body: Fields added to every request, as the endpoint defines them; no keys.
    """

    is_hosted: ClassVar[bool] = True

    target: str = Field(min_length=1)
    draft: str | None = None
    verifier: str | None = None
    api_base: str | None = None
    draft_api_base: str | None = None
    served: str | None = None
    served_api_base: str | None = None
    counters: bool = False
    transport: Literal["auto", "direct", "litellm"] = "auto"
    concurrency: int = Field(default=50, ge=1)
    requests_per_s: float | None = Field(default=100.0, ge=1.0)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    attempts: int = Field(default=8, ge=1)
    max_wait_s: float = Field(default=300.0, ge=0.0)
    timeout_s: float = Field(default=600.0, gt=0.0)
    first_token_timeout_s: float | None = Field(default=None, gt=0.0)
    idle_timeout_s: float = Field(default=60.0, gt=0.0)
    max_usd: float | None = Field(default=None, gt=0.0)
    max_requests: int | None = Field(default=None, ge=1)
    prices: dict[str, Price] = Field(default_factory=dict)
    continuation: Literal["auto", "none", "prefill", "vllm", "prefix"] = "auto"
    logprobs: bool | None = None
    tokenizer: str | None = None
    enable_thinking: bool | None = None
    reasoning_effort: str | None = None
    thinking_budget: int | None = Field(default=None, ge=0)
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    extra_body: dict[str, Any] = Field(default_factory=dict, repr=False)

    @model_validator(mode="after")
    def _holds_no_secret(self) -> Self:
        """Refuse keys: parameters of every run are written to its report, whatever it runs.

        Raises:
            UserError: If an address or a field to add holds what looks like one.
        """
        for base in (self.api_base, self.draft_api_base, self.served_api_base):
            check_address(base)
        if secret := name_of_secret(self.extra_body):
            raise UserError(
                f"parameter model.extra_body: {secret} looks like a key, and parameters are written"
                " to reports. Name an environment variable under model.headers instead."
            )
        return self

    def build(self) -> Engine:
        """Return the engine, every model resolved and no call made.

        Raises:
            UserError: If a model is unknown to LiteLLM, its key is missing, or a path is wrong.
        """
        return self._with_helpers(HostedEngine(self))

    def build_unasked(self) -> Engine:
        """Return the engine without its keys; see `EngineParams.build_unasked`."""
        return self._with_helpers(HostedEngine(self, has_keys=False))

    def _with_helpers(self, hosted: HostedEngine) -> Engine:
        helpers = self._helpers()
        if helpers is None:
            return hosted
        from ttc_bench.engines.wrappers import EngineByRole, Threaded

        local = Threaded(helpers)
        by_role: dict[ModelRole, Engine] = dict.fromkeys(hosted.roles(), hosted)
        return EngineByRole({**by_role, **dict.fromkeys(local.roles(), local)})

    @property
    def most_at_once(self) -> int:
        """Most calls in flight at once: a single one where counters tell them apart."""
        return 1 if self.counters else self.concurrency

    @property
    def local_draft(self) -> str | None:
        """Path of the draft, if it is a local model."""
        provider, _, path = (self.draft or "").partition("/")
        return path if provider == "local" else None

    def _helpers(self) -> Engine | None:
        """Return an engine of the local models, without a target, if there are any."""
        if self.local_draft is None and self.verifier is None:
            return None
        from ttc_bench.engines.local import LocalEngine, LocalModels

        # No target: the hosted one answers. The model's own check asks for one.
        paths: dict[str, Any] = {
            "target": None,
            "draft": self.local_draft,
            "verifier": self.verifier,
        }
        engine = LocalEngine(LocalModels.model_construct(**paths))
        engine.check()
        return engine


class HostedEngine(Engine):
    """Runs requests on hosted models, many at a time.

    Args:
        models: The models by role, and how they are asked.
        has_keys: Whether keys and headers of one's own are read; without them no call succeeds.

    Raises:
        UserError: If a model cannot be resolved.
    """

    def __init__(self, models: HostedModels, has_keys: bool = True) -> None:
        self.models = models
        self._budget = Budget(models.max_usd, models.max_requests)
        self._clients = _clients(models, self._budget, has_keys)
        self._most_at_once = models.most_at_once
        self.is_paid = True

    @property
    def name(self) -> str:
        """Whether its own client asks every model, or LiteLLM one of them."""
        is_direct = all(client.endpoint.is_direct for client in self._clients.values())
        return "hosted" if is_direct else "hosted by litellm"

    @property
    def concurrency(self) -> int:
        """Calls in flight at once."""
        return self._most_at_once

    def roles(self) -> frozenset[ModelRole]:
        """Return the model roles that are configured."""
        return frozenset(self._clients)

    def model_name(self, role: ModelRole = "target") -> str:
        """Return LiteLLM's name of the model in ``role``."""
        return self.endpoint(role).name

    def fingerprint(self, role: ModelRole = "target") -> str:
        """Return a hash over the model's name, its address and what shapes its prompt."""
        endpoint = self.endpoint(role)
        identity = (
            ANSWERS_VERSION,
            endpoint.name,
            endpoint.url or endpoint.address,
            endpoint.continuation,
            endpoint.logprobs,
            endpoint.extra_body,
        )
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def capabilities(self, role: ModelRole = "target") -> frozenset[Capability]:
        """Return what the model in ``role`` can be asked for."""
        return self.endpoint(role).capabilities

    def endpoint(self, role: ModelRole = "target") -> Endpoint:
        """Return where and how the model in ``role`` is reached.

        Raises:
            CapabilityError: If there is none.
        """
        return self._client(role).endpoint

    async def complete(self, request: Request) -> tuple[Completion, ...]:
        """Return the single completion of a request; samples are calls of their own.

        Raises:
            CallError: If the call failed for good.
            CapabilityError: If the model cannot execute the request.
        """
        self.require(request)
        index = request.first_index
        client = self._client(request.role)
        return (await client.ask(request, index, _seed(request.sampling, index)),)

    def set_by(self, role: ModelRole, needed: frozenset[Capability] = frozenset()) -> str:
        """Return what gives the engine a model in ``role``; see `Engine.set_by`."""
        if role == "served":
            return "set the parameter model.served_api_base, or model.served"
        if role == "verifier":
            return "set the parameter model.verifier to the path of a local one"
        if Capability.PROMPT_LOGPROBS in needed:
            return f"set the parameter model.{role} to local/<path>"
        return super().set_by(role, needed)

    def shortcoming(self, role: ModelRole, capability: Capability) -> str:
        """Return why a provider lacks a capability, or what says that it does not."""
        return LACKING.get(capability, "")

    async def verify(self, messages: Sequence[Message], solutions: Sequence[str]) -> Reading:
        """Refuse: a hosted model has no scalar head.

        Raises:
            CapabilityError: Always.
        """
        raise CapabilityError(f"a hosted model has no head that scores: {self.set_by('verifier')}.")

    async def prompt_logprobs(self, text: str, role: ModelRole = "draft") -> Reading:
        """Refuse: a hosted model does not report the logprobs of a prompt.

        Raises:
            CapabilityError: Always.
        """
        raise CapabilityError(f"{LACKING[Capability.PROMPT_LOGPROBS]}.")

    def limit(self, limits: CallLimits) -> None:
        """Go by other limits from now on; see `Engine.limit`.

        Jobs that run one by one go on so until the next variant begins.
        """
        asked = limits.model_dump(exclude={"paused"}, exclude_none=True)
        if self.models.counters and limits.concurrency not in (None, 1):
            raise UserError("model.counters lets one call run at a time: concurrency stays 1.")
        # What the run was started with is checked already; `self.models` stays what that was.
        now = HostedModels.model_validate({**self.models.model_dump(), **asked})
        _check_prices(now, self._clients)
        self._most_at_once = now.most_at_once
        self._budget.limit(now.max_usd, now.max_requests)
        for client in self._clients.values():
            client.limit(
                now.most_at_once, now.requests_per_minute, now.tokens_per_minute, limits.paused
            )

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        for client in self._clients.values():
            await client.close()

    def _client(self, role: ModelRole) -> EndpointClient:
        if role not in self._clients:
            raise CapabilityError(f"the hosted engine has no {role} model: {self.set_by(role)}.")
        return self._clients[role]


def _clients(
    models: HostedModels, budget: Budget, has_keys: bool
) -> dict[ModelRole, EndpointClient]:
    clients: dict[ModelRole, EndpointClient] = {
        role: _connect(models, name, api_base, budget, has_keys)
        for role, name, api_base in _addresses(models)
    }
    _check_prices(models, clients)
    return clients


def _check_prices(models: HostedModels, clients: Mapping[ModelRole, EndpointClient]) -> None:
    """Raise where dollars are limited and what a model costs is not known."""
    for client in clients.values():
        if models.max_usd is not None and client.endpoint.price is None:
            raise UserError(
                f"parameter model.max_usd: no price is known for {client.endpoint.name}. Set it"
                " under model.prices, or limit the run by model.max_requests."
            )


def _addresses(models: HostedModels) -> list[tuple[ModelRole, str, str | None]]:
    """Return role, name and base address of every configured model."""
    addresses: list[tuple[ModelRole, str, str | None]]
    addresses = [("target", models.target, models.api_base)]
    if models.draft is not None and models.local_draft is None:
        same = models.draft.partition("/")[0] == models.target.partition("/")[0]
        base = models.draft_api_base or (models.api_base if same else None)
        addresses.append(("draft", models.draft, base))
    if models.served is not None or models.served_api_base is not None:
        base = models.served_api_base or models.api_base
        addresses.append(("served", models.served or models.target, base))
    return addresses


def _connect(
    models: HostedModels, name: str, api_base: str | None, budget: Budget, has_keys: bool
) -> EndpointClient:
    from ttc_bench.engines.hosting.attempts import RetrySchedule
    from ttc_bench.engines.hosting.client import EndpointClient
    from ttc_bench.engines.hosting.concurrency import ConcurrencyLimiter
    from ttc_bench.engines.hosting.counters import Counters
    from ttc_bench.engines.hosting.tokenizer import Tokenizer
    from ttc_bench.engines.hosting.transports import ByLiteLLM, Direct, Timeouts

    endpoint = _endpoint(models, name, api_base, has_keys)
    first_s = models.first_token_timeout_s or models.timeout_s
    timeouts = Timeouts(models.timeout_s, models.idle_timeout_s, first_s)
    transport = (Direct if endpoint.is_direct else ByLiteLLM)(endpoint, timeouts)
    limiter = ConcurrencyLimiter(models.most_at_once, name)
    schedule = RetrySchedule(models.attempts, models.max_wait_s)
    counters = Counters(endpoint.address) if models.counters and endpoint.address else None
    tokenizer = Tokenizer(models.tokenizer) if models.tokenizer else None
    return EndpointClient(
        endpoint, transport, _throttle(models), limiter, budget, schedule, counters, tokenizer
    )


def _endpoint(models: HostedModels, name: str, api_base: str | None, has_keys: bool) -> Endpoint:
    """Return where and how a model is reached, with what every request says beside its own.

    Raises:
        UserError: If it cannot be resolved.
    """
    from ttc_bench.engines.hosting.endpoint import resolve
    from ttc_bench.engines.hosting.thinking import fields as thinking_fields

    provider = name.partition("/")[0]
    thinking = thinking_fields(
        provider, models.enable_thinking, models.reasoning_effort, models.thinking_budget
    )
    return resolve(
        name,
        api_base,
        transport=models.transport,
        continuation=models.continuation,
        logprobs=models.logprobs,
        price=models.prices.get(name),
        extra_body={**thinking, **models.extra_body},
        headers=models.headers,
        has_keys=has_keys,
    )


def _throttle(models: HostedModels) -> Throttle:
    from ttc_bench.engines.hosting.limits import MINUTE_S, SlidingWindow, Throttle

    requests = [SlidingWindow(models.requests_per_s, 1.0)] if models.requests_per_s else []
    # Those of a minute count without a limit too: one that comes later holds for what has left.
    per_minute = (models.requests_per_minute, models.tokens_per_minute)
    of_requests, of_tokens = (SlidingWindow(most or math.inf, MINUTE_S) for most in per_minute)
    return Throttle((*requests, of_requests), (of_tokens,))


def _seed(sampling: Sampling, index: int) -> int:
    """Return the seed of one sample: a positive 31-bit number, the same for equal arguments."""
    digest = hashlib.sha256(f"{sampling.seed}/{index}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
