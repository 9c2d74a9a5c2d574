"""Self-consistency: the vote decides, and adaptive sampling never costs more than majority."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.policies.journal import Journal
from ttc_bench.policies.self_consistency import Adaptive
from ttc_bench.policies.voting import vote
from ttc_bench.types import Job

N = 6


def test_one_sample_is_that_sample(answer: Any, jobs: list[Job]) -> None:
    outcome, _ = answer("self_consistency.majority", jobs[0], n=1)
    assert outcome.text == outcome.samples[0]


@pytest.mark.parametrize("threshold", [0.8, 0.95, 1.0])
def test_adaptive_draws_a_prefix_of_the_same_samples(
    answer: Any, jobs: list[Job], threshold: float
) -> None:
    for job in jobs:
        majority, _ = answer("self_consistency.majority", job, n=N)
        adaptive, session = answer("self_consistency.adaptive", job, n=N, threshold=threshold)
        drawn = len(adaptive.samples)
        assert drawn <= N
        assert adaptive.samples == majority.samples[:drawn]
        assert len(session.ledger.calls) == drawn


def test_at_threshold_one_the_winner_is_the_majoritys(answer: Any, jobs: list[Job]) -> None:
    for job in jobs:
        majority, session = answer("self_consistency.majority", job, n=N)
        adaptive, _ = answer("self_consistency.adaptive", job, n=N, threshold=1.0)
        assert session.parse(adaptive.text) == session.parse(majority.text)


@given(
    drawn=st.lists(st.sampled_from("abc"), min_size=1, max_size=8),
    rest=st.lists(st.sampled_from("abc"), max_size=8),
)
def test_a_vote_called_decided_cannot_change(drawn: list[str], rest: list[str]) -> None:
    variant = Adaptive(n=len(drawn) + len(rest), threshold=1.0)
    if variant.is_decided(vote(drawn), len(drawn)):
        whole = drawn + rest
        assert whole[vote(whole).index] == drawn[vote(drawn).index]


def test_after_best_of_n_it_makes_no_new_call(answer: Any, jobs: list[Job]) -> None:
    """One sample pool: the same samples serve both policies and are paid once."""
    pool = Journal()
    best, first = answer("best_of_n.likelihood", jobs[0], pool, n=N)
    voted, second = answer("self_consistency.majority", jobs[0], pool, n=N)
    assert voted.samples == best.samples
    alone, spent = first.ledger.totals(), second.ledger.totals()
    assert spent["spent_calls"] == 0
    assert spent["flops"] == alone["flops"], "the price alone is the same"
