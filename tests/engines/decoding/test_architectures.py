"""Every decoding on many architectures: windows, chunks, experts, latent caches, states.

Every model is tiny, random and built from its configuration; prompts are longer than the windows.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from tests.engines.decoding.test_elastic_batch import run_all
from tests.engines.test_local import generated
from tests.engines.tiny_models import CORPUS, ask, plain, run, save
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

from ttc_bench.engines.base import Capability, Request, Sampling
from ttc_bench.engines.completion import Completion
from ttc_bench.engines.decoding import (
    ConfidenceExit,
    CosineKV,
    DraftModel,
    ElasticBatch,
    FixedLayer,
    PromptLookup,
    StaticKV,
)
from ttc_bench.engines.local import LocalEngine, LocalModels
from ttc_bench.engines.runtime import architecture, models
from ttc_bench.engines.runtime.library_eviction import BudgetedLibraryCache
from ttc_bench.engines.runtime.library_runner import LibraryRunner
from ttc_bench.engines.runtime.llama import LlamaRunner
from ttc_bench.engines.runtime.source import ModelSource
from ttc_bench.errors import CapabilityError, UserError

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
MIXED: dict[str, Any] = {
    "sliding_window": WINDOW,
    "layer_types": ["sliding_attention", "full_attention"],
}
OPEN: dict[str, dict[str, Any]] = {
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
    "gemma4_text": {
        **MIXED, "num_hidden_layers": 4, "layer_types": 2 * MIXED["layer_types"],
        "num_kv_shared_layers": 2, "global_head_dim": 8, "hidden_size_per_layer_input": 8,
        "vocab_size_per_layer_input": 400,
    },
    "llama4_text": {
        "num_local_experts": 4, "num_experts_per_tok": 1, "attention_chunk_size": WINDOW,
        "intermediate_size_mlp": 48, "interleave_moe_layer_step": 1, "no_rope_layers": [1, 0],
        "layer_types": ["chunked_attention", "full_attention"],
    },
}  # fmt: skip
HYBRID: dict[str, dict[str, Any]] = {
    "falcon_h1": {
        "mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8,
        "mamba_chunk_size": 16, "mamba_n_groups": 1,
    },
    "qwen3_next": {
        **EXPERTS, "layer_types": ["linear_attention", "full_attention"],
        "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8,
        "linear_value_head_dim": 8, "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
    },
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "inkling_text": {
        "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2,
        "moe_intermediate_size": 16, "sliding_window": WINDOW,
        "layer_types": ["hybrid_sliding", "hybrid"],
    },
    "olmo_hybrid": {
        "layer_types": ["linear_attention", "full_attention"], "linear_num_value_heads": 4,
        "linear_num_key_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    },
}  # fmt: skip
REFUSED = {
    "rwkv": "rwkv models take no key-value cache",
    "mamba": "mamba models take no key-value cache",
    "minimax": "minimax models take no key-value cache but their own",
    "bamba": "the state of bamba models cannot forget rejected drafts",
}
BUDGET = 10
SINKS = 4


def build(folder: Path, kind: str, seed: int, **changes: Any) -> str:
    """Write a tiny random model of an architecture; return its path."""
    torch.manual_seed(seed)
    settings = {name: v for name, v in {**SIZES, **changes}.items() if v is not None}
    config = AutoConfig.for_model(kind, **settings)
    return save(AutoModelForCausalLM.from_config(config), folder)


@pytest.fixture(scope="module", params=OPEN)
def foreign(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> LocalEngine:
    """A target of one architecture; its draft is a model of the same one, of other weights."""
    folder, changes = tmp_path_factory.mktemp(request.param), OPEN[request.param]
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


def layer_types(engine: LocalEngine) -> set[str]:
    """The kinds of attention that a model's layers are of."""
    config = AutoConfig.from_pretrained(engine.models.target)
    window = getattr(config, "sliding_window", None)
    one = "full_attention" if window is None else "sliding_attention"
    return set(getattr(config, "layer_types", None) or [one])


