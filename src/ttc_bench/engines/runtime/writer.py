"""Requests to one model: the samples that are decoded, and the completions that they become."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from ttc_bench.engines.base import PLAIN, Request
from ttc_bench.engines.completion import Completion
from ttc_bench.engines.decoding.plain import decode_together
from ttc_bench.engines.runtime.context import DecodeContext
from ttc_bench.engines.runtime.models import LanguageModel
from ttc_bench.engines.runtime.reasoning import ThinkingBudget, reasoning_of
from ttc_bench.engines.runtime.runner import Runner
from ttc_bench.engines.runtime.sampler import Sampler
from ttc_bench.engines.runtime.stream import TokenStream

BORDER_TOKENS = 8
"""Tokens of a continued text that are decoded with what follows: enough for any character."""


class Writer:
    """Answers requests with a model.

    Args:
        model: The model.
        name: Its name in results.
        thinking_budget: Most tokens of marked reasoning, if it is ended at all.
        load_draft: Returns the runner of the draft model; see `DecodeContext`.
    """

    def __init__(
        self,
        model: LanguageModel,
        name: str,
        thinking_budget: int | None,
        load_draft: Callable[[], Runner],
    ) -> None:
        self._model = model
        self._name = name
        self._budget = None if thinking_budget is None else ThinkingBudget(thinking_budget)
        self._load_draft = load_draft

    def complete(self, request: Request) -> tuple[Completion, ...]:
        """Return the completions of a request that the model can execute.

        Raises:
            CallError: ``context_length`` if the prompt does not fit the context window.
        """
        contexts, is_shared = self.contexts(request), self._shares_prompt(request)
        with torch.inference_mode():
            if is_shared:
                decode_together(contexts)
            else:
                for place, context in enumerate(contexts):
                    if place:
                        context.out.restart()
                    contexts[place] = self._decode(request, context)
        first = request.first_index
        return tuple(
            [self.completion(request, first + i, c, is_shared) for i, c in enumerate(contexts)]
        )

    def contexts(self, request: Request) -> list[DecodeContext]:
        """Return one context per sample of a request; its clock starts before the prompt is read.

        Raises:
            CallError: ``context_length`` if the prompt does not fit the context window.
        """
        start_s, model = time.perf_counter(), self._model
        prompt = model.encode(request.messages)
        room = min(request.max_tokens, model.runner.max_positions - len(prompt))
        extra = {} if model.prompter.has_template else {"chat_template": "plain"}
        prior = model.prompter.prior(request.messages)
        before = prompt[-BORDER_TOKENS:] if request.messages[-1].role == "assistant" else []
        kind = (model.tokenizer, model.end_tokens, request.stop, room, start_s, before)
        return [
            DecodeContext(
                prompt=prompt,
                target=model.runner,
                sampler=Sampler(request.sampling, index),
                out=TokenStream(*kind),
                load_draft=self._load_draft,
                extra=dict(extra),
                prior=prior,
            )
            for index in request.indexes
        ]

    def completion(
        self, request: Request, index: int, context: DecodeContext, is_shared: bool = False
    ) -> Completion:
        """Return what a sample that is finished has become.

        Args:
            request: What asked for it.
            index: Its seed index.
            context: What it was decoded with.
            is_shared: Whether it shared the prompt's computation with others.
        """
        out = context.out
        assert out.finish_reason is not None
        reasoning = reasoning_of(out, context.prior)
        # Where the template has opened a thinking block, the text begins with it all the same.
        opening = "" if request.messages[-1].role == "assistant" else context.prior
        facts = {**context.extra, **context.read_trace(), **context.near_ties()}
        return Completion(
            index=index,
            text=opening + out.text(),
            token_ids=tuple(out.tokens),
            logprobs=tuple(out.logprobs),
            finish_reason=out.finish_reason,
            model=self._name,
            usage=context.usage(reasoning.tokens),
            timing=out.timing(reasoning.first),
            shared_prefill=is_shared,
            extra={**facts, "stop_reason": out.stop_string},
        )

    def _shares_prompt(self, request: Request) -> bool:
        """Return whether the samples run through the prompt together: plain ones alone do.

        A subclass of `Plain` has a loop of its own, and is not equal to it.
        """
        return request.n > 1 and self._budget is None and request.decoding == PLAIN

    def _decode(self, request: Request, context: DecodeContext) -> DecodeContext:
        """Decode one sample; return what it was decoded with."""
        if self._budget is not None:
            return self._budget.run(request.decoding, context)
        request.decoding.run(context)
        return context
