"""The stated formula for floating point operations against PyTorch's own counter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from tests.engines.tiny_models import CORPUS, ask, run
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, DynamicCache

from ttc_bench.engines.base import Sampling
from ttc_bench.engines.completion import Reading
from ttc_bench.engines.local import LocalEngine
from ttc_bench.engines.runtime.measured_cost import LayerCost, MeasuredCost, check_told

TOLERANCE = 0.02


def counted(engine: LocalEngine, prompt: list[int], answer: list[int]) -> tuple[float, float]:
    """PyTorch's count for prompt and answer, run by the library's own model."""
    model = AutoModelForCausalLM.from_pretrained(
        engine.models.target, dtype=torch.float32, attn_implementation="eager"
    )
    cache = DynamicCache(config=model.config)
    with torch.no_grad():
        with FlopCounterMode(display=False) as prefill:
            model(torch.tensor([prompt]), past_key_values=cache, logits_to_keep=1)
        with FlopCounterMode(display=False) as decode:
            for token in answer[:-1]:
                model(torch.tensor([[token]]), past_key_values=cache, logits_to_keep=1)
    return prefill.get_total_flops(), decode.get_total_flops()


@pytest.mark.parametrize("text", [CORPUS[0], " ".join(CORPUS)])
def test_the_bill_agrees_with_pytorchs_counter(engine: LocalEngine, text: str) -> None:
    request = ask(text, max_tokens=12)
    completion = run(engine, request)[0]
    prompt = engine.language_model().encode(request.messages)
    prefill, decode = counted(engine, prompt, list(completion.token_ids))
    assert completion.usage.prefill_flops == pytest.approx(prefill, rel=TOLERANCE)
    assert completion.usage.decode_flops == pytest.approx(decode, rel=TOLERANCE)


def test_each_sample_of_a_batch_pays_its_own_decoding(engine: LocalEngine) -> None:
    request = ask(CORPUS[1], max_tokens=12, sampling=Sampling(temperature=1.0), n=3)
    for i, completion in enumerate(run(engine, request)):
        alone = run(engine, replace(request, n=1, first_index=i))[0]
        assert completion.usage.prefill_flops == alone.usage.prefill_flops
        assert completion.usage.decode_flops == alone.usage.decode_flops


def flops_of_reading(
    engine: LocalEngine,
    reading: Reading,
    config: Any,
    read_question: Callable[..., object],
    read_solution: Callable[..., object],
) -> int:
    """Count a reading: the question runs once for all solutions and does not attend to them."""
    question = len(engine.language_model().encode(ask(CORPUS[1]).messages)) - 1
    tokens = torch.ones(1, reading.usage.verifier_tokens, dtype=torch.long)
    cache = DynamicCache(config=config)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        read_question(tokens[:, :question], past_key_values=cache)
        read_solution(tokens[:, question:], past_key_values=cache)
    return counter.get_total_flops()


def test_a_verifiers_reading_agrees_with_pytorchs_counter(tiny: LocalEngine) -> None:
    solution = CORPUS[3]
    reading = asyncio.run(tiny.verify(ask(CORPUS[1]).messages, [solution]))
    model = AutoModelForSequenceClassification.from_pretrained(
        tiny.models.verifier, dtype=torch.float32, attn_implementation="eager"
    )
    expected = flops_of_reading(tiny, reading, model.config, model.model, model.model)
    assert reading.usage.prefill_flops == pytest.approx(expected, rel=TOLERANCE)


def test_an_implicit_verifiers_reading_agrees_with_pytorchs_counter(
    reference: LocalEngine,
) -> None:
    reading = asyncio.run(reference.verify(ask(CORPUS[1]).messages, [CORPUS[3]]))
    model = AutoModelForCausalLM.from_pretrained(
        reference.models.verifier, dtype=torch.float32, attn_implementation="eager"
    )
    last_only = partial(model, logits_to_keep=1)
    expected = flops_of_reading(reference, reading, model.config, last_only, model)
    assert reading.usage.prefill_flops == pytest.approx(expected, rel=TOLERANCE)


def test_a_pass_that_costs_what_no_other_pass_tells_has_no_bill() -> None:
    """A token that leaves early, or is routed to fewer experts, makes bills untrue."""
    cost = MeasuredCost((LayerCost(position=100, score=2),) * 3, outside=0, output=50)
    told = 3 * (16 * 100 + 16 * 16 * 2)
    check_told(cost, ([told // 3] * 3, 50), tokens=16, outputs=1)
    with pytest.raises(ValueError, match="no bill of it would be true"):
        check_told(cost, ([told // 3, told // 3, 0], 50), tokens=16, outputs=1)
