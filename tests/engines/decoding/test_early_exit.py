"""Early exit: the layers above really do not run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError
from tests.engines.tiny_models import plain, run

from ttc_bench.engines.base import Request
from ttc_bench.engines.decoding import ConfidenceExit, FixedLayer
from ttc_bench.engines.local import LocalEngine


@contextmanager
def counted_layers(engine: LocalEngine) -> Iterator[Counter[int]]:
    """Count, by forward hooks on the model's own layers, how often each one runs."""
    counts: Counter[int] = Counter()
    layers: Any = engine.language_model().model.model.layers

    def hook(index: int) -> Any:
        return lambda *_: counts.update([index])

    handles = [layer.register_forward_hook(hook(i)) for i, layer in enumerate(layers)]
    try:
        yield counts
    finally:
        for handle in handles:
            handle.remove()


@pytest.mark.parametrize("layers", [1, 2, 0.5, 0.75, 1.0])
def test_a_hook_counts_the_layers_that_ran(
    engine: LocalEngine, requests: list[Request], layers: float
) -> None:
    depth = engine.language_model().white_box.n_layers
    kept = layers if isinstance(layers, int) else round(layers * depth)
    with counted_layers(engine) as counts:
        usage = run(engine, replace(requests[0], decoding=FixedLayer(layers=layers)))[0].usage
    assert counts == dict.fromkeys(range(kept), usage.forward_passes)
    assert usage.layers_run == kept * (usage.forward_passes or 0) == counts.total()


@pytest.mark.parametrize(
    "neutral",
    [FixedLayer(layers=1.0), FixedLayer(layers=999), ConfidenceExit(threshold=1.0)],
    ids=lambda d: d.label,
)
def test_all_layers_give_the_baseline_exactly(
    engine: LocalEngine, requests: list[Request], neutral: Any
) -> None:
    for request in requests:
        baseline = plain(engine, request)
        exited = run(engine, replace(request, decoding=neutral))[0]
        assert exited.token_ids == baseline.token_ids
        assert exited.logprobs == baseline.logprobs, "not one bit differs"
        assert exited.usage == baseline.usage


def test_fewer_layers_cost_less(engine: LocalEngine, requests: list[Request]) -> None:
    whole = plain(engine, requests[0]).usage
    half = run(engine, replace(requests[0], decoding=FixedLayer(layers=0.5)))[0].usage
    assert half.layers_run is not None
    assert whole.layers_run is not None
    assert half.layers_run / (half.forward_passes or 1) * 2 == whole.layers_run / (
        whole.forward_passes or 1
    )
    assert (half.prefill_flops or 0) < (whole.prefill_flops or 0)
    per_position = (half.peak_kv_bytes or 0) / (half.prompt_tokens + half.completion_tokens - 1)
    full = (whole.peak_kv_bytes or 0) / (whole.prompt_tokens + whole.completion_tokens - 1)
    assert per_position * 2 == full


def test_a_sure_head_ends_a_token_early(engine: LocalEngine, requests: list[Request]) -> None:
    """At threshold 0 every token leaves at the first check, and the hook sees it."""
    decoding = ConfidenceExit(threshold=0.0, min_layers=2)
    with counted_layers(engine) as counts:
        completion = run(engine, replace(requests[0], decoding=decoding))[0]
    steps = completion.usage.completion_tokens - 1
    assert completion.extra["exit_layers"] == {"2": steps}
    # The prompt runs through all layers, each later token through two.
    depth = engine.language_model().white_box.n_layers
    assert counts == {i: 1 + (steps if i < 2 else 0) for i in range(depth)}
    assert completion.usage.layers_run == counts.total()


def test_the_threshold_trades_layers_for_certainty(
    engine: LocalEngine, requests: list[Request]
) -> None:
    """Higher thresholds never run fewer layers for the same first tokens."""
    depths = []
    for threshold in (0.0, 0.5, 0.99, 1.0):
        decoding = ConfidenceExit(threshold=threshold, min_layers=1, check_every=1)
        completions = [run(engine, replace(r, decoding=decoding))[0] for r in requests[:4]]
        exits: Counter[str] = sum((Counter(c.extra["exit_layers"]) for c in completions), Counter())
        depths.append(sum(int(k) * v for k, v in exits.items()) / exits.total())
    assert depths == sorted(depths)
    assert depths[0] == 1


def test_exit_heads_and_propagation_are_billed(
    engine: LocalEngine, requests: list[Request]
) -> None:
    runner = engine.language_model().white_box
    decoding = ConfidenceExit(threshold=0.0, min_layers=1)
    usage = run(engine, replace(requests[0], decoding=decoding))[0].usage
    prompt, steps = usage.prompt_tokens, usage.completion_tokens - 1
    expected = sum(
        runner.cost.layers(1, 1, prompt + i + 1)
        + runner.cost.head(1)
        + runner.cost.propagation(runner.n_layers - 1, 1)
        for i in range(steps)
    )
    assert usage.decode_flops == expected


def test_margins_are_stricter_than_probabilities(
    engine: LocalEngine, requests: list[Request]
) -> None:
    layers = {}
    for measure in ("softmax", "margin"):
        decoding = ConfidenceExit(threshold=0.5, min_layers=1, check_every=1, measure=measure)
        request = replace(requests[1], decoding=decoding, max_tokens=2)
        layers[measure] = run(engine, request)[0].usage.layers_run or 0
    assert layers["margin"] >= layers["softmax"]


@pytest.mark.parametrize("layers", [0, -1, 0.0, 1.5])
def test_impossible_depths_are_told(layers: float) -> None:
    with pytest.raises(ValidationError, match=r"share|count"):
        FixedLayer(layers=layers)
