"""A comparison says what its parts say, and its verdict is one that the numbers allow."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ttc_bench.statistics import (
    Comparison,
    Settings,
    adjust,
    compare,
    judge,
    mean_interval,
    pairs_needed,
)

QUICK = Settings(resamples=200, permutations=499)
NAN = math.nan


def one(first: list[float], second: list[float], clusters: list[int] | None = None) -> Comparison:
    sides = [np.array(side, dtype=float)[:, None] for side in (first, second)]
    codes = None if clusters is None else np.array(clusters)
    return adjust(compare(*sides, codes, QUICK))[0]


def verdict(comparison: Comparison) -> str:
    return judge(comparison, 1.0, True, QUICK)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.lists(st.sampled_from([0.0, 0.5, 1.0, NAN]), min_size=6, max_size=6),
        min_size=1,
        max_size=12,
    ),
    st.booleans(),
)
def test_columns_do_not_depend_on_each_other(rows: list[list[float]], clustered: bool) -> None:
    table = np.array(rows)
    codes = np.arange(len(rows)) // 2 if clustered else None
    together = compare(table[:, :3], table[:, 3:], codes, QUICK)
    for column, found in enumerate(together):
        alone = compare(table[:, [column]], table[:, [column + 3]], codes, QUICK)[0]
        for name, value in vars(found).items():
            assert value == pytest.approx(getattr(alone, name), nan_ok=True), name


def test_only_pairs_that_both_sides_have_count() -> None:
    found = one([1, NAN, 0, 3, 5], [0, 1, NAN, 1, 1])
    assert found.n_pairs == 3
    assert found.difference == pytest.approx(7 / 3)
    assert (found.low, found.high) == mean_interval([1, 2, 4], resamples=200)[1:]


def test_swapping_the_sides_turns_the_signs() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 30)).tolist()
    there, back = one(first, second), one(second, first)
    assert there.difference == pytest.approx(-(back.difference or 0))
    assert there.p_value == back.p_value
    assert there.effect_size == pytest.approx(-(back.effect_size or 0))


def test_binary_scores_get_mcnemar_unless_they_are_clustered() -> None:
    first, second = [1, 1, 1, 1, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0, 1, 1]
    plain = one(first, second)
    assert (plain.test, plain.effect) == ("mcnemar", "cohen_g")
    assert plain.p_value == pytest.approx(stats.binomtest(1, 7).pvalue)
    assert plain.effect_size == pytest.approx(6 / 7 - 0.5)
    clustered = one(first, second, [0, 0, 1, 1, 2, 2, 3, 3])
    assert clustered.test == "permutation"
    assert clustered.effect == "cohen_g"
    assert (clustered.n_pairs, clustered.n_clusters) == (8, 4)
    singles = one(first, second, list(range(8)))
    assert singles == plain, "clusters of one job each are independent jobs"


def test_alike_jobs_of_a_cluster_are_no_further_evidence() -> None:
    values = np.random.default_rng(1).normal(0.3, 1, 25)
    copies = np.repeat(values, 8).tolist()
    zeros = [0.0] * 200
    once, blind = one(values.tolist(), [0.0] * 25), one(copies, zeros)
    clustered = one(copies, zeros, np.repeat(np.arange(25), 8).tolist())
    assert clustered.p_value == pytest.approx(once.p_value, abs=0.02)
    assert (blind.p_value or 0) < (clustered.p_value or 0)
    assert clustered.design == pytest.approx(8, rel=0.1)


def test_verdicts() -> None:
    rng = np.random.default_rng(3)
    base = rng.random(200)
    assert verdict(one((base + 0.3).tolist(), base.tolist())) == "better"
    assert verdict(one((base - 0.3).tolist(), base.tolist())) == "worse"
    assert judge(one((base - 0.3).tolist(), base.tolist()), 1.0, False, QUICK) == "better"
    noise = rng.normal(0, 0.1, 200)
    assert verdict(one((base + noise - noise.mean()).tolist(), base.tolist())) == "equal"
    wild = rng.normal(0, 3, 200)
    assert verdict(one((base + wild - wild.mean()).tolist(), base.tolist())) == "undecided"


def test_too_few_pairs_decide_nothing() -> None:
    for count in (1, 2, 5):
        found = one([1.0] * count, [0.0] * count)
        assert verdict(found) == "undecided"
    assert pairs_needed(one([1.0], [0.0]), 1.0, QUICK) is None, "one pair has no spread"
    assert pairs_needed(one([1.0] * 5, [0.0] * 5), 1.0, QUICK) == 6
    assert verdict(one([1.0] * 6, [0.0] * 6)) == "better"


def test_pairs_without_a_difference_are_equal_once_there_are_enough() -> None:
    few, many = one([1.0] * 24, [1.0] * 24), one([1.0] * 59, [1.0] * 59)
    assert (few.low, few.high, few.p_value) == (0.0, 0.0, 1.0)
    assert (verdict(few), verdict(many)) == ("undecided", "equal")
    assert pairs_needed(few, 1.0, QUICK) == 59


def test_no_pair_at_all_is_undecided() -> None:
    found = one([1.0, NAN], [NAN, 1.0])
    assert (found.n_pairs, found.difference, found.p_value) == (0, None, None)
    assert verdict(found) == "undecided"
    assert pairs_needed(found, 1.0, QUICK) is None


def test_with_the_pairs_needed_the_verdict_falls() -> None:
    """What 20 pairs leave open, the pairs needed decide in about 4 of 5 runs (power 0.8)."""
    rng = np.random.default_rng(5)
    small = rng.normal(0, 1, 20)
    small += 0.35 * small.std(ddof=1) - small.mean()
    first = adjust(compare(small[:, None], np.zeros((20, 1)), None, QUICK))[0]
    assert verdict(first) == "undecided"
    needed = pairs_needed(first, 1.0, QUICK)
    assert needed is not None
    assert needed > 20
    many = rng.normal(0.35, 1, (needed, 200))
    found = compare(many, np.zeros_like(many), None, QUICK)
    decided = sum((c.p_value or 1) <= 0.05 for c in found)
    assert 135 <= decided <= 185


def test_more_tests_need_more_pairs_and_alike_ones_too() -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(0, 1, (30, 1)) + rng.normal(0, 0.01, (30, 4))
    flat = (values - values.mean() + 0.1).reshape(-1, 1)
    plain = compare(flat, np.zeros_like(flat), None, QUICK)
    clustered = compare(flat, np.zeros_like(flat), np.repeat(np.arange(30), 4), QUICK)
    alone = pairs_needed(adjust(plain)[0], 0.0, QUICK)
    among = pairs_needed(adjust(plain * 20)[0], 0.0, QUICK)
    alike = pairs_needed(adjust(clustered)[0], 0.0, QUICK)
    assert alone is not None
    assert among is not None
    assert alike is not None
    assert 120 < alone < among
    assert alike == pytest.approx(4 * alone, rel=0.1)
