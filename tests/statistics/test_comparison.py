"""A comparison says what its parts say, and its verdict is its interval's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from ttc_bench.statistics import Comparison, compare, judge, mean_interval, pairs_needed
from ttc_bench.statistics.comparison import cohen_dz, cohen_g
from ttc_bench.statistics.intervals import means_of

NAN = math.nan
VARIANTS = 22


def one(first: list[float], second: list[float], clusters: list[int] | None = None) -> Comparison:
    sides = [np.array(side, dtype=float)[:, None] for side in (first, second)]
    codes = None if clusters is None else np.array(clusters)
    return compare(*sides, codes, width=1.0)[0]


def verdict(comparison: Comparison) -> str:
    return judge(comparison, 1.0, True)


TABLE = st.lists(
    st.lists(st.sampled_from([0.0, 0.5, 1.0, NAN]), min_size=6, max_size=6),
    min_size=1,
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(TABLE, st.booleans(), st.sampled_from([1.0, math.inf]))
def test_a_column_depends_on_the_others_by_their_number_alone(
    rows: list[list[float]], clustered: bool, width: float
) -> None:
    table = np.array(rows)
    codes = np.arange(len(rows)) // 2 if clustered else None
    together = compare(table[:, :3], table[:, 3:], codes, width=width)
    family = sum(comparison.n_clusters > 1 for comparison in together)
    for column, comparison in enumerate(together):
        alone = compare(table[:, [column]], table[:, [column + 3]], codes, width=width)[0]
        for name in ("n_pairs", "difference", "p_value", "effect_size", "spread", "design", "test"):
            expected = getattr(alone, name)
            assert getattr(comparison, name) == pytest.approx(expected, nan_ok=True), name
        assert comparison.level == pytest.approx(0.05 / max(1, family))
        if comparison.p_value is not None:
            assert comparison.p_adjusted == pytest.approx(min(1.0, family * comparison.p_value))


@settings(deadline=None, max_examples=100)
@given(TABLE, st.booleans(), st.sampled_from([1.0, math.inf]))
def test_verdict_p_and_interval_never_contradict_each_other(
    rows: list[list[float]], clustered: bool, width: float
) -> None:
    table = np.array(rows * 3)
    codes = np.arange(len(table)) // 2 if clustered else None
    for comparison in compare(table[:, :3], table[:, 3:], codes, width=width):
        word = verdict(comparison)
        low, high = comparison.low, comparison.high
        assert (word == "better") == (low is not None and low > 0)
        assert (word == "worse") == (high is not None and high < 0)
        rejected = comparison.p_adjusted is not None and comparison.p_adjusted < 0.05 - 1e-9
        assert not rejected or word in ("better", "worse")
        if word in ("better", "worse"):
            assert comparison.p_adjusted is not None
            assert comparison.p_adjusted <= 0.05 + 1e-9


def test_only_pairs_that_both_sides_have_count() -> None:
    comparison = one([1, NAN, 0, 0.3, 0.5], [0, 1, NAN, 0.1, 0.1])
    assert comparison.n_pairs == 3
    assert comparison.difference == pytest.approx(1.6 / 3)
    interval = mean_interval([1, 0.3 - 0.1, 0.5 - 0.1], bounds=(-1, 1))
    assert (comparison.low, comparison.high) == pytest.approx(interval[1:])


def test_swapping_the_sides_turns_the_signs() -> None:
    first, second = np.random.default_rng(0).random((2, 30)).tolist()
    there, back = one(first, second), one(second, first)
    assert there.difference == pytest.approx(-(back.difference or 0))
    assert there.low == pytest.approx(-(back.high or 0))
    assert there.p_value == pytest.approx(back.p_value)
    assert there.effect_size == pytest.approx(-(back.effect_size or 0))


def test_binary_scores_have_their_own_effect_and_are_padded() -> None:
    first, second = [1, 1, 1, 1, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0, 1, 1]
    plain = one(first, second)
    assert (plain.test, plain.effect) == ("padded_t", "cohen_g")
    padded = np.subtract([*first, 1, 0], [*second, 0, 1])
    assert plain.p_value == pytest.approx(stats.ttest_1samp(padded, 0).pvalue)
    assert plain.effect_size == pytest.approx(6 / 7 - 0.5)
    clustered = one(first, second, [0, 0, 1, 1, 2, 2, 3, 3])
    assert clustered.effect == "cohen_g"
    assert (clustered.n_pairs, clustered.n_clusters) == (8, 4)
    singles = one(first, second, list(range(8)))
    assert singles == plain, "clusters of one job each are independent jobs"
    values = np.random.default_rng(1).random((2, 30)).tolist()
    assert (one(*values).test, one(*values).effect) == ("skewness_t", "cohen_dz")


def test_effects_by_their_definitions() -> None:
    differences = np.array([1.0, 2.0, 4.0])
    t = stats.ttest_1samp(differences, 0).statistic
    spread = np.array([differences.std(ddof=1), 0.0])
    effects = cohen_dz(np.array([differences.mean(), 2.0]), spread)
    np.testing.assert_allclose(effects, [t / np.sqrt(3), np.nan])
    table = np.array([[1, 1, 1, -1.0], [0, 0, NAN, 0], [1, -1, 0, 0]]).T
    np.testing.assert_allclose(cohen_g(table), [0.25, np.nan, 0.0])


def test_alike_jobs_of_a_cluster_are_no_further_evidence() -> None:
    values = np.random.default_rng(1).normal(0.1, 0.3, 25)
    copies, zeros = np.repeat(values, 8).tolist(), [0.0] * 200
    clusters = np.repeat(np.arange(25), 8)
    once = mean_interval(values.tolist())
    clustered = mean_interval(copies, clusters=clusters.tolist())
    assert clustered == pytest.approx(once)
    assert one(copies, zeros, clusters.tolist()).design == pytest.approx(8, rel=0.1)


def test_verdicts() -> None:
    rng = np.random.default_rng(3)
    base = rng.random(200)
    assert verdict(one((base + 0.3).tolist(), base.tolist())) == "better"
    assert verdict(one((base - 0.3).tolist(), base.tolist())) == "worse"
    assert judge(one((base - 0.3).tolist(), base.tolist()), 1.0, False) == "cheaper"
    assert judge(one((base + 0.3).tolist(), base.tolist()), 1.0, False) == "dearer"
    noise = rng.normal(0, 0.1, 200)
    assert verdict(one((base + noise - noise.mean()).tolist(), base.tolist())) == "as good"
    wild = rng.normal(0, 3, 200)
    assert verdict(one((base + wild - wild.mean()).tolist(), base.tolist())) == "undecided"


def test_too_few_pairs_decide_nothing() -> None:
    for count in (1, 2, 4):
        assert verdict(one([1.0] * count, [0.0] * count)) == "undecided"
    assert pairs_needed(one([1.0], [0.0]), 1.0) is None, "one pair has no spread"
    assert verdict(one([1.0] * 6, [0.0] * 6)) == "better"
    for count, word in ((5, "undecided"), (6, "better")):
        costs = compare(np.full((count, 1), 2.0), np.ones((count, 1)))[0]
        assert judge(costs, 1.0, True) == word


def test_pairs_without_a_difference_are_equal_once_there_are_enough() -> None:
    few, many = one([1.0] * 24, [1.0] * 24), one([1.0] * 59, [1.0] * 59)
    assert few.p_value == 1.0
    assert few.low == pytest.approx(-(few.high or 0))
    assert few.high is not None
    assert 0.1 < few.high < 0.13, "up to 12% may still differ"
    assert (verdict(few), verdict(many)) == ("undecided", "as good")
    assert pairs_needed(few, 1.0) == 59
    for count, word in ((24, "undecided"), (59, "as good")):
        costs = compare(np.ones((count, 1)), np.ones((count, 1)))[0]
        assert (costs.low, costs.high) == (0.0, 0.0)
        assert judge(costs, 100.0, False) == word
    # Four to a cluster, which may be copies of each other.
    alike = compare(np.ones((60, 1)), np.ones((60, 1)), np.arange(60) // 4)[0]
    assert judge(alike, 100.0, False) == "undecided"
    assert pairs_needed(alike, 100.0) == 4 * 59


def test_no_pair_at_all_is_undecided() -> None:
    comparison = one([1.0, NAN], [NAN, 1.0])
    assert (comparison.n_pairs, comparison.difference, comparison.p_value) == (0, None, None)
    assert verdict(comparison) == "undecided"
    assert pairs_needed(comparison, 1.0) is None


def test_the_pairs_needed_show_a_difference_of_the_margin() -> None:
    """A true difference of the margin is found in about 4 of 5 samples of that size."""
    rng = np.random.default_rng(5)
    comparison = one((rng.random(60) - 0.5).tolist(), [0.0] * 60)
    assert verdict(comparison) == "undecided"
    needed = pairs_needed(comparison, 1.0)
    assert needed is not None
    assert needed > 60
    many = rng.normal(0.05, comparison.spread, (needed, 400))
    _, low, _ = means_of(many, None, (-1.0, 1.0)).intervals()
    assert 290 <= (low > 0).sum() <= 350


def test_the_pairs_needed_are_not_read_off_the_difference_seen() -> None:
    values = np.random.default_rng(6).normal(0, 0.3, 40)
    near, far = (one((values - values.mean() + gain).tolist(), [0.0] * 40) for gain in (0.01, 0.06))
    assert pairs_needed(near, 1.0) == pairs_needed(far, 1.0)


def test_more_tests_need_more_pairs_and_alike_ones_too() -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(0, 0.3, (30, 1)) + rng.normal(0, 0.01, (30, 4))
    flat = (values - values.mean() + 0.1).reshape(-1, 1)
    zeros = np.zeros_like(flat)
    alone = pairs_needed(compare(flat, zeros, width=1.0)[0], 1.0)
    many = np.repeat(flat, 20, axis=1)
    among = pairs_needed(compare(many, np.zeros_like(many), width=1.0)[0], 1.0)
    alike = pairs_needed(compare(flat, zeros, np.repeat(np.arange(30), 4), width=1.0)[0], 1.0)
    assert alone is not None
    assert among is not None
    assert alike is not None
    assert 120 < alone < among
    assert alike == pytest.approx(4 * alone, rel=0.1)


def differences(rng: np.random.Generator, n: int, suites: int, skill: str) -> NDArray[np.float64]:
    """Draw suites of equal variants: each one's rewards minus those of the baseline they share.

    Returns:
        Shape (n, suites * VARIANTS).
    """
    ease = rng.random((n, suites, 1)) if skill == "mixed" else rng.beta(7, 1, (n, suites, 1))
    rewards = (rng.random((n, suites, VARIANTS + 1)) < ease).astype(float)
    if skill == "graded":
        rewards = rng.beta(8 * ease + 0.5, 8 * (1 - ease) + 0.5, rewards.shape)
    return (rewards[..., 1:] - rewards[..., :1]).reshape(n, -1)


@pytest.mark.parametrize("n", [24, 100, 400])
@pytest.mark.parametrize("skill", ["mixed", "easy", "graded"])
def test_of_22_equal_variants_one_is_named_in_at_most_a_twentieth_of_suites(
    skill: str, n: int
) -> None:
    values = differences(np.random.default_rng(n), n, 400 if n == 400 else 1000, skill)
    _, low, high = means_of(values, None, (-1.0, 1.0)).intervals(1 - 0.05 / VARIANTS)
    named = ((low > 0) | (high < 0)).reshape(-1, VARIANTS).any(axis=1)
    assert named.mean() <= 0.05
    for suite in range(20):
        own = values[:, suite * VARIANTS : (suite + 1) * VARIANTS]
        family = compare(own, np.zeros_like(own), width=1.0)
        decided = [judge(comparison, 1.0, True) in ("better", "worse") for comparison in family]
        assert any(decided) == named[suite]


def test_a_true_gain_of_a_quarter_among_22_is_named_in_four_of_five_suites() -> None:
    """A hundred questions of all difficulties, each easier for the better one by one logit."""
    rng = np.random.default_rng(8)
    ease = rng.random((100, 4000))
    odds = ease / (1 - ease) * 5.12
    gain = (odds / (1 + odds)).mean() - 0.5
    assert gain == pytest.approx(0.25, abs=0.002)
    better = (rng.random(ease.shape) < odds / (1 + odds)).astype(float)
    values = better - (rng.random(ease.shape) < ease)
    _, low, _ = means_of(values, None, (-1.0, 1.0)).intervals(1 - 0.05 / VARIANTS)
    assert (low > 0).mean() >= 0.8
