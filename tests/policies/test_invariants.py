"""What each policy promises, on the models that this project ships: the page for sceptics.

One section per row of the table of policies. Questions come from both simulated benchmarks, all
levels; settings are drawn by hypothesis. `answer(name, job, **settings)` runs a policy as
`kedro run` does and returns its outcome with the session that kept its bill.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import ingested

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.engines.base import Capability, Engine
from ttc_bench.engines.local import LocalEngine
from ttc_bench.engines.runtime.eviction import BudgetedCache
from ttc_bench.policies import VARIANTS, Session
from ttc_bench.policies.journal import Journal
from ttc_bench.policies.token_pruning import TopP
from ttc_bench.types import Job


@cache
def questions() -> list[Job]:
    """Six of each benchmark: made as they are first drawn, which few workers do."""
    return [job for name in ("crm_sim", "worf_sim") for job in ingested(name, 6)]


job = st.deferred(lambda: st.sampled_from(questions()))
reasoned = st.deferred(
    lambda: st.sampled_from([job for job in questions() if job.benchmark == "crm_sim"])
)


def drawn(examples: int) -> Callable[[Any], Any]:
    """Run a test on this many drawn examples, the same ones every time."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
    )


def same_tokens(answer: Any, name: str, job: Job, **chosen: Any) -> bool:
    """Whether a policy at these settings gives the baseline's answer, token by token."""
    own, plain = answer(name, job, **chosen)[0], answer("baseline.greedy", job)[0]
    return bool(own.source.token_ids == plain.source.token_ids)


# A policy that is set to do nothing does nothing: it is the baseline, token by token.

NEUTRAL: list[tuple[str, dict[str, Any]]] = [
    ("early_exit.fixed_layer", {"layers": 1.0}),
    ("early_exit.confidence", {"threshold": 1.0}),
    ("token_pruning.top_p", {"p": 1.0}),
    ("token_pruning.entropy", {"threshold_nats": 0.0}),
    ("kv_cache.static", {"budget": 1.0}),
    ("kv_cache.cosine", {"budget_start": 1.0, "budget_end": 1.0}),
    ("elastic_batch.greedy", {"max_rows": 1}),
    ("elastic_batch.sorted", {"max_rows": 1}),
    ("self_refine.feedback", {"rounds": 0}),
    ("cascade.confidence", {"threshold": 1.0}),
    ("cascade.agreement", {"threshold": 1.0, "k": 1}),
]


@pytest.mark.parametrize(("name", "chosen"), NEUTRAL, ids=[name for name, _ in NEUTRAL])
def test_the_neutral_setting_is_the_baseline(
    name: str, chosen: dict[str, Any], answer: Any
) -> None:
    assert all(same_tokens(answer, name, job, **chosen) for job in questions()[::6])


@pytest.mark.parametrize("name", [name for name, cls in VARIANTS.items() if cls.lossless])
def test_what_declares_itself_lossless_is_the_baseline_at_its_defaults(
    name: str, answer: Any, engine: Engine
) -> None:
    assert Capability.FLOAT32 in engine.capabilities()
    assert all(same_tokens(answer, name, job) for job in questions()[::6])


# speculative: the target's own output, in fewer passes of the target (that samples keep the
# target's distribution is tested where a chi-square can be: tests/engines/decoding)


@drawn(5)
@given(job=job, k=st.integers(1, 8), max_ngram=st.integers(1, 4))
def test_greedy_speculation_is_token_identical_to_the_baseline(
    answer: Any, job: Job, k: int, max_ngram: int
) -> None:
    assert same_tokens(answer, "speculative.draft_model", job, k=k)
    assert same_tokens(answer, "speculative.prompt_lookup", job, k=k, max_ngram=max_ngram)


@drawn(5)
@given(job=job, k=st.integers(1, 8))
def test_accepted_drafts_are_drafts_and_save_passes(answer: Any, job: Job, k: int) -> None:
    bill = answer("speculative.draft_model", job, k=k)[1].ledger.calls[0]
    assert 0 < bill.accepted_tokens <= bill.draft_tokens
    assert bill.forward_passes < bill.completion_tokens


