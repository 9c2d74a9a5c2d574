"""Decodings that open no layer, on many architectures: windows, experts, latent caches, states.

Every model is tiny, random and built from its configuration; prompts are longer than the windows.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.engines.test_local import generated
from tests.engines.tiny_models import CORPUS, ask, plain, run, save
from transformers import AutoConfig, AutoModelForCausalLM

from ttc_bench.engines.base import Capability, Sampling
from ttc_bench.engines.decoding import DraftModel, PromptLookup
from ttc_bench.engines.local import LocalEngine, LocalModels
from ttc_bench.errors import CapabilityError

WINDOW = 16
TEXTS = [2 * CORPUS[1], 2 * CORPUS[2]]
SIZES = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
EXPERTS = {"num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2}
MIXED = {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]}
ROLLS_BACK: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512},
    "gpt_neox": {},
    "falcon": {"head_dim": None},
    "phi3": {},
    "olmo2": {},
    "olmo3": MIXED,
    "glm4": {},
    "granite": {},
    "smollm3": {},
    "mistral": {"sliding_window": WINDOW},
    "qwen2": {"use_sliding_window": True, "max_window_layers": 1, "sliding_window": WINDOW},
    "qwen3": {},
    "qwen3_moe": {**EXPERTS, "moe_intermediate_size": 16},
    "mixtral": EXPERTS,
    "gemma2": {**MIXED, "query_pre_attn_scalar": 8},
    "gemma3_text": {**MIXED, "query_pre_attn_scalar": 8},
    "gpt_oss": {**EXPERTS, **MIXED},
    "deepseek_v3": {
        "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1,
        "moe_intermediate_size": 16, "q_lora_rank": 16, "kv_lora_rank": 16, "v_head_dim": 8,
        "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "first_k_dense_replace": 1,
        "num_key_value_heads": 4,
    },
}  # fmt: skip
REFUSED = {
    "rwkv": "rwkv models take no key-value cache",
    "mamba": "mamba models take no key-value cache",
    "bamba": "the state of bamba models cannot forget rejected drafts",
}


def build(folder: Path, kind: str, seed: int, **changes: Any) -> str:
    """Write a tiny random model of an architecture; return its path."""
    torch.manual_seed(seed)
    settings = {name: v for name, v in {**SIZES, **changes}.items() if v is not None}
    config = AutoConfig.for_model(kind, **settings)
    return save(AutoModelForCausalLM.from_config(config), folder)


@pytest.fixture(scope="module", params=ROLLS_BACK)
def foreign(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> LocalEngine:
    """A target of one architecture; its draft is a model of the same one, of other weights."""
    folder, changes = tmp_path_factory.mktemp(request.param), ROLLS_BACK[request.param]
    paths = {
        role: build(folder / role, request.param, seed, **changes)
        for seed, role in ((4, "target"), (5, "draft"))
    }
    return LocalModels(**paths).build()


def test_plain_decoding_equals_generate(foreign: LocalEngine) -> None:
    requests = [ask(text, max_tokens=12) for text in TEXTS]
    assert all(plain(foreign, request).usage.prompt_tokens > WINDOW for request in requests)
    ours = [list(plain(foreign, request).token_ids) for request in requests]
    assert ours == generated(foreign, requests)


@pytest.mark.parametrize("decoding", [PromptLookup(max_ngram=1), DraftModel(k=3)])
def test_greedy_speculation_gives_the_tokens_of_plain_decoding(
    foreign: LocalEngine, decoding: Any
) -> None:
    proposed = 0
    for text in TEXTS:
        request = ask(text, max_tokens=12)
        drafted = run(foreign, replace(request, decoding=decoding))[0]
        assert drafted.token_ids == plain(foreign, request).token_ids
        assert drafted.usage.accepted_tokens <= drafted.usage.draft_tokens
        proposed += drafted.usage.draft_tokens
    assert proposed > 0


def test_samples_drawn_together_are_those_drawn_alone(foreign: LocalEngine) -> None:
    request = ask(CORPUS[1], max_tokens=8, sampling=Sampling(temperature=0.8, seed=3), n=3)
    together = [c.token_ids for c in run(foreign, request)]
    alone = [run(foreign, replace(request, n=1, first_index=i))[0].token_ids for i in range(3)]
    assert together == alone


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_forget_drafts_is_refused_by_its_architecture(
    kind: str, tiny_paths: dict[str, str], tmp_path: Path
) -> None:
    """Before anything is loaded: the configuration alone decides."""
    shutil.copytree(tiny_paths["target"], tmp_path, dirs_exist_ok=True)
    AutoConfig.for_model(kind).save_pretrained(tmp_path)
    engine = LocalModels(target=str(tmp_path)).build()
    with pytest.raises(CapabilityError, match=REFUSED[kind]):
        engine.require(ask("Hello", decoding=PromptLookup()))
    assert (Capability.GENERATE in engine.capabilities()) == (kind == "bamba")
