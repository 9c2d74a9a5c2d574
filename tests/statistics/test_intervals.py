"""Intervals are those of scipy and of the textbooks' matrices, and p-values are theirs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, stats

from ttc_bench.statistics import Interval, mean_interval, mean_intervals, mean_of_independent
from ttc_bench.statistics.clusters import cluster_codes
from ttc_bench.statistics.intervals import least_pairs, means_of

REWARD, GAIN = (0.0, 1.0), (-1.0, 1.0)


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=2, max_size=40), st.floats(0.8, 0.999))
def test_rates_have_scipys_t_of_the_padded_values(values: list[float], confidence: float) -> None:
    padded = np.array([*values, 0.0, 1.0])
    theirs = stats.ttest_1samp(padded, 0).confidence_interval(confidence)
    mean, low, high = mean_interval(values, confidence, bounds=REWARD)
    assert mean == pytest.approx(np.mean(values))
    assert low == pytest.approx(min(mean, max(0.0, theirs.low)))
    assert high == pytest.approx(max(mean, min(1.0, theirs.high)))


def test_symmetric_values_have_scipys_t() -> None:
    half = np.random.default_rng(0).normal(size=20)
    values = np.concatenate([3 + half, 3 - half])
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values.tolist())[1:] == pytest.approx((theirs.low, theirs.high))


def test_skewed_values_reach_further_on_the_side_of_their_tail() -> None:
    """The ends are those of t and of Hall's transformation, whichever are further out."""
    values = np.random.default_rng(1).lognormal(size=24)
    n, mean, skew = len(values), values.mean(), stats.skew(values, bias=False)
    error, edge = stats.sem(values), stats.t.isf(0.025, n - 1)

    def hall(t: float) -> float:
        return t + skew * t**2 / (3 * n**0.5) + skew**2 * t**3 / (27 * n) + skew / (6 * n**0.5)

    grid = np.linspace(-60, 20, 2_000_001)
    below = grid[np.searchsorted(hall(grid), -edge)]
    interval = mean_interval(values.tolist())
    assert interval.low == pytest.approx(mean - error * edge), "Hall's is nearer here"
    assert interval.high == pytest.approx(mean - error * below, rel=1e-4)
    assert interval.high > mean + 1.2 * error * edge


def test_clustered_errors_are_those_of_the_matrices() -> None:
    """CR2 and its degrees of freedom by Bell and McCaffrey's matrices, for unequal clusters."""
    rng = np.random.default_rng(2)
    codes = np.repeat(np.arange(12), rng.integers(1, 9, 12))
    rows = len(codes)
    values = rng.normal(size=12)[codes] + rng.normal(size=rows)
    left = np.eye(rows) - 1 / rows
    residuals = left @ values
    vectors = []
    for code in range(12):
        own = codes == code
        root = np.real(linalg.inv(linalg.sqrtm(left[np.ix_(own, own)])))
        vectors.append(left[:, own] @ root @ np.ones(own.sum()) / rows)
    gram = np.array(vectors) @ np.array(vectors).T
    means = means_of(values[:, None], codes)
    variance = sum((vector @ residuals) ** 2 for vector in vectors)
    assert means.error[0] == pytest.approx(math.sqrt(variance))
    assert means.df[0] == pytest.approx(np.trace(gram) ** 2 / (gram**2).sum())


def test_clusters_of_one_are_no_clusters() -> None:
    values = np.random.default_rng(3).random((30, 2)).round(1)
    for plain, single in zip(means_of(values), means_of(values, np.arange(30)), strict=True):
        np.testing.assert_allclose(plain, single)


def test_alike_jobs_of_a_cluster_count_less() -> None:
    """Ten copies of each value say no more than one of each."""
    values = np.random.default_rng(4).normal(size=(25, 1))
    copies = np.repeat(values, 10, axis=0)
    once = mean_intervals(values)
    clustered = mean_intervals(copies, np.repeat(np.arange(25), 10))
    blind = mean_intervals(copies)
    assert clustered.high - clustered.low == pytest.approx(once.high - once.low)
    assert (blind.high - blind.low) < 0.5 * (once.high - once.low)


ROWS = st.lists(
    st.tuples(st.integers(-3, 3).map(lambda v: v / 3), st.sampled_from("abcdefgh")),
    min_size=1,
    max_size=25,
)