# early_exit: the layers above do not run


@contextmanager
def counted_layers(engine: LocalEngine) -> Iterator[Counter[int]]:
    """Count, by hooks on the model's own layers, how often each one runs."""
    counts: Counter[int] = Counter()
    layers: Any = engine.language_model().model.model.layers
    hooks = [
        layer.register_forward_hook(lambda *_, i=i: counts.update([i]))
        for i, layer in enumerate(layers)
    ]
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()


@drawn(5)
@given(job=job, layers=st.integers(1, 8))
def test_a_hook_counts_the_layers_that_ran(
    answer: Any, engine: LocalEngine, job: Job, layers: int
) -> None:
    with counted_layers(engine) as counts:
        _, session = answer("early_exit.fixed_layer", job, Journal(), layers=layers)
    (bill,) = session.ledger.calls
    assert counts == dict.fromkeys(range(layers), bill.forward_passes)
    assert bill.layers_run == counts.total()


@drawn(5)
@given(job=job, threshold=st.floats(0, 1))
def test_a_hook_counts_the_layers_of_a_confident_exit(
    answer: Any, engine: LocalEngine, job: Job, threshold: float
) -> None:
    with counted_layers(engine) as counts:
        _, session = answer("early_exit.confidence", job, Journal(), threshold=threshold)
    (bill,) = session.ledger.calls
    assert bill.layers_run == counts.total()
    assert counts[0] == bill.forward_passes, "every token runs the first layer"
    assert sorted(counts.values(), reverse=True) == [counts[i] for i in sorted(counts)]


@drawn(5)
@given(job=reasoned, k=st.integers(1, 3), interval=st.integers(8, 24))
def test_reasoning_ends_when_k_probes_agree(answer: Any, job: Job, k: int, interval: int) -> None:
    outcome, session = answer("early_exit.consistency", job, k=k, interval=interval)
    probes = [call for call in session.ledger.calls if call.purpose == "probe"]
    assert len(probes) == outcome.info["probes"]
    if outcome.info["exited"]:
        assert len(probes) >= k
        assert session.parse(outcome.text) is not None
    else:
        assert outcome.text == answer("baseline.greedy", job)[0].text


# token_pruning: what is kept is a subsequence that carries enough surprisal


@drawn(5)
@given(job=job, p=st.floats(0.05, 1.0))
def test_pruned_prompts_are_subsequences_of_enough_surprisal(
    engine: LocalEngine, journal: Journal, job: Job, p: float
) -> None:
    prompt, policy = job.messages[-1].content, TopP(p=p)
    tokens = asyncio.run(Session(engine, journal, job).prompt_logprobs(prompt))
    surprisals = [-(token.logprob or 0.0) for token in tokens]
    kept = [s for s, stays in zip(surprisals, policy.keeps(surprisals), strict=True) if stays]
    assert math.fsum(kept) >= p * math.fsum(surprisals) - 1e-9
    spans = policy.prunable(job.messages[-1], is_last=True)
    pruned, _ = policy.prune(prompt, tokens, spans)
    letters = iter(prompt)
    assert all(letter in letters for letter in pruned), "a subsequence"
    assert pruned.splitlines()[0] == prompt.splitlines()[0], "the question is whole"


# kv_cache: never more positions than the budget, at any step


@contextmanager
def watched_cache() -> Iterator[list[tuple[int, int]]]:
    """Note length of the sequence and positions held, after every pass."""
    seen: list[tuple[int, int]] = []
    advance = BudgetedCache.advance

    def noting(cache: BudgetedCache, queries: int) -> None:
        advance(cache, queries)
        seen.append((cache.length, cache.held))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BudgetedCache, "advance", noting)
        yield seen


@drawn(5)
@given(job=job, budget=st.one_of(st.integers(2, 120), st.floats(0.05, 0.95)))
def test_a_static_cache_never_exceeds_its_budget(
    answer: Any, job: Job, budget: int | float
) -> None:
    with watched_cache() as seen:
        _, session = answer("kv_cache.static", job, Journal(), budget=budget)
    assert len(seen) == session.ledger.calls[0].forward_passes
    share = isinstance(budget, float)
    assert all(held <= (max(2, math.ceil(budget * n)) if share else budget) for n, held in seen)


