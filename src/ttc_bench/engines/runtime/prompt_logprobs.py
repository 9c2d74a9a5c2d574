"""Prompt logprobs: reading a text without generating."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from ttc_bench.engines.completion import CallError, Reading, Timing, TokenLogprob, Usage
from ttc_bench.engines.runtime.cache import Meter
from ttc_bench.engines.runtime.models import LanguageModel, check_known
from ttc_bench.engines.runtime.sampler import token_logprobs

CHUNK = 256
"""Positions per pass when logits of a whole text are wanted: bounds the memory they take."""


def read_prompt_logprobs(model: LanguageModel, name: str, text: str) -> Reading:
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
        CallError: ``no_offsets`` if the tokenizer cannot tell where its tokens are, ``vocabulary``
            if it makes one that the model does not have.
    """
    start_s = time.perf_counter()
    if not model.tokenizer.is_fast:
        raise CallError("no_offsets", f"the tokenizer of {name} does not report character offsets")
    encoded = model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    tokens = list(encoded["input_ids"])
    check_known(tokens, model.tokenizer, model.runner.outputs)
    meter = Meter()
    logprobs = [None, *_logprobs(model, tokens, meter)] if tokens else []
    spans = _partition(encoded["offset_mapping"], len(text))
    return Reading(
        model=name,
        usage=reading_usage(meter, len(tokens)),
        timing=Timing(latency_s=time.perf_counter() - start_s),
        tokens=tuple(
            TokenLogprob(start, end, logprob)
            for (start, end), logprob in zip(spans, logprobs, strict=True)
        ),
    )


@torch.inference_mode()
def _logprobs(model: LanguageModel, tokens: list[int], meter: Meter) -> list[float]:
    """Return the log-probability of every token but the first."""
    window = model.runner.max_positions
    logprobs: list[float] = []
    start = 0
    while len(logprobs) < len(tokens) - 1:
        part = tokens[start : start + window]
        # Tokens judged by an earlier window are read again as context, and not judged again.
        logprobs += _window_logprobs(model, part, meter)[len(logprobs) - start :]
        start += max(1, window // 2)
    return logprobs


def _window_logprobs(model: LanguageModel, tokens: list[int], meter: Meter) -> list[float]:
    runner = model.runner
    cache = runner.new_cache(len(tokens), [meter])
    logprobs: list[float] = []
    for start in range(0, len(tokens), CHUNK):
        chunk = torch.tensor([tokens[start : start + CHUNK]], device=runner.device)
        logits = runner.forward(chunk, cache, every=True, prefill=True)[0]
        following = tokens[start + 1 : start + 1 + CHUNK]
        if following:
            logprobs += token_logprobs(logits[: len(following)], following)
    return logprobs


def _partition(offsets: Sequence[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    at = 0
    ends = [end for _, end in offsets[:-1]] + [length] * bool(offsets)
    for end in ends:
        spans.append((at, max(at, end)))
        at = max(at, end)
    return spans


def reading_usage(meter: Meter, tokens: int) -> Usage:
    """Return the bill of a reading of some tokens."""
    return Usage(
        verifier_tokens=tokens,
        forward_passes=meter.passes,
        layers_run=meter.layers,
        prefill_flops=meter.prefill_flops,
        decode_flops=meter.decode_flops,
        peak_kv_bytes=meter.peak_kv_bytes,
    )
