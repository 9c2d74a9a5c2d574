"""Intervals of quantiles: those of scipy, and as sure as they say, by cluster too."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, quantile_test

from ttc_bench.statistics import quantile_interval


@pytest.mark.parametrize("rows", [2, 24, 100, 1000])
@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_without_clusters_it_is_scipys(rows: int, share: float, confidence: float) -> None:
    values = np.random.default_rng(rows).normal(size=rows)
    theirs = quantile_test(values, p=share).confidence_interval(confidence)
    own = quantile_interval(values, share, None, confidence)
    np.testing.assert_array_equal(np.array(own), np.array([theirs.low, theirs.high]))


def test_missing_values_are_left_out_and_none_has_no_interval() -> None:
    values = np.random.default_rng(0).normal(size=50)
    gaps = np.insert(values, [3, 20], np.nan)
    assert quantile_interval(gaps, 0.5) == quantile_interval(values, 0.5)
    assert np.isnan(quantile_interval(np.array([np.nan]), 0.5)).all()


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_clusters_are_counted_as_what_they_are_worth(share: float) -> None:
    rng = np.random.default_rng(1)
    truth = np.sqrt(2) * norm.ppf(share)
    clusters = np.repeat(np.arange(30), 10)
    hits = {"clustered": 0, "as if independent": 0}
    rounds = 300
    for _ in range(rounds):
        values = rng.normal(size=30)[clusters] + rng.normal(size=300)
        for name, codes in (("clustered", clusters), ("as if independent", None)):
            low, high = quantile_interval(values, share, codes)
            hits[name] += bool(low <= truth <= high)
    assert hits["clustered"] / rounds > 0.90
    assert hits["as if independent"] / rounds < 0.85
