"""Batched decoding for the verifier's training data; policies use the engines instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from ttc_bench.reference.conversations import opening
from ttc_bench.reference.problems import Problem
from ttc_bench.reference.tokenizer import MAX_LENGTH

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

MAX_NEW = 320


def prompt_text(problem: Problem, chain: bool = True) -> str:
    """Return the chat of a problem up to where the assistant starts."""
    return "".join(piece.text for piece in opening(problem, chain))


@torch.inference_mode()
def complete(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[str],
    count: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    rows: int = 96,
) -> list[list[str]]:
    """Return ``count`` completions of each prompt, without the end token.

    Args:
        model: A causal language model.
        tokenizer: Its tokenizer.
        prompts: Texts, special tokens included.
        count: Completions per prompt.
        temperature: 0 decodes greedily.
        seed: Seed of the samples.
        rows: Sequences decoded together.
    """
    torch.manual_seed(seed)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    found: list[list[str]] = [[] for _ in prompts]
    step = max(1, rows // count)
    for start in range(0, len(order), step):
        chosen = order[start : start + step]
        texts = _generate(model, tokenizer, [prompts[i] for i in chosen], count, temperature)
        for place, i in enumerate(chosen):
            found[i] = texts[place * count : (place + 1) * count]
    return found


def _generate(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[str],
    count: int,
    temperature: float,
) -> list[str]:
    encoded = tokenizer(
        list(prompts), padding=True, return_tensors="pt", add_special_tokens=False
    ).to(model.device)
    width = encoded["input_ids"].shape[1]
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {}
    out = model.generate(
        input_ids=encoded["input_ids"],
        attention_mask=encoded["attention_mask"],
        max_new_tokens=min(MAX_NEW, MAX_LENGTH - width),
        num_return_sequences=count,
        pad_token_id=tokenizer.pad_token_id,
        **(sampling or {"do_sample": False}),
    )
    texts: list[str] = tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)
    return texts
