"""Reading without generating: surprisal of a text, and a verifier's scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ttc_bench.engines.base import CallError, Reading, Timing, TokenSurprisal, Usage
from ttc_bench.engines.runtime.cache import Meter
from ttc_bench.engines.runtime.chat import Prompter
from ttc_bench.engines.runtime.llama import LlamaRunner, is_white_box
from ttc_bench.engines.runtime.models import (
    LanguageModel,
    Placement,
    load_tokenizer,
    load_weights,
)
from ttc_bench.engines.runtime.runner import parameter_cost
from ttc_bench.engines.runtime.sampler import token_logprobs
from ttc_bench.engines.runtime.weights import Weights
from ttc_bench.types import Message

CHUNK = 256
"""Positions per pass when logits of a whole text are wanted: bounds the memory they take."""

ROWS = 16
"""Solutions that a verifier reads in one pass."""


def read_surprisal(model: LanguageModel, name: str, text: str) -> Reading:
    """Return the log-probability of every token of ``text``, read from its start.

    A text longer than the context window is read in windows that overlap by half, so every token
    is judged with at least half a window before it. Spans partition the text: spaces between
    tokens belong to the token after them, and where several tokens spell one character the first
    one holds it.

    Args:
        model: The model that reads.
        name: Its name in results.
        text: The text, without any chat template.

    Raises:
        CallError: ``no_offsets`` if the tokenizer cannot tell where its tokens are.
    """
    start_s = time.perf_counter()
    if not model.tokenizer.is_fast:
        raise CallError("no_offsets", f"the tokenizer of {name} does not report character offsets")
    encoded = model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    tokens = list(encoded["input_ids"])
    meter = Meter()
    logprobs = [None, *_logprobs(model, tokens, meter)] if tokens else []
    spans = _partition(encoded["offset_mapping"], len(text))
    surprisals = tuple(
        TokenSurprisal(start, end, logprob)
        for (start, end), logprob in zip(spans, logprobs, strict=True)
    )
    usage = _usage(meter, len(tokens))
    return Reading(
        model=name,
        usage=usage,
        timing=Timing(latency_s=time.perf_counter() - start_s),
        tokens=surprisals,
    )


@torch.inference_mode()
def _logprobs(model: LanguageModel, tokens: list[int], meter: Meter) -> list[float]:
    """Return the log-probability of every token but the first."""
    window = model.runner.max_positions
    found: list[float] = []
    start = 0
    while len(found) < len(tokens) - 1:
        part = tokens[start : start + window]
        # Tokens judged by an earlier window are read again as context, and not judged again.
        found += _window_logprobs(model, part, meter)[len(found) - start :]
        start += max(1, window // 2)
    return found


def _window_logprobs(model: LanguageModel, tokens: list[int], meter: Meter) -> list[float]:
    runner = model.runner
    cache = runner.new_cache(len(tokens), [meter])
    found: list[float] = []
    for start in range(0, len(tokens), CHUNK):
        chunk = torch.tensor([tokens[start : start + CHUNK]], device=runner.device)
        logits = runner.forward(chunk, cache, every=True, prefill=True)[0]
        following = tokens[start + 1 : start + 1 + CHUNK]
        if following:
            found += token_logprobs(logits[: len(following)], following)
    return found


def _partition(offsets: Sequence[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    at = 0
    ends = [end for _, end in offsets[:-1]] + [length] * bool(offsets)
    for end in ends:
        spans.append((at, max(at, end)))
        at = max(at, end)
    return spans


class Verifier:
    """A classification model with one output, read at the last token of a (partial) solution.

    The score is the sigmoid of the output: the probability that the solution is right so far
    (arXiv 2110.14168; a process reward model as in 2408.03314).

    Args:
        weights: Where the model is.
        placement: Where and how it runs.
    """

    def __init__(self, weights: Weights, placement: Placement) -> None:
        import transformers

        names = weights.config["architectures"]
        per_token = any("TokenClassification" in name for name in names)
        auto_class: Any = (
            transformers.AutoModelForTokenClassification
            if per_token
            else transformers.AutoModelForSequenceClassification
        )
        self.tokenizer = load_tokenizer(weights)
        self.model = load_weights(auto_class, weights, placement)
        self.prompter = Prompter(self.tokenizer)
        self._placement = placement
        self._window = int(
            getattr(self.model.config.get_text_config(), "max_position_embeddings", None) or 2**31
        )
        white = is_white_box(self.model.config) and hasattr(self.model, "score")
        self._runner = (
            LlamaRunner(self.model, self.model.score, placement.threads) if white else None
        )

    def read(self, name: str, messages: Sequence[Message], solutions: Sequence[str]) -> Reading:
        """Return one score per solution.

        The question is computed once for all solutions where the model is white-box.

        Args:
            name: Name of the verifier in results.
            messages: The question; if its last turn is the assistant's, solutions continue it.
            solutions: Whole or partial solutions.

        Raises:
            CallError: ``context_length`` if the question with a solution exceeds the window.
        """
        start_s = time.perf_counter()
        prompt, tails = self._encode(messages, solutions)
        meter, scores = Meter(), list[float]()
        read = self._read_white_box if self._runner is not None else self._read_whole
        for start in range(0, len(tails), ROWS):
            scores += read(prompt, tails[start : start + ROWS], meter)
        # The white-box reader computes the prompt once per pass, the other one once per row.
        prompts = -(-len(tails) // ROWS) if self._runner is not None else len(tails)
        tokens = len(prompt) * prompts + sum(map(len, tails))
        return Reading(
            model=name,
            usage=_usage(meter, tokens),
            timing=Timing(latency_s=time.perf_counter() - start_s),
            scores=tuple(scores),
        )

    def _encode(
        self, messages: Sequence[Message], solutions: Sequence[str]
    ) -> tuple[list[int], list[list[int]]]:
        prompt = self.prompter.encode(messages)
        tails = [list(self.tokenizer(s, add_special_tokens=False)["input_ids"]) for s in solutions]
        longest = len(prompt) + max(map(len, tails), default=0)
        if longest > self._window:
            raise CallError(
                "context_length",
                f"question and solution have {longest} tokens, but the verifier's context window"
                f" is {self._window}",
            )
        # A solution of no tokens is judged at the last token of the question.
        return prompt[:-1], [[prompt[-1], *tail] for tail in tails]

    @torch.inference_mode()
    def _read_white_box(
        self, prompt: list[int], tails: list[list[int]], meter: Meter
    ) -> list[float]:
        runner = self._runner
        assert runner is not None
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
        cost = parameter_cost(self.model, n_layers)
        for tail in tails:
            tokens = torch.tensor([prompt + tail], device=self._placement.device)
            self._placement.threads.use_for(cost.layers(n_layers, tokens.shape[1], 0))
            # One score per token, or one for the row: the last one is read either way.
            scores.append(float(self.model(tokens).logits.float().flatten()[-1].sigmoid()))
            meter.add_pass(1, prefill=True)
            meter.layers += n_layers
            meter.add_flops(cost.layers(n_layers, tokens.shape[1], 0), prefill=True)
        return scores


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


def _usage(meter: Meter, tokens: int) -> Usage:
    return Usage(
        verifier_tokens=tokens,
        forward_passes=meter.passes,
        layers_run=meter.layers,
        prefill_flops=meter.prefill_flops,
        decode_flops=meter.decode_flops,
        peak_kv_bytes=meter.peak_kv_bytes,
    )
