"""Intervals of many columns agree with scipy's of one, and clusters widen them as they must."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ttc_bench.statistics import bootstrap
from ttc_bench.statistics.bootstrap import by_cluster, cluster_codes, clusters_of, mean_intervals


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize("kind", ["binary", "skewed", "three values"])
def test_every_column_is_scipys_bca_to_the_draw(kind: str, confidence: float) -> None:
    rng = np.random.default_rng(3)
    values = {
        "binary": rng.integers(0, 2, (41, 3)).astype(float),
        "skewed": rng.exponential(2.0, (41, 3)),
        "three values": rng.integers(-1, 2, (41, 3)).astype(float),
    }[kind]
    found = mean_intervals(values, None, confidence, 1000, seed=7)
    for column in range(3):
        expected = stats.bootstrap(
            (values[:, column],),
            np.mean,
            n_resamples=1000,
            confidence_level=confidence,
            method="BCa",
            rng=np.random.default_rng(7),
        ).confidence_interval
        assert found.low[column] == pytest.approx(expected.low)
        assert found.high[column] == pytest.approx(expected.high)


def test_equal_clusters_are_the_bootstrap_of_their_means() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 4)) + rng.normal(size=(30, 1))
    codes = np.repeat(np.arange(30), 4)
    whole = mean_intervals(values.reshape(-1, 1), codes, seed=1)
    means = mean_intervals(values.mean(axis=1, keepdims=True), None, seed=1)
    for one, other in zip(whole, means, strict=True):
        assert one[0] == pytest.approx(other[0])


def test_clusters_of_unequal_size_hold_their_ratio_of_sums() -> None:
    rng = np.random.default_rng(2)
    sizes = rng.integers(1, 9, 60)
    codes = np.repeat(np.arange(60), sizes)
    values = rng.normal(1.0, 1.0, 60)[codes] + rng.normal(0, 0.1, len(codes))
    expected = stats.bootstrap(
        (by_cluster(values[:, None], codes).sums[:, 0], sizes),
        lambda sums, rows, axis: sums.sum(axis=axis) / rows.sum(axis=axis),
        paired=True,
        n_resamples=2000,
        method="BCa",
        rng=np.random.default_rng(5),
        vectorized=True,
    ).confidence_interval
    found = mean_intervals(values[:, None], codes, resamples=2000, seed=5)
    assert found.low[0] == pytest.approx(expected.low)
    assert found.high[0] == pytest.approx(expected.high)


def test_alike_jobs_of_a_cluster_count_less() -> None:
    """Ten copies of each value say no more than one of each."""
    values = np.random.default_rng(4).normal(size=(25, 1))
    copies = np.repeat(values, 10, axis=0)
    codes = np.repeat(np.arange(25), 10)
    once = mean_intervals(values)
    clustered = mean_intervals(copies, codes)
    blind = mean_intervals(copies)
    assert clustered.high - clustered.low == pytest.approx(once.high - once.low)
    assert (blind.high - blind.low) < 0.5 * (once.high - once.low)


def test_coverage_of_clustered_means_is_what_it_says() -> None:
    """Of 300 intervals at 90 percent with 40 clusters, about 270 hold the mean (4 sigma)."""
    rng = np.random.default_rng(6)
    held = 0
    codes = np.repeat(np.arange(40), 5)
    for _ in range(300):
        values = rng.normal(size=40)[codes] + rng.normal(size=200)
        low, high = (end[0] for end in mean_intervals(values[:, None], codes, 0.9, 400)[1:])
        held += low <= 0 <= high
    assert 245 <= held <= 291


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(-3, 3), st.sampled_from("abcd")), min_size=1, max_size=25),
    st.randoms(use_true_random=False),
)
def test_order_of_rows_and_columns_change_nothing(
    rows: list[tuple[int, str]], dice: object
) -> None:
    values = np.array([[value, -value] for value, _ in rows], dtype=float)
    codes = cluster_codes([name for _, name in rows])
    found = mean_intervals(values, codes, resamples=200)
    swapped = mean_intervals(values[:, ::-1], codes, resamples=200)
    for one, other in zip(found, swapped, strict=True):
        np.testing.assert_allclose(one, other[::-1])
    assert found.mean[0] == pytest.approx(values[:, 0].mean())
    if len(set(codes)) == 1:
        assert np.isnan(found.low).all()
    else:
        assert (found.low <= found.high + 1e-9).all()


def test_blocks_of_resamples_are_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).exponential(size=(50, 2))
    whole = mean_intervals(values)
    monkeypatch.setattr(bootstrap, "_BLOCK", 50 * 7)
    for one, other in zip(whole, mean_intervals(values), strict=True):
        np.testing.assert_allclose(one, other)


def test_few_task_types_are_no_clusters() -> None:
    assert clusters_of(["a", "b", "a"], 3) == ("job", None)
    word, codes = clusters_of(["a", "b", "a"], 2)
    assert word == "task"
    assert codes is not None
    assert codes.tolist() == [0, 1, 0]
