"""How often luck names a variant for an aim, and how often a true gain is shown, by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ttc_bench.statistics.decision import (
    Candidate,
    cheapest,
    fastest,
    tango_score,
)
from ttc_bench.statistics.intervals import mean_intervals, means_of
from ttc_bench.statistics.ratios import ratio_of_totals
from ttc_bench.statistics.speed import speed

VARIANTS = 22
LEVEL = 1 - 0.05 / VARIANTS
"""Of an interval of one of them, so that all hold at once at 95%."""


def costs(rng: np.random.Generator, n: int, suites: int, spread: float) -> NDArray[np.float64]:
    """Skewed costs of 22 variants and their baseline that differ by luck alone.

    Long questions cost more for all, and each answer has its own factor.

    Returns:
        Shape (n, suites, VARIANTS + 1), the baseline last.
    """
    return rng.lognormal(0, 1, (n, suites, 1)) * rng.lognormal(0, spread, (n, suites, VARIANTS + 1))


@pytest.mark.parametrize("n", [24, 100, 400])
@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_luck_names_the_cheapest_of_22_identical_variants_in_at_most_5_of_100_suites(
    n: int, spread: float
) -> None:
    paid = costs(np.random.default_rng(n), n, 400, spread)
    more = (paid[..., :-1] - paid[..., -1:]).reshape(n, -1)
    # What the interval of the ratio says of 1, that of the difference says of 0.
    cheaper = (mean_intervals(more, None, LEVEL).high < 0).reshape(-1, VARIANTS)
    assert cheaper.any(axis=1).mean() <= 0.05
    for suite in range(4):
        own, base = paid[:, suite, :-1].T, paid[:, suite, -1]
        named = [
            Candidate(
                "", "identical", 0.0, costs={"flops": ratio_of_totals(one, base, None, LEVEL)}
            )
            for one in own
        ]
        assert (cheapest(named, "flops") is not None) == cheaper[suite].any()


def test_luck_names_the_fastest_of_22_identical_variants_in_at_most_5_of_100_suites() -> None:
    """By 12 questions beside a control, as runs time them; the machine drifts for both sides."""
    rng, named = np.random.default_rng(12), []
    for _ in range(200):
        drift = rng.lognormal(0, 1, (12, 1))
        own, control = drift * rng.lognormal(0, 0.2, (2, 12, VARIANTS))
        speeds = [speed(own[:, i], control[:, i], LEVEL) for i in range(VARIANTS)]
        named.append(fastest([Candidate("", "identical", 0.0, one) for one in speeds]))
    # By the exact test 2.1% are expected; 200 suites of 5% read above 9.5% in one of 1,000.
    assert np.mean([one is not None for one in named]) <= 0.05


def flips(rng: np.random.Generator, n: int, gain: float, draws: int) -> NDArray[np.float64]:
    """Differences of right and wrong answers; equal variants disagree on three in ten."""
    disagreement = 0.3 * (1 + 2 * gain**2)
    up, down = (disagreement + gain) / 2, (disagreement - gain) / 2
    return rng.choice([1.0, -1.0, 0.0], (n, draws), p=[up, down, 1 - disagreement])


@pytest.mark.parametrize(
    ("n", "gain", "least", "most"),
    [
        (24, 0.25, 0.05, 0.5),
        (100, 0.25, 0.8, 1.0),
        (400, 0.25, 0.99, 1.0),
        (24, 0.1, 0.0, 0.1),
        (100, 0.1, 0.02, 0.25),
        (400, 0.1, 0.6, 1.0),
        *((n, -0.05, 0.0, 0.005) for n in (24, 100, 400)),
    ],
)
def test_a_true_gain_beside_21_others_is_shown_as_often_as_is_said(
    n: int, gain: float, least: float, most: float
) -> None:
    drawn = flips(np.random.default_rng(n), n, gain, 2000)
    _, low, _ = means_of(drawn, None, (-1.0, 1.0)).intervals(LEVEL)
    assert least <= (low > 0).mean() <= most


@pytest.mark.parametrize("n", [24, 100, 400])
@pytest.mark.parametrize("disagreement", [0.06, 0.15, 0.3])
def test_what_is_worse_by_the_margin_is_as_good_in_at_most_1_of_40_draws(
    n: int, disagreement: float
) -> None:
    """By Tango's interval: its score at the margin lies beyond the quantile on the good side."""
    rng = np.random.default_rng(n)
    shares = [(disagreement - 0.05) / 2, (disagreement + 0.05) / 2, 1 - disagreement]
    gains, losses, _ = rng.multinomial(n, shares, 20_000).T
    passes = tango_score(gains, losses, n, -0.05) >= 1.95996
    passes &= tango_score(gains, losses, n, 0.05) <= -1.95996
    # 20,000 draws of 2.5% read above 2.85% in one of 1,000; a discrete test is not exact.
    assert passes.mean() <= 0.03