@pytest.mark.parametrize(
    "neutral",
    [FixedLayer(layers=1.0), ConfidenceExit(threshold=1.0), StaticKV(budget=1.0)],
    ids=lambda decoding: type(decoding).__name__,
)
def test_all_layers_and_a_full_budget_give_the_baseline(foreign: LocalEngine, neutral: Any) -> None:
    request = ask(TEXTS[0], max_tokens=12)
    opened = run(foreign, replace(request, decoding=neutral))[0]
    assert opened.token_ids == plain(foreign, request).token_ids
    own, other = asdict(opened.usage), asdict(plain(foreign, request).usage)
    if "chunked_attention" in layer_types(foreign):
        # The library keeps a whole chunk's worth of keys when the chunk before cannot be seen.
        for name in ("decode_flops", "peak_kv_bytes"):
            assert own.pop(name) <= other.pop(name)
    assert own == other


@lru_cache(maxsize=1)
def of_the_library(path: str) -> Any:
    """The model as the library alone runs it."""
    return AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float32, attn_implementation="eager"
    )


def whole(engine: LocalEngine, tokens: list[int], mask: Any = None) -> Any:
    """One pass over a text without any cache, by the library alone: logits and hidden states."""
    model = of_the_library(engine.models.target)
    with torch.inference_mode():
        return model(
            torch.tensor([tokens]), attention_mask=mask, use_cache=False, output_hidden_states=True
        ), model


def read_after(engine: LocalEngine, tokens: list[int], depth: int) -> list[int]:
    """What the model's own norm and head would choose from the state after ``depth`` layers."""
    output, model = whole(engine, tokens)
    modules = dict(model.named_modules())
    names = ("model.norm", "transformer.ln_f", "gpt_neox.final_layer_norm")
    norm = next(modules[name] for name in names if name in modules)
    with torch.inference_mode():
        logits = model.get_output_embeddings()(norm(output.hidden_states[depth]))
    return list(logits[0].argmax(-1).tolist())


@contextmanager
def counted_layers(engine: LocalEngine) -> Iterator[Counter[int]]:
    """Count, by forward hooks on the model's own layers, how often each one runs."""
    counts: Counter[int] = Counter()
    layers = cast(Any, engine.language_model().white_box).stack.layers
    handles = [
        layer.register_forward_hook(lambda *_, index=i: counts.update([index]))
        for i, layer in enumerate(layers)
    ]
    yield counts
    for handle in handles:
        handle.remove()


def test_an_exit_reads_the_state_below_and_runs_nothing_above(foreign: LocalEngine) -> None:
    request = ask(TEXTS[0], max_tokens=12)
    prompt = foreign.language_model().encode(request.messages)
    depth = foreign.language_model().white_box.n_layers
    with counted_layers(foreign) as counts:
        fixed = run(foreign, replace(request, decoding=FixedLayer(layers=1)))[0]
    assert counts == {0: len(fixed.token_ids)}
    own = read_after(foreign, prompt + list(fixed.token_ids), 1)
    assert own[len(prompt) - 1 : -1] == list(fixed.token_ids)
    with counted_layers(foreign) as counts:
        sure = run(foreign, replace(request, decoding=ConfidenceExit(threshold=0.0, min_layers=1)))[
            0
        ]
    steps = len(sure.token_ids) - 1
    assert counts == {0: steps + 1, **dict.fromkeys(range(1, depth), 1)}
    assert sure.usage.layers_run == counts.total()
    own = read_after(foreign, prompt + list(sure.token_ids), 1)
    assert own[len(prompt) : -1] == list(sure.token_ids[1:])
    assert sure.usage.decode_flops < plain(foreign, request).usage.decode_flops


def kept_mask(kind: str, prompt: int, length: int) -> torch.Tensor:
    """What each query sees under a static budget: in the prompt, all that its layer reaches."""
    query, key = torch.arange(length)[:, None], torch.arange(length)[None]
    seen = key <= query
    if kind == "sliding_attention":
        seen &= key > query - WINDOW
    elif kind == "chunked_attention":
        seen &= key // WINDOW == query // WINDOW
    # In a window the sinks are out of reach after such a prompt: all of the budget is recent.
    sinks = SINKS if kind == "full_attention" else 0
    budget = (key < sinks) | (key > query - (BUDGET - sinks))
    seen &= budget | (query < prompt)
    return torch.zeros(length, length).masked_fill(~seen, torch.finfo(torch.float32).min)


