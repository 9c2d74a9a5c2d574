"""Tests of paired differences agree with scipy and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from ttc_bench.statistics import paired
from ttc_bench.statistics.bootstrap import by_cluster
from ttc_bench.statistics.paired import (
    cohen_dz,
    cohen_g,
    holm,
    holm_levels,
    mcnemar_test,
    sign_flip_test,
)


def scipys(first: np.ndarray, second: np.ndarray, resamples: float, seed: int = 0) -> float:
    return float(
        stats.permutation_test(
            (first, second),
            lambda a, b, axis: np.mean(a - b, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=resamples,
            rng=np.random.default_rng(seed),
        ).pvalue
    )


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 4)).map(lambda pair: (pair[0], pair[1])),
        min_size=2,
        max_size=10,
    )
)
def test_exact_p_is_scipys(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs, dtype=float).T
    (found,) = sign_flip_test((first - second)[:, None])
    assert found == pytest.approx(scipys(first, second, np.inf))


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.4])
def test_drawn_p_is_scipys_within_the_error_of_both(shift: float) -> None:
    rng = np.random.default_rng(8)
    first, second = rng.normal(shift, 1, 80), rng.normal(0, 1, 80)
    (found,) = sign_flip_test((first - second)[:, None], 9999)
    expected = scipys(first, second, 9999)
    error = np.sqrt(2 * expected * (1 - expected) / 9999)
    assert abs(found - expected) <= 5 * error + 2e-4


def test_drawn_p_is_the_exact_one_where_both_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(0).normal(0.4, 1, (12, 4))
    exact = sign_flip_test(differences)
    monkeypatch.setattr(paired, "EXACT_CLUSTERS", 0)
    drawn = sign_flip_test(differences, 40_000)
    np.testing.assert_allclose(drawn, exact, atol=5 * 0.5 / np.sqrt(40_000))


def test_pairs_of_a_cluster_flip_together() -> None:
    """The clustered test is the plain test of the clusters' sums."""
    rng = np.random.default_rng(5)
    first, second = rng.normal(0.5, 1, (9, 3)), rng.normal(0, 1, (9, 3))
    codes = np.repeat(np.arange(9), 3)
    sums = by_cluster((first - second).reshape(-1, 1), codes).sums
    assert sign_flip_test(sums)[0] == pytest.approx(
        scipys(first.sum(axis=1), second.sum(axis=1), np.inf)
    )


def test_missing_pairs_are_pairs_without_a_difference() -> None:
    differences = np.random.default_rng(1).normal(0.5, 1, (10, 1))
    padded = np.concatenate([differences, np.zeros((5, 1))])
    assert sign_flip_test(padded)[0] == sign_flip_test(differences)[0]


def test_no_difference_is_sure_and_p_is_never_zero() -> None:
    assert sign_flip_test(np.zeros((30, 2))).tolist() == [1.0, 1.0]
    assert sign_flip_test(np.ones((500, 1)), 999)[0] == pytest.approx(1 / 1000)


def test_false_findings_are_as_rare_as_they_should_be() -> None:
    """Under the null hypothesis p <= 0.05 in about 50 of 1,000 columns (4 sigma)."""
    differences = np.random.default_rng(2).normal(size=(40, 1000))
    assert (sign_flip_test(differences, 999) <= 0.05).sum() <= 78


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_statsmodels(above: int, below: int) -> None:
    table = [[5, above], [below, 7]]
    found = mcnemar_test(np.array([above]), np.array([below]))[0]
    expected = mcnemar(table, exact=True).pvalue if above + below else 1.0
    assert found == pytest.approx(expected)


def test_mcnemar_is_the_permutation_test_of_binary_scores() -> None:
    differences = np.array([1, 1, 1, 1, 1, -1, -1, 0, 0, 0.0])
    assert mcnemar_test(np.array([5]), np.array([2]))[0] == pytest.approx(
        sign_flip_test(differences[:, None])[0]
    )


# statsmodels collects garbage at every call.
@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_is_statsmodels(p_values: list[float]) -> None:
    rejected, expected, *_ = multipletests(p_values, alpha=0.05, method="holm")
    found = holm(np.array(p_values))
    np.testing.assert_allclose(found, expected)
    assert ((found <= 0.05) == rejected).all()


@given(st.lists(st.floats(1e-6, 1), min_size=2, max_size=20, unique=True))
def test_the_least_p_has_the_hardest_level_and_the_largest_none(p_values: list[float]) -> None:
    levels = holm_levels(np.array(p_values), 0.05)
    order = np.argsort(p_values)
    assert levels[order[0]] == pytest.approx(0.05 / len(p_values))
    assert levels[order[-1]] == pytest.approx(0.05)
    assert (np.diff(levels[order]) > 0).all()


def test_equal_p_values_have_equal_levels() -> None:
    levels = holm_levels(np.array([1.0, 0.01, np.nan, 1.0]), 0.06)
    np.testing.assert_allclose(levels, [0.03, 0.02, np.nan, 0.03])


def test_a_test_that_was_not_made_counts_for_nothing() -> None:
    found = holm(np.array([0.01, np.nan, 0.04]))
    np.testing.assert_allclose(found, [0.02, np.nan, 0.04])
    assert np.isnan(holm_levels(np.array([np.nan]), 0.05)).all()


def test_effects_by_their_definitions() -> None:
    differences = np.array([[1.0, 2.0], [2.0, 2.0], [4.0, 2.0]])
    t = stats.ttest_1samp(differences[:, 0], 0).statistic
    assert cohen_dz(differences)[0] == pytest.approx(t / np.sqrt(3))
    assert np.isnan(cohen_dz(differences)[1])
    assert np.isnan(cohen_dz(differences[:1])).all()
    found = cohen_g(np.array([3, 0, 5]), np.array([1, 0, 5]))
    np.testing.assert_allclose(found, [0.25, np.nan, 0.0])
