"""Budgeted caches: never more than the budget, and the right positions inside it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.engines.tiny_models import ask, plain, run

from ttc_bench.engines.base import Request, key_of
from ttc_bench.engines.decoding import CosineKV, StaticKV
from ttc_bench.engines.local import LocalEngine
from ttc_bench.engines.runtime.cache import CacheShape, KVCache, Meter, attention
from ttc_bench.engines.runtime.eviction import BudgetedCache, HeavyHitterCache, SinkCache
from ttc_bench.errors import CapabilityError

SHAPE = CacheShape(2, 2, 8, torch.float32, torch.device("cpu"))


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int, int]]]:
    """Note after every pass: length of the sequence, positions held, bytes of the tensors."""
    seen: list[tuple[int, int, int]] = []
    advance = BudgetedCache.advance

    def noting(cache: BudgetedCache, queries: int) -> None:
        advance(cache, queries)
        tensors = cache.keys + cache.values
        seen.append((cache.length, cache.held, sum(t.numel() * t.element_size() for t in tensors)))

    monkeypatch.setattr(BudgetedCache, "advance", noting)
    yield seen


@pytest.mark.parametrize("budget", [2, 8, 16, 0.25, 0.5])
def test_a_static_cache_never_exceeds_its_budget(
    engine: LocalEngine, requests: list[Request], budget: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched(monkeypatch) as seen:
        usage = run(engine, replace(requests[-1], decoding=StaticKV(budget=budget)))[0].usage
    allowed = [budget if isinstance(budget, int) else math.ceil(budget * n) for n, _, _ in seen]
    assert len(seen) == usage.forward_passes
    assert all(held <= most for (_, held, _), most in zip(seen, allowed, strict=True))
    # The tensors themselves are no larger than the largest budget asks for.
    shape = engine.language_model().white_box.cache_shape
    per_position = 2 * shape.layers * shape.kv_heads * shape.head_dim * 4
    assert usage.peak_kv_bytes == per_position * max(held for _, held, _ in seen)
    if isinstance(budget, int):
        assert {nbytes for _, _, nbytes in seen} == {per_position * budget}
    assert usage.kv_share_kept == pytest.approx(
        max(h for _, h, _ in seen) / max(n for n, _, _ in seen)
    )


@pytest.mark.parametrize(
    "decoding",
    [
        CosineKV(budget_start=0.8, budget_end=0.2, decay_steps=8),
        CosineKV(budget_start=24, budget_end=6, decay_steps=12),
        CosineKV(budget_start=1.0, budget_end=2, decay_steps=3, recent=0.0),
        CosineKV(budget_start=0.3, budget_end=0.9, decay_steps=8),
    ],
    ids=lambda d: d.label,
)
def test_a_cosine_cache_never_exceeds_its_budget(
    engine: LocalEngine, requests: list[Request], decoding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched(monkeypatch) as seen:
        usage = run(engine, replace(requests[-1], decoding=decoding))[0].usage
    for length, held, _ in seen:
        assert held <= decoding.positions(length, length - usage.prompt_tokens)
    assert len(seen) == usage.forward_passes


@pytest.mark.parametrize(
    "neutral",
    [StaticKV(budget=1.0), StaticKV(budget=4000), CosineKV(budget_end=1.0),
     CosineKV(budget_start=4000, budget_end=4000)],
    ids=lambda d: d.label,
)  # fmt: skip
def test_a_full_budget_gives_the_baseline_exactly(
    engine: LocalEngine, requests: list[Request], neutral: Any
) -> None:
    for request in requests:
        baseline = plain(engine, request)
        full = run(engine, replace(request, decoding=neutral))[0]
        assert full.token_ids == baseline.token_ids
        assert full.logprobs == baseline.logprobs, "not one bit differs"
        assert full.usage == baseline.usage


def test_smaller_caches_save_memory_and_work(engine: LocalEngine, requests: list[Request]) -> None:
    request = requests[-1]
    whole = plain(engine, request).usage
    for decoding in (StaticKV(budget=0.5), CosineKV(budget_start=0.5, budget_end=0.25)):
        usage = run(engine, replace(request, decoding=decoding))[0].usage
        assert (usage.peak_kv_bytes or 0) < (whole.peak_kv_bytes or 0)
        per_token = (usage.decode_flops or 0) / (usage.completion_tokens - 1)
        assert per_token < (whole.decode_flops or 0) / (whole.completion_tokens - 1)


def states(count: int, seed: int, heads: int = 4) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(1, n, count, 8, generator=generator) for n in (heads, 2, 2))


def fed(cache: KVCache, prompt: int, steps: int) -> Iterator[tuple[int, int, Any, Any]]:
    """Feed random states as a runner would; yield (sequence length, layer, states, output)."""
    for step in range(steps + 1):
        count = prompt if step == 0 else 1
        cache.plan(count)
        for layer in range(2):
            qkv = states(count, 100 * step + layer)
            yield cache.length + count, layer, qkv, cache.attend(layer, *qkv, cache.mask(count))
        cache.advance(count)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(2, 10), st.integers(0, 5), st.integers(0, 15))
def test_sinks_and_window_are_what_a_token_attends_to(
    prompt: int, budget: int, sinks: int, steps: int
) -> None:
    """Against attention over the very positions that the paper keeps."""
    cache = SinkCache(SHAPE, 40, [Meter()], lambda _: budget, sinks)
    history: dict[int, list[torch.Tensor]] = {0: [], 1: []}
    for length, layer, (q, k, v), output in fed(cache, prompt, steps):
        history[layer] += [torch.cat((k, v), -1)[:, :, i] for i in range(k.shape[2])]
        if q.shape[2] == 1 and length > prompt:
            first = min(sinks, min(prompt, budget) - 1)
            window = min(budget, length) - first
            kept = history[layer][:first] + history[layer][length - window :]
            keys, values = torch.stack(kept, dim=2).chunk(2, dim=-1)
            assert torch.allclose(output, attention(q, keys, values, None), atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 10), st.integers(2, 8), st.integers(0, 12), st.floats(0, 1))
def test_the_least_attended_position_is_evicted(
    prompt: int, last: int, steps: int, recent: float
) -> None:
    """Against a plain simulation with one dictionary of scores per layer and head."""

    def budget(length: int) -> int:
        return max(2, last + 6 - (length - prompt))

    cache = HeavyHitterCache(SHAPE, 40, [Meter()], budget, recent)
    scores: dict[tuple[int, int], dict[int, float]] = {}
    past: dict[tuple[int, int], dict[int, tuple[Any, Any]]] = {}
    for length, layer, (q, k, v), output in fed(cache, prompt, steps):
        room = budget(length)
        safe = max(1, min(min(room, length) - 1, round(recent * min(room, length))))
        for head in range(2):
            held = scores.setdefault((layer, head), {})
            store = past.setdefault((layer, head), {})
            queries = q[0, 2 * head : 2 * head + 2]
            new = range(length - k.shape[2], length)
            while k.shape[2] == 1 and len(held) + 1 > room:
                old = [p for p in held if p < length - safe]
                held.pop(min(old, key=lambda p: held[p]))
            held.update(dict.fromkeys(new, 0.0))
            store.update({p: (k[0, head, i], v[0, head, i]) for i, p in enumerate(new)})
            for row, position in enumerate(new):
                seen = [p for p in held if p <= position]
                keys = torch.stack([store[p][0] for p in seen])
                values = torch.stack([store[p][1] for p in seen])
                weights = (queries[:, row] @ keys.T / math.sqrt(8)).softmax(-1)
                attended = output[0, 2 * head : 2 * head + 2, row]
                assert torch.allclose(attended, weights @ values, atol=1e-4)
                for p, w in zip(seen, weights.sum(0).tolist(), strict=True):
                    held[p] += w
            while len(held) > room:
                old = [p for p in held if p < length - safe]
                held.pop(min(old, key=lambda p: held[p]))


@given(st.integers(1, 400), st.integers(0, 200))
def test_the_budget_decays_by_a_cosine(length: int, step: int) -> None:
    decoding = CosineKV(budget_start=1.0, budget_end=0.25, decay_steps=100)
    kept, later = decoding.positions(length, step), decoding.positions(length, step + 1)
    assert later <= kept
    assert decoding.positions(length, 0) >= length
    assert decoding.positions(length, 100) == max(2, math.ceil(0.25 * length))
    middle = decoding.positions(400, 50)
    assert middle == pytest.approx(400 * (1.0 + 0.25) / 2, abs=1)


@pytest.mark.parametrize("budget", [1, 0, -3, 0.0, 1.5])
def test_impossible_budgets_are_told(budget: float) -> None:
    with pytest.raises(ValidationError, match="budget"):
        StaticKV(budget=budget)


def test_a_budgeted_cache_cannot_be_rewound() -> None:
    cache = SinkCache(SHAPE, 8, [Meter()], lambda _: 4, 1)
    with pytest.raises(CapabilityError, match="cropped"):
        cache.crop(1)


def test_settings_are_part_of_the_identity() -> None:
    request = ask("x")
    keys = {
        key_of(replace(request, decoding=d).identity("model", 0))
        for d in (StaticKV(), StaticKV(budget=0.25), StaticKV(sinks=2), CosineKV())
    }
    assert len(keys) == 4