def test_a_static_budget_attends_to_sinks_and_recent_positions(foreign: LocalEngine) -> None:
    """The same in one pass over the whole answer, under a mask of our own and without a cache."""
    request = ask(TEXTS[0], max_tokens=12)
    static = run(foreign, replace(request, decoding=StaticKV(budget=BUDGET, sinks=SINKS)))[0]
    prompt = foreign.language_model().encode(request.messages)
    tokens = prompt + list(static.token_ids)
    masks = {
        kind: kept_mask(kind, len(prompt), len(tokens))[None, None] for kind in layer_types(foreign)
    }
    by_kind = len(masks) > 1
    output, _ = whole(foreign, tokens, masks if by_kind else next(iter(masks.values())))
    own = output.logits[0].argmax(-1).tolist()
    assert own[len(prompt) - 1 : -1] == list(static.token_ids)
    full = len(tokens) - 1
    assert static.usage.kv_share_kept == pytest.approx(BUDGET / full)
    assert static.usage.peak_kv_bytes < plain(foreign, request).usage.peak_kv_bytes


def test_heavy_hitters_stay_within_a_falling_budget(
    foreign: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[tuple[int, int]] = []
    advance = BudgetedLibraryCache.advance

    def noting(cache: BudgetedLibraryCache, queries: int) -> None:
        advance(cache, queries)
        sizes = [layer.keys.shape[2] for kind in cache.kinds for layer in kind.layers]
        held.append((cache.length, max(sizes)))

    monkeypatch.setattr(BudgetedLibraryCache, "advance", noting)
    request = ask(TEXTS[0], max_tokens=12)
    decoding = CosineKV(budget_start=12, budget_end=5, decay_steps=6)
    completion = run(foreign, replace(request, decoding=decoding))[0]
    prompt = completion.usage.prompt_tokens
    assert [length for length, _ in held] == list(range(prompt, prompt + len(held)))
    assert all(size <= decoding.positions(n, n - prompt) for n, size in held)
    assert held[-1][1] == 5


def test_a_batch_gives_the_tokens_of_each_alone(foreign: LocalEngine) -> None:
    texts = ((CORPUS[0], 9), (TEXTS[1], 12), (CORPUS[3], 4), (TEXTS[0], 12), ("x", 20))
    requests = [ask(text, max_tokens=tokens) for text, tokens in texts]
    together = dict(run_all(foreign, requests, ElasticBatch(max_rows=3)))
    for index, request in enumerate(requests):
        alone, batched = plain(foreign, request), cast(Completion, together[index])
        assert batched.token_ids == alone.token_ids
        assert batched.usage.peak_kv_bytes == alone.usage.peak_kv_bytes, (
            "its padding is not its own"
        )
    assert max(cast(Completion, c).usage.padding_share or 0 for c in together.values()) > 0


def test_the_bill_is_what_pytorchs_counter_and_the_cache_say(foreign: LocalEngine) -> None:
    request = ask(TEXTS[0], max_tokens=6)
    completion = plain(foreign, request)
    flops, cache = counted(foreign, request, completion)
    assert [completion.usage.prefill_flops, completion.usage.decode_flops] == flops
    held = [t for layer in cache.layers for t in (layer.keys, layer.values) if t is not None]
    assert completion.usage.peak_kv_bytes == sum(4 * t.numel() for t in held)


def counted(
    engine: LocalEngine, request: Request, completion: Completion
) -> tuple[list[int], DynamicCache]:
    """PyTorch's own count of prompt and answer, and the cache that they leave.

    On plain attention and on experts one by one, which the counter knows.
    """
    prompt = engine.language_model().encode(request.messages)
    model = AutoModelForCausalLM.from_pretrained(
        engine.models.target,
        dtype=torch.float32,
        attn_implementation="eager",
        experts_implementation="eager",
    ).requires_grad_(False)
    cache = DynamicCache(config=model.config)
    flops = []
    with torch.inference_mode():
        for passes in ([prompt], [[token] for token in completion.token_ids[:-1]]):
            with FlopCounterMode(display=False) as counter:
                for tokens in passes:
                    model(torch.tensor([tokens]), past_key_values=cache, logits_to_keep=1)
            flops.append(counter.get_total_flops())
    return flops, cache


def test_samples_drawn_together_are_those_drawn_alone(foreign: LocalEngine) -> None:
    check_samples(foreign, max_tokens=8)


def check_samples(engine: LocalEngine, max_tokens: int) -> None:
    """Samples of one call are those of calls of their own."""
    request = ask(CORPUS[1], max_tokens=max_tokens, sampling=Sampling(temperature=0.8, seed=3), n=3)
    together = [c.token_ids for c in run(engine, request)]
    alone = [run(engine, replace(request, n=1, first_index=i))[0].token_ids for i in range(3)]
    assert together == alone


@pytest.mark.parametrize("kind", HYBRID)
def test_a_model_with_a_state_samples_and_batches_and_refuses_the_rest(
    kind: str, tmp_path: Path
) -> None:
    engine = LocalModels(target=build(tmp_path, kind, 4, **HYBRID[kind])).build()
    requests = [ask(text, max_tokens=8) for text in (TEXTS[0], "x")]
    assert [list(plain(engine, r).token_ids) for r in requests] == generated(engine, requests)
    for text in (TEXTS[0], 2 * TEXTS[1]):
        # Chunks of a recurrence are padded: one that is begun costs as much as a whole one.
        request = ask(text, max_tokens=2)
        completion = plain(engine, request)
        flops, _ = counted(engine, request, completion)
        bill = [completion.usage.prefill_flops, completion.usage.decode_flops]
        assert bill == pytest.approx(flops, rel=1e-6)
    check_samples(engine, max_tokens=8)
    together = dict(run_all(engine, requests, ElasticBatch()))
    for index, request in enumerate(requests):
        assert cast(Completion, together[index]).token_ids == plain(engine, request).token_ids
    for decoding in (PromptLookup(), ConfidenceExit(), StaticKV(), CosineKV()):
        with pytest.raises(CapabilityError, match=f"{kind} models"):
            engine.require(ask("x", decoding=decoding))


@pytest.mark.parametrize(
    "decoding",
    [
        FixedLayer(layers=0.5),
        ConfidenceExit(threshold=0.3, min_layers=1, check_every=1),
        StaticKV(budget=BUDGET),
        CosineKV(budget_start=0.9, budget_end=0.3, decay_steps=8),
        DraftModel(k=3),
    ],
    ids=lambda decoding: type(decoding).__name__,
)
def test_the_general_way_answers_as_the_fast_one(
    tiny: LocalEngine, tiny_paths: dict[str, str], monkeypatch: pytest.MonkeyPatch, decoding: Any
) -> None:
    """One Llama through both runners: every eviction, exit and propagated key counts."""
    requests = [ask(text, max_tokens=24, decoding=decoding) for text in TEXTS]
    quick = [run(tiny, request)[0] for request in requests]
    assert isinstance(tiny.language_model().runner, LlamaRunner)
    monkeypatch.setattr(architecture, "is_white_box", lambda _: False)
    monkeypatch.setattr(models, "is_white_box", lambda _: False)
    general = LocalModels(**tiny_paths).build()
    assert isinstance(general.language_model().runner, LibraryRunner)
    for fast, slow in zip(quick, (run(general, r)[0] for r in requests), strict=True):
        assert slow.token_ids == fast.token_ids
        assert slow.logprobs == pytest.approx(fast.logprobs, abs=1e-4)
        assert slow.extra == fast.extra
        own, other = asdict(slow.usage), asdict(fast.usage)
        if isinstance(decoding, ConfidenceExit):
            # What fills a cache projects queries too: a layer's forward makes them before its keys.
            assert own.pop("decode_flops") >= other.pop("decode_flops")
        assert own == other


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


def test_layers_that_are_handed_weights_are_counted(tmp_path: Path) -> None:
    """PyTorch's counter follows what could have a gradient, such as a bias as an argument."""
    engine = LocalModels(target=build(tmp_path, "gpt_neox_japanese", 4)).build()
    request = ask(TEXTS[0], max_tokens=4)
    completion = plain(engine, request)
    assert [list(completion.token_ids)] == generated(engine, [request])
    flops, _ = counted(engine, request, completion)
    assert [completion.usage.prefill_flops, completion.usage.decode_flops] == flops


def test_a_text_model_is_opened_inside_of_one_that_reads_pictures(tmp_path: Path) -> None:
    """As Llama 4 is published: its tower is not used, and its layers are a part's."""
    text = {**SIZES, **OPEN["llama4_text"]}
    config = AutoConfig.for_model("llama4", text_config=text)
    assert Capability.WHITE_BOX in architecture.Architecture(config).capabilities
    source = ModelSource("target", str(tmp_path))
    report = {"missing_keys": [], "mismatched_keys": [], "unexpected_keys": ["x.layers.0.a"]}
    with pytest.raises(UserError, match="has no place for x"):
        models.check_fit(source, report)
    models.check_fit(source, {**report, "unexpected_keys": ["vision_model.model.layers.0.a"]})


def test_a_state_outside_of_the_cache_is_not_shared(tmp_path: Path) -> None:
    """Rows would go on from the state of whichever sequence ran last."""
    kinds = ["recurrent", "attention"]
    path = build(tmp_path, "recurrent_gemma", 4, block_types=kinds, attention_window_size=WINDOW)
    engine, requests = LocalModels(target=path).build(), [ask(t, max_tokens=4) for t in TEXTS]
    assert [list(plain(engine, r).token_ids) for r in requests] == generated(engine, requests)
    for together in (replace(requests[0], n=2), replace(requests[0], decoding=ElasticBatch())):
        with pytest.raises(CapabilityError, match="recurrent_gemma models keep one state outside"):
            engine.require(together)


def test_an_architecture_whose_first_pass_fails_is_told_in_a_line(tmp_path: Path) -> None:
    sizes = {"d_model": 32, "decoder_layers": 3, "decoder_attention_heads": 4, "head_dim": None}
    engine = LocalModels(target=build(tmp_path, "blenderbot", 4, **sizes)).build()
    with pytest.raises(UserError, match="blenderbot models cannot be decoded here") as told:
        plain(engine, ask("x"))
    assert "\n" not in str(told.value)


SHORT = 32
LONGROPE: dict[str, Any] = {
    "original_max_position_embeddings": SHORT,
    "rope_parameters": {
        "rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": SHORT,
        "short_factor": [1.0] * 4, "long_factor": [2.0, 3.0, 5.0, 9.0],
    },
}  # fmt: skip
LOSSLESS = (
    PromptLookup(max_ngram=1),
    DraftModel(k=6),
    FixedLayer(layers=1.0),
    ConfidenceExit(threshold=1.0),
    StaticKV(budget=1.0),
    CosineKV(budget_start=1.0, budget_end=1.0),
)


@pytest.mark.parametrize("kind", ["phi3", "llama"])
def test_where_longrope_changes_its_factors_each_sequence_goes_by_its_own_length(
    kind: str, tmp_path: Path
) -> None:
    """Phi-3 reads all of it anew there, others go on; batches and drafts reach across it."""
    paths = {
        role: build(tmp_path / role, kind, seed, **LONGROPE)
        for seed, role in ((4, "target"), (5, "draft"))
    }
    engine = LocalModels(**paths).build()
    asked = ((CORPUS[1], 22), ("Hi", 38), (TEXTS[1], 8))
    requests = [ask(text, max_tokens=tokens) for text, tokens in asked]
    alone = [plain(engine, request) for request in requests]
    lengths = [(c.usage.prompt_tokens, len(c.token_ids)) for c in alone]
    assert [prompt <= SHORT for prompt, _ in lengths] == [True, True, False]
    assert all(prompt + answer > SHORT + 6 for prompt, answer in lengths)
    assert [list(c.token_ids) for c in alone] == generated(engine, requests)
    for decoding in LOSSLESS:
        for request, completion in zip(requests, alone, strict=True):
            own = run(engine, replace(request, decoding=decoding))[0]
            assert own.token_ids == completion.token_ids, decoding.label
    together = dict(run_all(engine, requests, ElasticBatch(max_rows=3)))
    assert [cast(Completion, together[i]).token_ids for i in range(3)] == [
        completion.token_ids for completion in alone
    ]
    check_samples(engine, max_tokens=20)
    budgeted = run(engine, replace(requests[0], decoding=StaticKV(budget=BUDGET)))[0]
    assert budgeted.usage.forward_passes - len(budgeted.token_ids) == (kind == "phi3")


@pytest.mark.parametrize("window", [0, 1, 2, 3])
def test_a_window_is_computed_and_billed_or_refused(window: int, tmp_path: Path) -> None:
    """The library keeps all of a window but its last position, and of one that is nothing."""
    path = build(tmp_path, "mistral", 4, sliding_window=window)
    engine, request = LocalModels(target=path).build(), ask(TEXTS[0], max_tokens=8)
    if window < 2:
        with pytest.raises(CapabilityError, match=f"with a sliding window of {window} cannot be"):
            engine.require(request)
        return
    completion = plain(engine, request)
    assert [list(completion.token_ids)] == generated(engine, [request])
    flops, _ = counted(engine, request, completion)
    assert [completion.usage.prefill_flops, completion.usage.decode_flops] == flops


def test_a_single_key_value_head_evicts(tmp_path: Path) -> None:
    """Its slots are one stretch of memory, which an eviction reads and writes."""
    path = build(tmp_path / "llama", "llama", 1, num_key_value_heads=1)
    engine = LocalModels(target=path).build()
    assert isinstance(engine.language_model().runner, LlamaRunner)
    request = ask(TEXTS[0], max_tokens=12)
    decoding = CosineKV(budget_start=12, budget_end=5, decay_steps=6)
    completion = run(engine, replace(request, decoding=decoding))[0]
    assert completion.usage.kv_share_kept < 1


LATENT: dict[str, Any] = {
    "num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "v_head_dim": 8,
    "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "moe_intermediate_size": 16,
    "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1,
}  # fmt: skip
CLOSED: dict[str, dict[str, Any]] = {
    "longcat_flash": {
        **LATENT, "num_hidden_layers": 4, "zero_expert_num": 4, "moe_topk": 3,
        "ffn_hidden_size": 48, "expert_ffn_hidden_size": 16,
        # Names of the same settings elsewhere
        **dict.fromkeys(("num_experts_per_tok", "intermediate_size", "moe_intermediate_size")),
        **dict.fromkeys(("n_group", "topk_group")),
    },
    "hrm_text": {},
}  # fmt: skip
"""Models whose layers are not one list: with two caches each, or run in cycles."""


@pytest.mark.parametrize("kind", CLOSED)
def test_what_is_not_opened_is_billed_whole(kind: str, tmp_path: Path) -> None:
    """LongCat's tokens choose experts that compute and others that do nothing (2509.01322)."""
    engine = LocalModels(target=build(tmp_path, kind, 4, **CLOSED[kind])).build()
    for text in TEXTS:
        request = ask(text, max_tokens=4)
        completion = plain(engine, request)
        assert [list(completion.token_ids)] == generated(engine, [request])
        flops, _ = counted(engine, request, completion)
        assert [completion.usage.prefill_flops, completion.usage.decode_flops] == flops
    request = ask(CORPUS[1], max_tokens=4, sampling=Sampling(temperature=0.8, seed=3), n=3)
    alone = [run(engine, replace(request, n=1, first_index=i))[0] for i in range(3)]
    for together, single in zip(run(engine, request), alone, strict=True):
        assert together.token_ids == single.token_ids
        assert together.usage.decode_flops == single.usage.decode_flops
    with pytest.raises(CapabilityError, match=f"the layers of {kind} models are not one list"):
        engine.require(ask("x", decoding=FixedLayer(layers=0.5)))


def test_an_indexer_that_leaves_ties_to_chance_takes_no_drafts(tmp_path: Path) -> None:
    """A key that all heads score zero ties with others; of few heads that is a common one."""
    indexer = {**LATENT, "index_head_dim": 16, "index_topk": 8, "first_k_dense_replace": 1}
    engine = LocalModels(
        target=build(tmp_path / "few", "deepseek_v32", 4, index_n_heads=2, **indexer)
    ).build()
    with pytest.raises(CapabilityError, match="an indexer of 2 heads score many keys zero"):
        engine.require(ask("x", decoding=PromptLookup()))
    paths = {
        role: build(tmp_path / role, "deepseek_v32", seed, index_n_heads=16, **indexer)
        for seed, role in ((4, "target"), (5, "draft"))
    }
    engine = LocalModels(**paths).build()
    for text in TEXTS:
        request = ask(text, max_tokens=12)
        drafted = run(engine, replace(request, decoding=DraftModel(k=3)))[0]
        assert drafted.token_ids == plain(engine, request).token_ids


def test_attention_that_is_told_on_demand_is_asked_for(tmp_path: Path) -> None:
    """The decoder of TrOCR returns no weights unless it is told to, and evicts by them."""
    sizes = {
        "d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 48,
        **dict.fromkeys(("hidden_size", "head_dim", "num_hidden_layers", "num_attention_heads")),
    }  # fmt: skip
    engine = LocalModels(target=build(tmp_path, "trocr", 4, **sizes)).build()
    request = ask(TEXTS[0], max_tokens=12)
    decoding = CosineKV(budget_start=12, budget_end=5, decay_steps=6)
    assert run(engine, replace(request, decoding=decoding))[0].usage.kv_share_kept < 1
