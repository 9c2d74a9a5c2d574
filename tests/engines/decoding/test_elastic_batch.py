"""Elastic batching: same answers, nobody lost, the budget kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engines.tiny_models import CORPUS, ask, once

from ttc_bench.engines.base import Request, Sampling
from ttc_bench.engines.completion import CallError, Completion
from ttc_bench.engines.decoding import FixedLayer
from ttc_bench.engines.decoding.elastic_batch import Demand, ElasticBatch, Queue
from ttc_bench.engines.local import LocalEngine
from ttc_bench.engines.runtime.context import DecodeContext
from ttc_bench.errors import CapabilityError, UserError

BATCHES = [
    ElasticBatch(),
    ElasticBatch(order="sorted"),
    ElasticBatch(token_budget=1600, max_rows=3),
    ElasticBatch(order="sorted", token_budget=1600),
    ElasticBatch(max_rows=1),
]


def run_all(
    engine: LocalEngine, requests: Sequence[Request], batch: ElasticBatch
) -> list[tuple[int, Completion | CallError]]:
    return collected(engine, [replace(request, decoding=batch) for request in requests])


def collected(
    engine: LocalEngine, requests: Sequence[Request]
) -> list[tuple[int, Completion | CallError]]:
    async def collect() -> list[tuple[int, Completion | CallError]]:
        return [pair async for pair in engine.complete_many(requests)]

    return asyncio.run(collect())


batched = cache(run_all)
"""The same, computed once for all tests that look at it."""


@pytest.fixture(scope="module")
def mixed(engine: LocalEngine, requests: list[Request]) -> tuple[Request, ...]:
    """Requests of very different lengths, some drawn and some greedy."""
    rng = random.Random(0)
    short = [replace(r, max_tokens=rng.randint(1, r.max_tokens)) for r in requests]
    drawn = Sampling(temperature=0.7, seed=5)
    return (
        *short,
        *(replace(r, sampling=drawn, first_index=i) for i, r in enumerate(requests)),
    )


@pytest.mark.parametrize("batch", BATCHES, ids=repr)
def test_outputs_are_identical_to_unbatched(
    engine: LocalEngine, mixed: tuple[Request, ...], batch: ElasticBatch
) -> None:
    together = batched(engine, mixed, batch)
    assert sorted(index for index, _ in together) == list(range(len(mixed)))
    for index, completion in together:
        assert isinstance(completion, Completion)
        alone = once(engine, mixed[index])
        assert completion.token_ids == alone.token_ids
        assert completion.text == alone.text
        assert completion.logprobs == pytest.approx(alone.logprobs, abs=1e-3)
        assert completion.index == mixed[index].first_index


def test_the_bill_tells_padding_and_company(
    engine: LocalEngine, mixed: tuple[Request, ...]
) -> None:
    together = batched(engine, mixed, ElasticBatch())
    completions = [c for _, c in together if isinstance(c, Completion)]
    shares = [c.usage.padding_share for c in completions]
    assert all(share is not None and 0 <= share < 1 for share in shares)
    assert max(share or 0 for share in shares) > 0
    assert all(1 <= c.usage.batch_size <= 16 for c in completions)
    assert max(c.usage.batch_size for c in completions) > 4
    lone = [c for _, c in batched(engine, mixed, ElasticBatch(max_rows=1))]
    assert all(isinstance(c, Completion) and c.usage.padding_share == 0 for c in lone)


def test_waiting_is_queue_time_and_not_latency(
    engine: LocalEngine, requests: list[Request]
) -> None:
    outcomes = dict(run_all(engine, requests, ElasticBatch(max_rows=1)))
    completions = [c for c in outcomes.values() if isinstance(c, Completion)]
    waits = sorted(c.timing.queue_s for c in completions)
    assert waits[0] < waits[-1]
    assert waits[-1] >= sum(sorted(c.timing.latency_s for c in completions)[:-1]) * 0.5


def test_one_bad_prompt_fails_alone(tiny: LocalEngine) -> None:
    requests = [ask("1" * 600), *(ask(text) for text in CORPUS)]
    outcomes = dict(run_all(tiny, requests, ElasticBatch()))
    assert isinstance(outcomes[0], CallError)
    assert outcomes[0].error_type == "context_length"
    assert all(isinstance(outcomes[i], Completion) for i in range(1, len(requests)))


class Loud(ElasticBatch):
    """An elastic batch with a loop of its own, which the engine must not leave out."""

    def run(self, context: DecodeContext) -> None:
        """Refuse to decode."""
        raise ArithmeticError("the loop ran")


def test_a_batch_of_one_is_a_decoding_like_any_other(
    engine: LocalEngine, requests: list[Request]
) -> None:
    for request in requests[:3]:
        alone = once(engine, replace(request, decoding=ElasticBatch()))
        assert alone.token_ids == once(engine, request).token_ids
        assert alone.usage.padding_share == 0
    with pytest.raises(ArithmeticError, match="the loop ran"):
        once(engine, replace(requests[0], decoding=Loud()))


def test_what_cannot_be_batched_is_told(tiny: LocalEngine) -> None:
    batch = ElasticBatch()
    alone = ask("x", decoding=batch)
    for other in (
        [ask("x"), ask("x")],
        [ask("x", decoding=FixedLayer())],
        [alone, replace(alone, decoding=ElasticBatch(max_rows=2))],
        [alone, replace(alone, role="draft")],
        [replace(alone, n=2)],
        [replace(alone, decoding=Loud())],
    ):
        with pytest.raises(CapabilityError, match="one and the same elastic batch"):
            collected(tiny, other)
    with pytest.raises(UserError, match="token_budget"):
        run_all(tiny, [ask("x", max_tokens=100)], ElasticBatch(token_budget=50))
    assert run_all(tiny, [], ElasticBatch()) == []


demands = st.lists(st.tuples(st.integers(1, 300), st.integers(1, 200)), max_size=40)


@given(
    demands,
    st.sampled_from(["greedy", "sorted"]),
    st.integers(500, 3000),
    st.integers(1, 8),
    st.randoms(use_true_random=False),
)
def test_the_queue_serves_everyone_once_within_the_budget(
    sizes: list[tuple[int, int]], order: str, budget: int, rows: int, rng: random.Random
) -> None:
    batch = ElasticBatch(order=order, token_budget=budget, max_rows=rows)  # type: ignore[arg-type]
    queue = Queue(batch, [Demand(i, p, p + a) for i, (p, a) in enumerate(sizes)])
    running: list[Demand] = []
    served: list[int] = []
    while len(queue) or running:
        admitted = queue.admit([d.reserved for d in running])
        running += admitted
        served += [d.index for d in admitted]
        assert running, "someone always runs while anyone waits"
        assert len(running) <= rows
        assert len(running) * max(d.reserved for d in running) <= budget
        rng.shuffle(running)
        running = running[rng.randint(1, len(running)) :]
    assert sorted(served) == list(range(len(sizes)))


def test_first_fit_lets_small_requests_pass_large_ones() -> None:
    queue = Queue(
        ElasticBatch(token_budget=100), [Demand(0, 10, 40), Demand(1, 50, 90), Demand(2, 5, 20)]
    )
    assert [d.index for d in queue.admit([])] == [0, 2]
    assert [d.index for d in queue.admit([20])] == []
    assert [d.index for d in queue.admit([])] == [1]


def test_sorted_order_puts_neighbours_of_a_length_together() -> None:
    sizes = [10, 300, 20, 290, 15, 310]
    queue = Queue(
        ElasticBatch(order="sorted", max_rows=3), [Demand(i, n, n) for i, n in enumerate(sizes)]
    )
    assert [d.prompt for d in queue.admit([])] == [310, 300, 290]
    assert [d.prompt for d in queue.admit([])] == [20, 15, 10]
