"""Tiny random models in Hugging Face layout, and short ways to ask an engine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from ttc_bench.engines.base import GREEDY, PLAIN, Request
from ttc_bench.engines.completion import Completion
from ttc_bench.engines.local import LocalEngine
from ttc_bench.types import Message

TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
CORPUS = [
    "The case was closed on 2024-03-05 and the agent handled it in 12 minutes.",
    "List all cases of region East, then count the transfers per agent.",
    "Node 1: search the records. Node 2: sum the minutes. Edges: (START,1) (1,2) (2,END)",
    "Answer: 42. Wait, let me check the figures again: 17 + 25 = 42.",
    "Ünïcödé ☃ and 日本語 too.",
]


def make_tokenizer(vocab: int = 400, template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on a few lines."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(CORPUS, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|end|>", pad_token="<|end|>"
    )
    tokenizer.chat_template = template
    return tokenizer


def llama_config(**changes: Any) -> LlamaConfig:
    """A small Llama with grouped queries and tied embeddings."""
    defaults = {
        "vocab_size": 400,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
        "eos_token_id": 0,
        "bos_token_id": None,
        "pad_token_id": 0,
        # Wide weights make random logits differ enough that no comparison hangs on rounding.
        "initializer_range": 0.2,
    }
    return LlamaConfig(**{**defaults, **changes})


def save(model: PreTrainedModel, folder: Path, template: str | None = TEMPLATE) -> str:
    """Write a model with a tokenizer; return its path."""
    model.save_pretrained(folder)
    make_tokenizer(template=template).save_pretrained(folder)
    return str(folder)


def save_llama(folder: Path, seed: int, template: str | None = TEMPLATE, **changes: Any) -> str:
    """Write a random Llama with its tokenizer; return its path."""
    torch.manual_seed(seed)
    return save(LlamaForCausalLM(llama_config(**changes)), folder, template)


def save_verifier(folder: Path, cls: Any = LlamaForSequenceClassification) -> str:
    """Write a random model with a scalar head; return its path."""
    torch.manual_seed(3)
    return save(cls(llama_config(num_labels=1)), folder)


def save_implicit_verifier(folder: Path, reference: str | None) -> str:
    """Write a random Llama that is read as an implicit reward; return its path."""
    told = {"beta": 0.5} if reference is None else {"beta": 0.5, "reference": reference}
    return save_llama(folder, seed=4, implicit_reward=told)


def ask(text: str, **changes: Any) -> Request:
    """A request with one user message."""
    defaults: dict[str, Any] = {"messages": (Message(role="user", content=text),), "max_tokens": 24}
    return Request(**{**defaults, **changes})


def run(engine: LocalEngine, request: Request) -> tuple[Completion, ...]:
    """Run one request to its end."""
    return asyncio.run(engine.complete(request))


@cache
def once(engine: LocalEngine, request: Request) -> Completion:
    """The answer to a request for one, computed once for all tests that look at it."""
    (completion,) = run(engine, request)
    return completion


def plain(engine: LocalEngine, request: Request) -> Completion:
    """The greedy baseline of a request."""
    return once(engine, replace(request, sampling=GREEDY, decoding=PLAIN, n=1))