@drawn(5)
@given(job=job, start=st.floats(0.3, 1.0), end=st.floats(0.05, 0.3), decay=st.integers(1, 80))
def test_a_cosine_cache_never_exceeds_its_budget(
    answer: Any, job: Job, start: float, end: float, decay: int
) -> None:
    chosen = {"budget_start": start, "budget_end": end, "decay_steps": decay}
    with watched_cache() as seen:
        _, session = answer("kv_cache.cosine", job, Journal(), **chosen)
    prompt = session.ledger.calls[0].prompt_tokens
    for n, held in seen:
        progress = min(1.0, (n - prompt) / decay)
        share = end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
        assert held <= share * n + 2, "rounded up, twice"


# elastic_batch: unbatched answers, every job once


@drawn(2)
@given(
    name=st.sampled_from(["elastic_batch.greedy", "elastic_batch.sorted"]),
    max_rows=st.integers(1, 16),
    token_budget=st.integers(900, 8192),
)
def test_batched_answers_are_the_unbatched_ones(
    answer: Any, engine: LocalEngine, name: str, max_rows: int, token_budget: int
) -> None:
    variant = VARIANTS[name](max_rows=max_rows, token_budget=token_budget)

    async def collect() -> list[Any]:
        sessions = [Session(engine, Journal(), job) for job in questions()[::3]]
        return [pair async for pair in variant.outcomes(sessions)]

    found = asyncio.run(collect())
    assert sorted(s.job.id for s, _ in found) == sorted(job.id for job in questions()[::3])
    for session, outcome in found:
        plain = answer("baseline.greedy", session.job)[0]
        assert outcome.source.token_ids == plain.source.token_ids
        assert 0 <= session.ledger.calls[0].padding_share < 1


# self_consistency, best_of_n: choices among the same samples


@drawn(5)
@given(job=job, n=st.integers(1, 8), threshold=st.floats(0.5, 1.0), chunk=st.integers(1, 4))
def test_the_vote_is_a_count_and_adaptive_sampling_never_draws_more(
    answer: Any, job: Job, n: int, threshold: float, chunk: int
) -> None:
    majority, session = answer("self_consistency.majority", job, n=n)
    answers = [session.parse(text) for text in majority.samples]
    counts = {a: answers.count(a) for a in answers if a is not None}
    assert len(answers) == n
    if counts:
        assert counts[session.parse(majority.text)] == max(counts.values())
    chosen = {"n": n, "threshold": threshold, "chunk": chunk}
    adaptive, own = answer("self_consistency.adaptive", job, **chosen)
    assert adaptive.samples == majority.samples[: len(own.ledger.calls)]
    if threshold == 1.0:
        assert session.parse(adaptive.text) == session.parse(majority.text)


@drawn(5)
@given(name=st.sampled_from(["best_of_n.likelihood", "best_of_n.verifier"]), job=job,
       n=st.integers(1, 8))  # fmt: skip
def test_the_pick_is_the_argmax_and_no_better_than_the_oracle(
    answer: Any, name: str, job: Job, n: int
) -> None:
    outcome, session = answer(name, job, n=n)
    scores = outcome.info["scores"]
    assert len(scores) == len(outcome.samples) == n
    assert outcome.text == outcome.samples[scores.index(max(scores))]
    if n == 1:
        assert outcome.text == answer("self_consistency.majority", job, n=1)[0].text
    readable = [session.parse(text) is not None for text in outcome.samples]
    assert (session.parse(outcome.text) is not None) == any(readable)
    rewards = [BENCHMARKS[job.benchmark].score(t, job)["reward"] for t in outcome.samples]
    assert max(rewards) >= BENCHMARKS[job.benchmark].score(outcome.text, job)["reward"]


# tree_search: never more steps than the budget


