"""The interval of a ratio of totals: textbook Fieller's where nothing is skewed, and it covers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ttc_bench.statistics.decision import cost_word
from ttc_bench.statistics.intervals import Contrasts, mean_intervals, means_of
from ttc_bench.statistics.ratios import ratio_of_totals, ratios_of_totals

Floats = NDArray[np.float64]


def drawn(n: int, seed: int, spread: float = 1.0) -> tuple[Floats, Floats]:
    """Costs of two sides on questions of different lengths."""
    rng = np.random.default_rng(seed)
    size = rng.lognormal(0, spread, n)
    return 1.5 * size * rng.lognormal(0, 0.3, n), size * rng.lognormal(0, 0.3, n)


def fieller(own: Floats, base: Floats, confidence: float) -> tuple[float, float]:
    """Return the roots of Fieller's quadratic by its coefficients."""
    n, t = len(own), stats.t.isf((1 - confidence) / 2, len(own) - 1)
    (a, ab), (_, b) = np.cov(own, base) * t**2 / n
    squares = base.mean() ** 2 - b, -2 * (own.mean() * base.mean() - ab), own.mean() ** 2 - a
    low, high = sorted(np.roots(squares).real)
    return low, high


@pytest.mark.parametrize("confidence", [0.95, 1 - 0.05 / 22])
def test_without_skewness_it_is_fiellers(confidence: float) -> None:
    own, base = drawn(20, 1, 0.3)
    # Every question with its mirror image: no difference of multiples is skewed.
    own, base = (np.concatenate([one, 2 * one.mean() - one]) for one in (own, base))
    ratio = ratio_of_totals(own, base, None, confidence)
    assert ratio.ratio == pytest.approx(own.sum() / base.sum())
    assert ratio[1:3] == pytest.approx(fieller(own, base, confidence), rel=1e-6)


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("n", [24, 100])
def test_contrasts_are_the_means_of_the_differences(n: int, clustered: bool) -> None:
    own, base = drawn(n, n)
    codes = np.arange(n) % 11 if clustered else None
    multiples = np.array([0.0, 0.4, 1.0, 1.5, 30.0])
    at_once = Contrasts(own[:, None], base[:, None], codes).of(multiples[:, None])
    alone = means_of(own[:, None] - multiples * base[:, None], codes)
    for figure in ("mean", "error", "df", "skew"):
        assert np.allclose(np.ravel(getattr(at_once, figure)), getattr(alone, figure), rtol=1e-6)
    ratio = ratio_of_totals(own, base, codes)
    ends = mean_intervals(np.column_stack([own - end * base for end in ratio[1:3]]), codes)
    assert (ends.low[0], ends.high[1]) == pytest.approx((0, 0), abs=1e-5)


@pytest.mark.parametrize("seed", range(12))
def test_a_word_of_a_cost_is_that_of_its_difference(seed: int) -> None:
    """Tables of differences and of ratios never contradict each other."""
    own, base = drawn(24, seed)
    own = own * (0.5 + seed / 12)
    ends = mean_intervals((own - base)[:, None])
    word = "cheaper" if ends.high[0] < 0 else "dearer" if ends.low[0] > 0 else "undecided"
    assert cost_word(ratio_of_totals(own, base)) == word


@pytest.mark.parametrize("n", [24, 100, 400])
@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_it_covers_where_costs_are_skewed(n: int, spread: float) -> None:
    pairs = (drawn(n, seed, spread) for seed in range(400))
    ratios = [ratio_of_totals(own, base) for own, base in pairs]
    assert np.mean([one.low <= 1.5 <= one.high for one in ratios]) >= 0.93


@pytest.mark.parametrize("clustered", [False, True])
def test_many_at_once_are_each_alone_on_the_jobs_that_it_tells(clustered: bool) -> None:
    rng, codes = np.random.default_rng(3), np.arange(60) // 5 if clustered else None
    own, base = (rng.lognormal(0, 1, (60, 9)) for _ in range(2))
    own[rng.random(own.shape) < 0.2] = np.nan
    base[rng.random(base.shape) < 0.2] = np.nan
    base[:, 1], own[:, 2], own[3, 3], base[:, 4], own[:, 4] = 0.0, 0.0, np.inf, 0.0, 0.0
    own[:, 5], own[4:, 6], base[:, 7] = 2 * base[:, 5], np.nan, np.nan
    for column, ratio in enumerate(ratios_of_totals(own, base, codes, 0.99)):
        told = ~np.isnan(own[:, column] + base[:, column])
        mine = None if codes is None else codes[told]
        alone = ratio_of_totals(own[told, column], base[told, column], mine, 0.99)
        assert ratio == pytest.approx(alone, rel=1e-9, nan_ok=True)
        assert np.isnan(ratio.ratio) == (column in (3, 4, 7))


def test_sides_that_pay_in_proportion_have_no_uncertainty() -> None:
    base = drawn(24, 0)[1]
    for factor in (0.0, 0.5, 1.0, 3.0):
        assert ratio_of_totals(factor * base, base)[:3] == pytest.approx([factor] * 3, abs=0)
    assert cost_word(ratio_of_totals(base, base)) == "undecided"
    assert cost_word(ratio_of_totals(0 * base, base)) == "cheaper"


def test_a_side_that_pays_beside_one_that_pays_nothing_is_dearer() -> None:
    own = drawn(24, 0)[0]
    ratio = ratio_of_totals(own, 0 * own)
    assert cost_word(ratio) == "dearer"
    assert ratio[:3] == (np.inf,) * 3
    seldom = np.where(np.arange(24) == 3, own, 0.0)
    for few in (ratio_of_totals(seldom, 0 * own), ratio_of_totals(own[:4], np.zeros(4))):
        assert few.ratio == np.inf
        assert cost_word(few) == "undecided", "one question in 24, or four, show nothing"


@pytest.mark.parametrize(("share", "factor"), [(0.02, 30), (0.05, 10), (0.05, 30)])
def test_where_a_rare_large_cost_is_among_the_answers_the_interval_covers(
    share: float, factor: float
) -> None:
    """Where none is, nothing can tell of it: over all draws of 24 it covers .41 to .72."""
    rng, covers = np.random.default_rng(2), {True: [], False: []}
    for _ in range(150):
        size, own, base = rng.lognormal(0, [[0.5], [0.3], [0.3]], (3, 24))
        is_large = rng.random(24) < share
        ratio = ratio_of_totals(np.where(is_large, factor, 1.0) * size * own, size * base)
        covers[bool(is_large.any())].append(ratio.low <= 1 + share * (factor - 1) <= ratio.high)
    assert np.mean(covers[True]) >= 0.93
    assert np.mean(covers[False]) <= 0.2, "as the documentation of the decision says"


def test_what_tells_too_little_has_no_interval() -> None:
    base = np.zeros(24)
    assert np.isnan(ratio_of_totals(base, base).ratio)
    base[3] = 1.0
    seldom = ratio_of_totals(np.ones(24), base)
    assert seldom.ratio == 24
    assert np.isnan(seldom.low), "a side that pays on one question alone may pay nothing"
    assert np.isnan(ratio_of_totals(np.ones(4), np.ones(4)).low)
    assert ratio_of_totals(np.array([]), np.array([])).n_pairs == 0
