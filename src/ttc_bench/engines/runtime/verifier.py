"""Verifiers: models that score (partial) solutions, by a scalar head or by an implicit reward."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ttc_bench.engines.completion import CallError, Reading, Timing
from ttc_bench.engines.runtime.cache import Meter
from ttc_bench.engines.runtime.chat import Prompter
from ttc_bench.engines.runtime.llama import LlamaRunner, is_white_box
from ttc_bench.engines.runtime.measured_cost import Counter, measure_reading
from ttc_bench.engines.runtime.models import (
    LanguageModel,
    Placement,
    check_known,
    load_weights,
)
from ttc_bench.engines.runtime.prompt_logprobs import reading_usage
from ttc_bench.engines.runtime.runner import Runner
from ttc_bench.engines.runtime.source import ModelSource
from ttc_bench.engines.runtime.stream import encode
from ttc_bench.types import Message

ROWS = 16
"""Solutions that a verifier reads in one pass."""


def load_verifier(source: ModelSource, placement: Placement) -> Verifier:
    """Return the verifier of a checked source, loaded."""
    kind = ScalarVerifier if source.implicit_reward is None else ImplicitVerifier
    return kind(source, placement)


class Verifier(ABC):
    """Scores whole and partial solutions with the probability that they are right.

    Args:
        source: Where the model is.
        placement: Where and how it runs.
    """

    tokenizer: Any
    prompter: Prompter
    window: int
    """Most tokens of a question with a solution."""
    known: int
    """Tokens that the model has embeddings for."""

    @abstractmethod
    def __init__(self, source: ModelSource, placement: Placement) -> None: ...

    def read(self, name: str, messages: Sequence[Message], solutions: Sequence[str]) -> Reading:
        """Return one score per solution.

        Args:
            name: Name of the verifier in results.
            messages: The question; if its last turn is the assistant's, solutions continue it.
            solutions: Whole or partial solutions.

        Raises:
            CallError: ``context_length`` if the question with a solution exceeds the window,
                ``vocabulary`` if they hold a token that the model does not have.
        """
        start_s = time.perf_counter()
        prompt, tails = self._encode(messages, solutions)
        meter, tokens = Meter(), 0
        scores: list[float] = []
        for start in range(0, len(tails), ROWS):
            rows = tails[start : start + ROWS]
            scores += self._score(prompt, rows, meter)
            tokens += self._tokens(prompt, rows)
        return Reading(
            model=name,
            usage=reading_usage(meter, tokens),
            timing=Timing(latency_s=time.perf_counter() - start_s),
            scores=tuple(scores),
        )

    def _encode(
        self, messages: Sequence[Message], solutions: Sequence[str]
    ) -> tuple[list[int], list[list[int]]]:
        prompt = self.prompter.encode(messages)
        tails = [encode(self.tokenizer, solution) for solution in solutions]
        longest = len(prompt) + max(map(len, tails), default=0)
        if longest > self.window:
            raise CallError(
                "context_length",
                f"question and solution have {longest} tokens, but the verifier's context window"
                f" is {self.window}",
            )
        check_known([*prompt, *(t for tail in tails for t in tail)], self.tokenizer, self.known)
        # A solution of no tokens is judged at the last token of the question.
        return prompt[:-1], [[prompt[-1], *tail] for tail in tails]

    @abstractmethod
    def _score(self, prompt: list[int], tails: list[list[int]], meter: Meter) -> list[float]:
        """Return the score of each tail; the meter is charged with all passes."""

    def _tokens(self, prompt: list[int], tails: list[list[int]]) -> int:
        """Return the tokens that a model reads: the prompt once per pass."""
        return len(prompt) + sum(map(len, tails))


class ScalarVerifier(Verifier):
    """A classification model with one output, read at the last token of a (partial) solution.

    The score is the sigmoid of the output: the probability that the solution is right so far
    (arXiv 2110.14168; a process reward model as in 2408.03314).
    """

    def __init__(self, source: ModelSource, placement: Placement) -> None:
        import transformers

        per_token = any("TokenClassification" in name for name in source.architectures)
        auto_class: Any = (
            transformers.AutoModelForTokenClassification
            if per_token
            else transformers.AutoModelForSequenceClassification
        )
        self.tokenizer = source.tokenizer
        self.prompter = Prompter(self.tokenizer)
        self.model = load_weights(auto_class, source, placement)
        self.window = int(
            getattr(self.model.config.get_text_config(), "max_position_embeddings", None) or 2**31
        )
        self.known = int(self.model.get_input_embeddings().num_embeddings)
        self._placement = placement
        white = is_white_box(self.model.config) and hasattr(self.model, "score")
        self._runner = (
            LlamaRunner(self.model, self.model.score, placement.threads) if white else None
        )

    def _score(self, prompt: list[int], tails: list[list[int]], meter: Meter) -> list[float]:
        if self._runner is None:
            return self._read_whole(prompt, tails, meter)
        return self._read_white_box(self._runner, prompt, tails, meter)

    def _tokens(self, prompt: list[int], tails: list[list[int]]) -> int:
        # The white-box reader computes the prompt once per pass, the other one once per row.
        prompts = 1 if self._runner is not None else len(tails)
        return len(prompt) * prompts + sum(map(len, tails))

    @torch.inference_mode()
    def _read_white_box(
        self, runner: LlamaRunner, prompt: list[int], tails: list[list[int]], meter: Meter
    ) -> list[float]:
        shared, rows = Meter(), [Meter() for _ in tails]
        cache = runner.new_cache(len(prompt) + max(map(len, tails)), [shared])
        if prompt:
            step = runner.begin(torch.tensor([prompt], device=runner.device), cache)
            runner.run(step)
            runner.finish(step)
        cache.expand(rows)
        tokens, last = _pad(tails, 0, runner.device)
        step = runner.begin(tokens, cache, prefill=True)
        runner.run(step)
        runner.finish(step)
        scores = runner.logits(step, at=last)[:, 0].sigmoid().tolist()
        _merge(meter, shared, rows)
        return list(scores)

    @torch.inference_mode()
    def _read_whole(self, prompt: list[int], tails: list[list[int]], meter: Meter) -> list[float]:
        """Read row by row through the model's own forward: no padding, so no family's quirks."""
        scores: list[float] = []
        n_layers = int(self.model.config.get_text_config().num_hidden_layers)
        for tail in tails:
            tokens = torch.tensor([prompt + tail], device=self._placement.device)
            flops = self._cost(tokens.shape[1])
            self._placement.threads.use_for(flops)
            # One score per token, or one for the row: the last one is read either way.
            scores.append(float(self.model(tokens).logits.float().flatten()[-1].sigmoid()))
            meter.add_pass(1, prefill=True)
            meter.layers += n_layers
            meter.add_flops(flops, prefill=True)
        return scores

    @cached_property
    def _cost(self) -> Callable[[int], float]:
        """The cost of reading a text through the model's own forward, by its length."""
        count = Counter(self.model, None, 0)

        def counted(tokens: int) -> int:
            ids = torch.zeros(1, tokens, dtype=torch.long, device=self._placement.device)
            return count.total(lambda: self.model(ids))

        return measure_reading(counted)


