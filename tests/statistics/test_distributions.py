"""Tails and quantiles are those of `scipy.stats`, whose checks and import they do without."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, nct, norm, t

from ttc_bench.statistics.distributions import (
    binomial_at_least,
    binomial_at_most,
    binomial_chance,
    binomial_quantile,
    noncentral_t_below,
    normal_edge,
    normal_tail,
    t_edge,
    t_tail,
)

TAILS = st.floats(1e-9, 1 - 1e-9)
SHARES = st.floats(0, 1)
TRIALS = st.integers(0, 3000)


@given(TAILS, st.floats(0.5, 1e6), st.floats(-40, 40))
def test_student(tail: float, df: float, point: float) -> None:
    assert t_edge(tail, df) == t.isf(tail, df)
    assert t_tail(point, df) == t.sf(point, df)


@given(TAILS, st.floats(-30, 30))
def test_normal(tail: float, point: float) -> None:
    assert normal_edge(tail) == pytest.approx(norm.isf(tail), rel=1e-12, abs=1e-15)
    assert normal_tail(point) == pytest.approx(norm.sf(point), rel=1e-12, abs=1e-300)


@given(st.floats(-8, 8), st.integers(1, 5000), st.floats(-8, 8))
def test_noncentral(point: float, df: int, shift: float) -> None:
    assert noncentral_t_below(point, df, shift) == pytest.approx(nct.cdf(point, df, shift))


@given(TRIALS, SHARES, st.data())
def test_binomial(trials: int, share: float, data: st.DataObject) -> None:
    hits = data.draw(st.integers(-2, trials + 2))
    near = {"rel": 1e-8, "abs": 1e-12}
    assert binomial_chance(hits, trials, share) == pytest.approx(
        binom.pmf(hits, trials, share), **near
    )
    assert binomial_at_most(hits, trials, share) == pytest.approx(
        binom.cdf(hits, trials, share), **near
    )
    assert binomial_at_least(hits, trials, share) == pytest.approx(
        binom.sf(hits - 1, trials, share), **near
    )


@given(TAILS, TRIALS, st.floats(0.001, 0.999))
def test_the_quantile_is_the_fewest_hits_that_have_the_chance(
    chance: float, trials: int, share: float
) -> None:
    hits = binomial_quantile(chance, trials, share)
    assert 0 <= hits <= trials
    assert binomial_at_most(hits, trials, share) >= chance
    assert hits == 0 or binomial_at_most(hits - 1, trials, share) < chance
    assert hits == pytest.approx(binom.ppf(chance, trials, share), abs=1)


def test_chances_of_all_counts_are_one() -> None:
    assert binomial_chance(np.arange(41), 40, 0.3).sum() == pytest.approx(1)


def test_intervals_do_without_the_import_of_scipy_stats() -> None:
    code = (
        "import sys, numpy as np;"
        "from ttc_bench.statistics import mean_intervals, ratios, power, decision;"
        "mean_intervals(np.random.rand(9, 2)); power.pairs_for_power(0.3);"
        "power.least_gain(30, 3); decision.pairs_for_margin(0.05, 0.02);"
        "assert 'scipy.special' in sys.modules and 'scipy.stats' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
