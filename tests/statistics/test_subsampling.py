"""Curves over fewer samples are the mean over every subset, as a brute-force count gives it."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc_bench.metrics.sampling import pass_at_k
from ttc_bench.policies.voting import vote
from ttc_bench.statistics import subsampling
from ttc_bench.statistics.subsampling import (
    best_of_weights,
    majority_curve,
    majority_weights,
    pass_at_k_curve,
)

ANSWERS = st.lists(st.sampled_from([0, 1, 2, 3, None]), min_size=1, max_size=8)
REWARDS = st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=8, max_size=8)


def by_voting(answers: list[int | None], rewards: list[float], k: int) -> float:
    """The mean reward of the vote over all subsets, with the project's own vote."""
    won = [
        rewards[subset[vote([answers[i] for i in subset]).index]]
        for subset in combinations(range(len(answers)), k)
    ]
    return float(np.mean(won))


@settings(deadline=None, max_examples=150)
@given(ANSWERS, REWARDS)
def test_majority_is_the_mean_over_all_subsets(
    answers: list[int | None], rewards: list[float]
) -> None:
    own = rewards[: len(answers)]
    curve = majority_curve(answers, own)
    for k in range(1, len(answers) + 1):
        assert curve.value[k - 1] == pytest.approx(by_voting(answers, own, k))
    assert not curve.variance.any()


@settings(deadline=None, max_examples=80)
@given(st.lists(st.sampled_from([0.1, 0.5, 0.9, -np.inf]), min_size=1, max_size=8), REWARDS)
def test_best_of_k_is_the_mean_over_all_subsets(scores: list[float], rewards: list[float]) -> None:
    own = np.array(rewards[: len(scores)])
    curve = best_of_weights(scores) @ own
    for k in range(1, len(scores) + 1):
        kept = [
            own[max(subset, key=lambda i: scores[i])]
            for subset in combinations(range(len(scores)), k)
        ]
        assert curve[k - 1] == pytest.approx(np.mean(kept))


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_pass_at_k_is_the_metric_and_rises(case: tuple[int, int]) -> None:
    samples, correct = case
    curve = pass_at_k_curve(correct, samples)
    expected = [pass_at_k(samples, correct, k) for k in range(1, samples + 1)]
    np.testing.assert_allclose(curve, expected, atol=1e-12)
    assert (np.diff(curve) >= -1e-12).all()
    assert curve[0] == pytest.approx(correct / samples)
    assert curve[-1] == float(correct > 0)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([0, 1, 2, 5, None]), min_size=1, max_size=24), st.data())
def test_weights_are_chances_from_one_sample_to_the_whole_vote(
    answers: list[int | None], data: st.DataObject
) -> None:
    n = len(answers)
    scores = data.draw(st.lists(st.floats(0, 1), min_size=n, max_size=n))
    votes, picks = majority_weights(tuple(answers)), best_of_weights(scores)
    for weights in (votes, picks):
        assert (weights >= 0).all()
        np.testing.assert_allclose(weights.sum(axis=1), 1.0)
        np.testing.assert_allclose(weights[0], 1 / n)
    assert votes[-1].argmax() == vote(answers).index
    assert votes[-1].max() == pytest.approx(1.0)
    assert picks[-1].argmax() == max(range(n), key=lambda i: scores[i])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_the_oracle_rises_with_every_sample(rewards: list[float]) -> None:
    curve = best_of_weights(rewards) @ np.array(rewards)
    assert (np.diff(curve) >= -1e-9).all()
    assert curve[-1] == pytest.approx(max(rewards))


def test_fewer_samples_of_a_large_pool_are_worth_what_fresh_ones_are() -> None:
    """Unbiased: over many pools the mean curve at k is the true reward at k (4 sigma)."""
    rng = np.random.default_rng(0)
    pools = rng.choice(3, (4000, 9), p=[0.5, 0.3, 0.2])
    curves = np.array([majority_curve(p.tolist(), (p == 0).astype(float)).value for p in pools])
    fresh = rng.choice(3, (20_000, 5), p=[0.5, 0.3, 0.2])
    won = np.array([row[vote(row.tolist()).index] == 0 for row in fresh])
    error = np.hypot(curves[:, 4].std() / np.sqrt(4000), won.std() / np.sqrt(20_000))
    assert abs(curves[:, 4].mean() - won.mean()) <= 4 * error


def test_drawn_votes_are_the_exact_ones_within_the_error_they_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(1)
    pools = [[None if a == 3 else int(a) for a in rng.integers(0, 4, 20)] for _ in range(30)]
    rewards = [rng.random(20).tolist() for _ in pools]
    exact = [majority_curve(a, r) for a, r in zip(pools, rewards, strict=True)]
    monkeypatch.setattr(subsampling, "EXACT_SAMPLES", 0)
    drawn = [
        majority_curve(a, r, seed=(0, i))
        for i, (a, r) in enumerate(zip(pools, rewards, strict=True))
    ]
    error = np.sqrt(sum(curve.variance for curve in drawn)) / len(pools)
    gaps = np.mean([c.value for c in drawn], axis=0) - np.mean([c.value for c in exact], axis=0)
    assert (np.abs(gaps) <= 4.5 * error + 1e-9).all()
    assert error[0] == error[-1] == 0.0, "one sample and all of them need no drawing"
    assert error[1:-1].max() > 0.0


def test_a_large_pool_needs_no_subset_counted() -> None:
    answers = [0, 1, 1, None] * 25
    curve = majority_curve(answers, [1.0, 0.0, 0.0, 0.0] * 25)
    assert curve.value[0] == pytest.approx(0.25)
    assert curve.value[-1] == 0.0
    assert majority_curve(answers, [1.0, 0.0, 0.0, 0.0] * 25).value.tolist() == curve.value.tolist()