class ImplicitVerifier(Verifier):
    """A causal language model, read by how likely it finds a solution.

    With a reference, the reward of a (partial) solution is
    ``beta * sum_t log(p(y_t) / p_reference(y_t))`` over its tokens, and the score its sigmoid
    (implicit process reward, arXiv 2412.01981). Without one, the reward is
    ``beta * sum_t log p(y_t)`` and the score its exponential: a power of the likelihood. Beta and
    the reference are those that the checkpoint was trained for (`ModelSource.implicit_reward`).
    """

    def __init__(self, source: ModelSource, placement: Placement) -> None:
        reward = source.implicit_reward
        assert reward is not None
        sources = [source] if reward.reference is None else [source, reward.reference]
        self._beta = reward.beta
        self._models = [LanguageModel(one, placement) for one in sources]
        self.tokenizer, self.prompter = self._models[0].tokenizer, self._models[0].prompter
        self.window = min(model.runner.max_positions for model in self._models)
        self.known = min(model.runner.outputs for model in self._models)

    def _encode(
        self, messages: Sequence[Message], solutions: Sequence[str]
    ) -> tuple[list[int], list[list[int]]]:
        # The reward is a sum over the whole solution, its part in the question included.
        if messages and messages[-1].role == "assistant":
            begun, messages = messages[-1].content, messages[:-1]
            solutions = [begun + solution for solution in solutions]
        return super()._encode(messages, solutions)

    def _score(self, prompt: list[int], tails: list[list[int]], meter: Meter) -> list[float]:
        ours, *others = (
            solution_logprobs(model.runner, prompt, tails, meter) for model in self._models
        )
        if not others:
            return [math.exp(self._beta * a) for a in ours]
        return [_sigmoid(self._beta * (a - b)) for a, b in zip(ours, others[0], strict=True)]

    def _tokens(self, prompt: list[int], tails: list[list[int]]) -> int:
        return len(self._models) * super()._tokens(prompt, tails)


@torch.inference_mode()
def solution_logprobs(
    runner: Runner, prompt: list[int], tails: list[list[int]], meter: Meter
) -> list[float]:
    """Return the log-likelihood of each tail after its first token, given the prompt."""
    shared, rows = Meter(), [Meter() for _ in tails]
    cache = runner.new_cache(len(prompt) + max(map(len, tails)), [shared])
    if prompt:
        runner.forward(torch.tensor([prompt], device=runner.device), cache)
    cache.expand(rows)
    tokens, last = _pad(tails, 0, runner.device)
    logits = runner.forward(tokens, cache, every=True, prefill=True)
    _merge(meter, shared, rows)
    logprobs = logits[:, :-1].log_softmax(-1).gather(2, tokens[:, 1:, None])[..., 0]
    places = torch.arange(logprobs.shape[1], device=runner.device)
    sums: list[float] = logprobs.masked_fill(places >= last[:, None], 0.0).double().sum(1).tolist()
    return sums


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _merge(meter: Meter, shared: Meter, rows: Sequence[Meter]) -> None:
    """Enter two passes, one for the shared prompt and one for all rows, as what they were."""
    meter.add(shared)
    meter.passes += rows[0].passes
    meter.layers += rows[0].layers
    for row in rows:
        meter.add_flops(row.prefill_flops, prefill=True)
    meter.add_cache(
        sum(row.peak_kv_bytes for row in rows), max(row.peak_kv_positions for row in rows)
    )


def _pad(rows: list[list[int]], fill: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return right-padded token ids, shape ``(rows, t)``, and the last real position of each."""
    width = max(map(len, rows))
    padded = [row + [fill] * (width - len(row)) for row in rows]
    last = torch.tensor([len(row) - 1 for row in rows], device=device)
    return torch.tensor(padded, device=device), last
