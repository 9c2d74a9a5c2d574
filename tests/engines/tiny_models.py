"""Models for engine tests: tiny random Llamas, and the trained reference models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ttc_bench.engines.base import Completion, Request
from ttc_bench.engines.local import LocalEngine, LocalModels
from ttc_bench.types import Message

REFERENCE = Path(__file__).parents[2] / "data" / "06_models" / "reference"
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


def save_model(folder: Path, seed: int = 0, template: str | None = TEMPLATE, **changes: Any) -> str:
    """Write a random Llama with its tokenizer; return its path."""
    torch.manual_seed(seed)
    LlamaForCausalLM(llama_config(**changes)).save_pretrained(folder)
    make_tokenizer(template=template).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths of a tiny random target and an unrelated tiny random draft."""
    folder = tmp_path_factory.mktemp("tiny")
    return {
        "target": save_model(folder / "target", seed=1),
        "draft": save_model(folder / "draft", seed=2, num_hidden_layers=1, hidden_size=32),
    }


@pytest.fixture(scope="session")
def engine(tiny: dict[str, str]) -> LocalEngine:
    """A local engine on the tiny models."""
    return LocalModels(**tiny).build()


def ask(text: str, **changes: Any) -> Request:
    """A request with one user message."""
    defaults: dict[str, Any] = {"messages": (Message(role="user", content=text),), "max_tokens": 24}
    return Request(**{**defaults, **changes})


Run = Callable[..., Completion]


def run(engine: LocalEngine, request: Request) -> tuple[Completion, ...]:
    """Run one request to its end."""
    return asyncio.run(engine.complete(request))
