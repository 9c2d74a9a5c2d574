"""Power and sample sizes agree with statsmodels, and with a simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower

from ttc_bench.statistics.bootstrap import by_cluster
from ttc_bench.statistics.power import (
    design_effect,
    paired_power,
    pairs_for_half_width,
    pairs_for_permutation,
    pairs_for_power,
    pairs_to_exclude,
)


@pytest.mark.parametrize("effect", [0.03, 0.1, 0.3, 0.8])
@pytest.mark.parametrize("pairs", [5, 30, 400, 20_000])
def test_power_is_statsmodels(effect: float, pairs: int) -> None:
    expected = TTestPower().power(effect, pairs, 0.05, alternative="two-sided")
    if math.isfinite(expected):
        assert paired_power(effect, pairs) == pytest.approx(expected, abs=2e-3)
    else:
        assert paired_power(effect, pairs) == pytest.approx(1.0)


@settings(deadline=None, max_examples=30)
@given(st.floats(0.05, 2.0), st.sampled_from([0.05, 0.01, 0.0005]), st.sampled_from([0.8, 0.95]))
def test_pairs_are_statsmodels(effect: float, alpha: float, power: float) -> None:
    solved = float(
        np.squeeze(TTestPower().solve_power(effect, alpha=alpha, power=power, nobs=None))
    )
    # Where its far tail underflows to NaN, its search ends at a number without that power.
    assume(abs(float(TTestPower().power(effect, solved, alpha)) - power) < 1e-3)
    found = pairs_for_power(effect, alpha, power)
    assert found is not None
    expected = max(solved, pairs_for_permutation(alpha))
    assert found == pytest.approx(math.ceil(expected), abs=max(1, 0.001 * expected))
    assert pairs_for_power(-effect, alpha, power) == found


@given(st.floats(0.1, 3.0), st.sampled_from([0.05, 0.0005]))
@settings(deadline=None, max_examples=30)
def test_one_pair_fewer_has_less_power_than_asked(effect: float, alpha: float) -> None:
    found = pairs_for_power(effect, alpha)
    assert found is not None
    assert paired_power(effect, found, alpha) >= 0.8
    if found > max(2, pairs_for_permutation(alpha)):
        assert paired_power(effect, found - 1, alpha) < 0.8


def test_with_the_pairs_needed_the_difference_is_found_as_often_as_promised() -> None:
    """Of 1,000 repetitions at a power of 0.8 about 800 find it (4 sigma)."""
    pairs = pairs_for_power(0.4)
    assert pairs is not None
    values = np.random.default_rng(0).normal(0.4, 1, (pairs, 1000))
    found = (stats.ttest_1samp(values, 0).pvalue < 0.05).sum()
    assert 750 <= found <= 860


def test_no_test_of_fewer_flips_can_reach_its_level() -> None:
    for alpha in (0.05, 0.01, 0.05 / 190):
        least = pairs_for_permutation(alpha)
        assert 2.0 ** (1 - least) <= alpha < 2.0 ** (2 - least)
    assert pairs_for_power(math.inf) == pairs_for_permutation(0.05) == 6
    assert pairs_for_power(0.0) is None
    assert pairs_for_power(math.nan) is None


def test_an_interval_of_the_pairs_needed_is_as_narrow_as_wanted() -> None:
    pairs = pairs_for_half_width(0.5, 0.05)
    z = stats.norm.ppf(0.975)
    assert z * 0.5 / math.sqrt(pairs) <= 0.05 < z * 0.5 / math.sqrt(pairs - 1)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3])
def test_rule_of_three(share: float) -> None:
    pairs = pairs_to_exclude(share)
    assert (1 - share) ** pairs <= 0.05 < (1 - share) ** (pairs - 1)
    assert pairs <= 3 / share + 1


def test_design_effect_of_copies_is_their_number() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=(400, 1)), 5, axis=0)
    codes = np.repeat(np.arange(400), 5)
    assert design_effect(by_cluster(values, codes), values)[0] == pytest.approx(5, rel=0.01)
    assert design_effect(by_cluster(values), values)[0] == 1.0
    flat = np.ones((10, 1))
    assert design_effect(by_cluster(flat, np.arange(10) // 2), flat)[0] == 1.0