@settings(deadline=None, max_examples=150)
@given(ROWS, st.sampled_from([GAIN, (-math.inf, math.inf)]), st.sampled_from([0.9, 0.95, 0.998]))
def test_p_is_small_exactly_where_the_interval_excludes_0(
    rows: list[tuple[float, str]], bounds: tuple[float, float], confidence: float
) -> None:
    codes = cluster_codes([name for _, name in rows])
    values = np.array([[value, -value] for value, _ in rows])
    means = means_of(values, codes, bounds)
    mean, low, high = means.intervals(confidence)
    np.testing.assert_allclose(low, -high[::-1], atol=1e-12)
    excludes = (low > 1e-12) | (high < -1e-12)
    p_values = means.p_values()
    clear = np.abs(p_values - (1 - confidence)) > 1e-9
    if len(set(codes)) > 1:
        assert ((p_values < 1 - confidence) == excludes)[clear].all()
    else:
        assert np.isnan([low, high]).all()
    known = ~np.isnan(low)
    assert (low[known] <= mean[known]).all()
    assert (mean[known] <= high[known]).all()
    assert (low[known] >= bounds[0]).all()
    assert (high[known] <= bounds[1]).all()


def test_a_column_with_gaps_is_the_column_without_them() -> None:
    rng = np.random.default_rng(5)
    values, codes = rng.random((40, 6)).round(1), np.arange(40) // 3
    values[rng.random(values.shape) < 0.3] = np.nan
    together = means_of(values, codes, REWARD)
    for column in range(6):
        own = ~np.isnan(values[:, column])
        alone = means_of(values[own][:, [column]], codes[own], REWARD)
        for one, other in zip(together, alone, strict=True):
            assert one[column] == pytest.approx(other[0])


def test_few_values_tell_little_and_one_nothing() -> None:
    assert mean_interval([3.0])[1:] == (None, None)
    assert mean_interval([1.0], bounds=REWARD)[1:] == (None, None)
    assert mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])[1:] == (None, None)
    low, high = mean_interval([1.0, 1.0], bounds=REWARD)[1:]
    assert low is not None
    assert low < 0.1
    assert high == 1.0


def test_equal_costs_have_a_point_and_equal_rewards_have_not() -> None:
    assert mean_interval([0.1] * 24) == pytest.approx((0.1, 0.1, 0.1))
    mean, low, high = mean_interval([1.0] * 24, bounds=REWARD)
    assert (mean, high) == (1.0, 1.0)
    assert low is not None
    assert low < 0.9
    assert low**24 < 0.05, "all 24 right are rare where the rate is no more than this"


def test_no_value_has_no_mean() -> None:
    with pytest.raises(ValueError, match="no values"):
        mean_interval([])


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.05 / 190])
def test_fewer_pairs_of_one_sign_are_no_rarer_than_the_level(alpha: float) -> None:
    pairs = least_pairs(alpha)
    assert 2.0 ** (1 - pairs) <= alpha < 2.0 ** (2 - pairs)


_ENDS = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)).map(sorted)


@given(st.lists(_ENDS, min_size=1, max_size=5))
def test_a_mean_of_independent_means_is_known_at_least_as_well_as_they_are(
    ends: list[list[float]],
) -> None:
    parts = [Interval(mean, low, high) for low, mean, high in ends]
    mean, low, high = mean_of_independent(parts)
    assert mean == pytest.approx(np.mean([part.mean for part in parts]))
    assert low is not None
    assert high is not None
    lows, highs = np.mean([end[0] for end in ends]), np.mean([end[2] for end in ends])
    assert lows - 1e-9 <= low <= mean + 1e-9
    assert mean - 1e-9 <= high <= highs + 1e-9
    assert mean_of_independent(parts[:1]) == pytest.approx(parts[0])


def test_equal_intervals_narrow_as_the_root_of_their_number_and_none_leaves_none() -> None:
    four = mean_of_independent([Interval(0.5, 0.3, 0.9)] * 4)
    assert four == pytest.approx((0.5, 0.4, 0.7))
    assert mean_of_independent([four, Interval(0.5, None, None)])[1:] == (None, None)


def test_the_interval_of_a_mean_over_two_samples_covers_it() -> None:
    rng, truths = np.random.default_rng(0), (0.83, 0.95)
    drawn = [mean_intervals((rng.random((24, 2000)) < p) * 1.0, None, 0.95, REWARD) for p in truths]
    covered = []
    for place in range(2000):
        parts = [Interval(*(float(figure[place]) for figure in own)) for own in drawn]
        _, low, high = mean_of_independent(parts)
        assert low is not None
        assert high is not None
        covered.append(low <= np.mean(truths) <= high)
    assert np.mean(covered) >= 0.95


def test_no_end_leaves_a_range_that_is_closed_at_one_end() -> None:
    """Six latencies of which one is long: a mean of seconds is not below 0."""
    seconds = [0.2, 0.21, 0.19, 0.2, 0.22, 9.0]
    free = mean_interval(seconds)
    assert free.low is not None
    assert free.low < 0
    assert mean_interval(seconds, bounds=(0.0, math.inf)) == free._replace(low=0.0)
    few = mean_interval(seconds[:2], bounds=(0.0, math.inf))
    assert (few.low, few.high) == (None, None), "where nothing is known of it, 0 is no end"