@drawn(5)
@given(name=st.sampled_from(["tree_search.beam", "tree_search.dvts"]), job=job,
       beams=st.integers(1, 3), width=st.integers(1, 3), depth=st.integers(1, 5))  # fmt: skip
def test_a_search_keeps_its_budget_of_steps(
    answer: Any, name: str, job: Job, beams: int, width: int, depth: int
) -> None:
    _, session = answer(name, job, beams=beams, width=width, depth=depth)
    steps = [call for call in session.ledger.calls if call.purpose == "step"]
    assert len(steps) <= beams * width * depth
    assert len({call.request for call in steps}) <= 1 + beams * (depth - 1)


@pytest.mark.parametrize("name", ["tree_search.beam", "tree_search.dvts"])
def test_one_branch_of_one_step_is_best_of_one(name: str, answer: Any) -> None:
    for job in questions()[::3]:
        single = answer("best_of_n.likelihood", job, n=1, temperature=0.8)[0]
        assert answer(name, job, beams=1, width=1, depth=1)[0].text == single.text.rstrip("\n")


# self_refine: rounds, the passing critique, the token budget


@drawn(5)
@given(job=job, rounds=st.integers(0, 3))
def test_rounds_keep_the_limit_and_end_when_the_critique_passes(
    answer: Any, job: Job, rounds: int
) -> None:
    outcome, session = answer("self_refine.feedback", job, rounds=rounds)
    purposes = [call.purpose for call in session.ledger.calls]
    done = outcome.info["rounds"]
    assert done <= rounds
    asked = ["critique"] if outcome.info["passed"] else []
    assert purposes == ["answer", *["critique", "revise"] * done, *asked]


@drawn(5)
@given(job=reasoned, waits=st.integers(0, 3), max_tokens=st.integers(40, 256))
def test_forced_thinking_keeps_the_token_budget(
    answer: Any, job: Job, waits: int, max_tokens: int
) -> None:
    short = job.model_copy(update={"max_tokens": max_tokens})
    outcome, session = answer("self_refine.budget_forcing", short, waits=waits)
    assert outcome.info["waits"] <= waits
    assert sum(call.completion_tokens for call in session.ledger.calls) <= max_tokens


# cascade: the small model at 0, the large one at 1, and both on the bill


@drawn(5)
@given(name=st.sampled_from(["cascade.confidence", "cascade.agreement"]), job=job,
       threshold=st.one_of(st.just(0.0), st.just(1.0), st.floats(0, 1)))  # fmt: skip
def test_a_cascade_escalates_below_its_threshold_and_bills_both(
    answer: Any, name: str, job: Job, threshold: float
) -> None:
    outcome, session = answer(name, job, threshold=threshold)
    escalated = outcome.info["escalated"]
    sure = outcome.info["confidence"] >= threshold
    assert escalated == (threshold == 1.0 or not sure)
    assert not (escalated and threshold == 0.0)
    assert {c.role for c in session.ledger.calls} == {"draft", *(["target"] if escalated else [])}
    if escalated:
        assert outcome.text == answer("baseline.greedy", job)[0].text
    parts = [call.flops for call in session.ledger.calls]
    assert session.ledger.totals()["flops"] == pytest.approx(math.fsum(parts))


# every policy: what it draws and bills in one job is its own

DRAWING = (
    "best_of_n.likelihood",
    "self_consistency.adaptive",
    "self_refine.feedback",
    "tree_search.beam",
    "tree_search.dvts",
)


@pytest.mark.parametrize("name", DRAWING)
def test_no_billed_call_of_a_job_is_a_replay_of_another_one(name: str, answer: Any) -> None:
    calls = answer(name, questions()[0], Journal())[1].ledger.calls
    assert not any(call.replayed for call in calls)


@pytest.mark.parametrize("name", ["tree_search.beam", "tree_search.dvts"])
def test_branches_of_equal_text_go_on_with_draws_of_their_own(name: str, answer: Any) -> None:
    hot = {"beams": 3, "width": 1, "depth": 3, "temperature": 3.0}
    finalists = answer(name, questions()[0], Journal(), **hot)[0].samples
    assert len(set(finalists)) == len(finalists)
