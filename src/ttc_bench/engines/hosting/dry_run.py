"""An engine that answers without a call: what a policy would ask for, counted and priced."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from ttc_bench.engines.base import Capability, Engine, ModelRole, Request
from ttc_bench.engines.completion import Completion, Reading, Timing, TokenLogprob, Usage
from ttc_bench.engines.hosted import HostedEngine
from ttc_bench.engines.hosting.library import litellm
from ttc_bench.engines.wrappers import EngineWrapper
from ttc_bench.errors import UserError
from ttc_bench.types import Message

_TEMPLATE_TOKENS = 4
"""What a chat template adds to a message, about."""


class DryRun(EngineWrapper):
    """Stands in for hosted models: no two answers agree, and none is any good.

    Policies that stop early once answers agree, or once one is good enough, therefore ask for all
    that their settings allow. One job runs at a time: equal inputs give equal figures.

    Attributes:
        concurrency: 1.

    Args:
        engine: The engine of the run; it is asked for names, abilities and prices only.
        completion_tokens: Tokens of an answer; ``None`` takes the most that its request allows.

    Raises:
        UserError: If no model of the engine is hosted.
    """

    concurrency = 1

    def __init__(self, engine: Engine, completion_tokens: int | None = None) -> None:
        hosted = engine.of("target") if isinstance(engine, EngineWrapper) else engine
        if not isinstance(hosted, HostedEngine):
            raise UserError(
                f"the {engine.name} engine makes no paid calls, so there is nothing to estimate."
                " Name an environment with hosted models, e.g. --env=groq."
            )
        super().__init__(engine)
        self._hosted = hosted
        self._most_tokens = completion_tokens
        self._numbers = itertools.count()

    async def complete(self, request: Request) -> tuple[Completion, ...]:
        """Return placeholders of the right length, with their bill.

        Raises:
            CapabilityError: If the engine of the run could not execute the request.
        """
        self.require(request)
        prompt_tokens = _tokens([message.content for message in request.messages])
        indexes = range(request.first_index, request.first_index + request.n)
        return tuple(self._completion(request, i, prompt_tokens) for i in indexes)

    async def verify(self, messages: Sequence[Message], solutions: Sequence[str]) -> Reading:
        """Return a score of 0 for every solution; verifiers are local and cost no dollars."""
        return Reading(
            self.model_name("verifier"), Usage(), Timing(), scores=(0.0,) * len(solutions)
        )

    async def prompt_logprobs(self, text: str, role: ModelRole = "draft") -> Reading:
        """Return every word as one token, all equally likely; such models are local, too."""
        words = re.finditer(r"\s*\S+|\s+", text)
        tokens = tuple(TokenLogprob(word.start(), word.end(), -1.0) for word in words)
        return Reading(self.model_name(role), Usage(), Timing(), tokens=tokens)

    async def close(self) -> None:
        """Do nothing: no connection was opened."""

    def _completion(self, request: Request, index: int, prompt_tokens: int) -> Completion:
        length = self._most_tokens or request.max_tokens
        tokens = max(min(length, request.max_tokens), 1)
        usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=tokens)
        has_logprobs = Capability.LOGPROBS in self.capabilities(request.role)
        return Completion(
            index=index,
            text=f"dry run {next(self._numbers)}",
            token_ids=(),
            logprobs=(-1.0,) * tokens if has_logprobs else None,
            finish_reason="length" if length >= request.max_tokens else "stop",
            model=self.model_name(request.role),
            usage=usage,
            timing=Timing(),
            usd=self._usd(request.role, usage),
        )

    def _usd(self, role: ModelRole, usage: Usage) -> float | None:
        if role not in self._hosted.roles():
            return 0.0
        price = self._hosted.endpoint(role).price
        return None if price is None else price.usd(usage)


def _tokens(texts: Sequence[str]) -> int:
    """Return about how many tokens messages are, by a tokenizer that ships with LiteLLM."""
    encode = litellm().encode
    return sum(len(encode(model="gpt-4o", text=text)) + _TEMPLATE_TOKENS for text in texts)
