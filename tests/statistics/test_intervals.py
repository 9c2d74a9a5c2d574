"""Bootstrap intervals behave like intervals, and agree with theory where theory is exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ttc_bench.statistics import mean_interval

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30)


@settings(deadline=None, max_examples=40)
@given(values=VALUES)
def test_interval_lies_within_the_values_and_around_the_mean(values: list[float]) -> None:
    interval = mean_interval(values, resamples=200)
    assert interval.mean == pytest.approx(np.mean(values))
    if interval.low is not None and interval.high is not None:
        assert min(values) - 1e-6 <= interval.low <= interval.high <= max(values) + 1e-6


def test_interval_is_the_textbooks_for_normal_values() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = stats.t.interval(0.95, 399, values.mean(), stats.sem(values))
    interval = mean_interval(values.tolist(), resamples=4000)
    assert interval.low == pytest.approx(low, abs=0.03)
    assert interval.high == pytest.approx(high, abs=0.03)


def test_coverage_is_what_it_says() -> None:
    """Of 200 intervals at 90 percent, about 180 hold the true mean (binomial, 4 sigma)."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        interval = mean_interval(rng.exponential(1.0, 60).tolist(), 0.9, resamples=300)
        assert interval.low is not None
        assert interval.high is not None
        held += interval.low <= 1.0 <= interval.high
    assert 163 <= held <= 197


def test_one_value_has_no_interval_and_equal_values_a_point() -> None:
    assert mean_interval([3.0])[1:] == (None, None)
    assert mean_interval([3.0, 3.0, 3.0]) == (3.0, 3.0, 3.0)


def test_no_value_has_no_mean() -> None:
    with pytest.raises(ValueError, match="no values"):
        mean_interval([])
