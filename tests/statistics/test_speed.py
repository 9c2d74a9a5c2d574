"""Speeds beside a control: equal decoders get no verdict, on a machine that drifts and bursts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from ttc_bench.statistics import relative_speed, speed

Floats = NDArray[np.float64]
TWINS = 2000


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0.5, 3.0), min_size=6, max_size=14, unique=True))
def test_the_interval_is_what_scipys_signed_rank_test_does_not_reject(ratios: list[float]) -> None:
    control = np.ones(len(ratios))
    _, low, high, n = speed(control, np.array(ratios))
    logs = np.log(ratios)
    assert n == len(ratios)

    def p(ratio: float) -> float:
        return float(stats.wilcoxon(logs - math.log(ratio), method="exact").pvalue)

    assert p(low - 1e-9) <= 0.05
    assert p(high + 1e-9) <= 0.05
    inside = np.linspace(low, high, 9)[1:-1]
    assert all(p(ratio) > 0.05 for ratio in inside if high > low)


def test_the_speed_is_the_median_of_the_means_of_pairs() -> None:
    own = np.array([1.0, 2.0, 0.5, math.nan, 1.0])
    control = np.array([2.0, 2.0, 2.0, 5.0, 1.2])
    logs = np.log(control / own)[[0, 1, 2, 4]]
    means = [(a + b) / 2 for place, a in enumerate(logs) for b in logs[place:]]
    ratio, low, high, n = speed(own, control)
    assert ratio == pytest.approx(math.exp(np.median(means)))
    assert n == 4
    assert np.isnan([low, high]).all()


def test_no_interval_of_95_percent_below_6_pairs() -> None:
    times = np.array([1.0, 1.1, 1.2, 1.3, 1.4, 1.5])
    assert np.isnan(speed(times[:5], times[:5] * 2).low)
    six = speed(times, times * 2)
    assert (six.ratio, six.low, six.high) == pytest.approx((2.0, 2.0, 2.0))
    assert np.isnan(speed(times, times * 2, confidence=1 - 0.05 / 22).low)
    assert np.isnan(speed(np.array([math.nan]), np.array([1.0])).ratio)


@pytest.mark.parametrize("wrong", [0.0, -1.0])
def test_a_time_that_is_not_positive_is_an_error(wrong: float) -> None:
    with pytest.raises(ValueError, match="not positive"):
        speed(np.array([1.0, wrong]), np.array([1.0, 1.0]))


def clock(rng: np.random.Generator, slots: int, drift: str) -> Floats:
    """Return how slow the machine is in each of consecutive slots: drift, and bursts of 1.5."""
    steps = rng.normal(0, 0.05, slots)
    keeps = 1.0 if drift == "random walk" else 0.95
    logs = np.zeros(slots)
    for slot in range(1, slots):
        logs[slot] = keeps * logs[slot - 1] + steps[slot]
    bursts = np.zeros(slots)
    for start in rng.integers(0, slots, max(1, slots // 20)):
        bursts[start : start + 6] = math.log(1.5)
    return np.exp(logs + bursts)


def timed(
    rng: np.random.Generator, jobs: Floats, drift: str, second_run: float = 1.0, coin: float = 0.5
) -> tuple[Floats, Floats]:
    """Time one decoder twice on each job, as a variant and as its control.

    Args:
        rng: Source of drift, noise and coins.
        jobs: Seconds of each job on an idle machine.
        drift: ``AR(1)`` or ``random walk``.
        second_run: Time of whichever comes second, e.g. 0.9 where caches are warm.
        coin: Chance that the variant goes first.
    """
    slots = clock(rng, 2 * len(jobs), drift).reshape(-1, 2) * np.array([1.0, second_run])
    times = jobs[:, None] * slots * rng.lognormal(0, 0.05, slots.shape)
    first = rng.random(len(jobs)) < coin
    return np.where(first, times[:, 0], times[:, 1]), np.where(first, times[:, 1], times[:, 0])


@pytest.mark.parametrize("drift", ["AR(1)", "random walk"])
@pytest.mark.parametrize("n", [12, 24])
def test_twins_are_not_told_apart(n: int, drift: str) -> None:
    """2,000 pairs: verdicts in at most 5%, 1 is covered in at least 93%, second runs faster too."""
    rng = np.random.default_rng(n)
    hits = {"beside its control": 0, "beside another": 0}
    for _ in range(TWINS):
        jobs = rng.lognormal(0, 0.5, n)
        one, other = (timed(rng, jobs, drift, second_run=0.9) for _ in range(2))
        for name, (_, low, high, _) in (
            ("beside its control", speed(*one)),
            ("beside another", relative_speed(one, other)),
        ):
            hits[name] += low <= 1 <= high
    # A verdict is an interval without 1: at most 5% of them is the sharper of the two bars.
    assert min(hits.values()) >= 0.95 * TWINS - 2 * math.sqrt(0.05 * 0.95 * TWINS)


def test_without_the_coin_a_faster_second_run_is_taken_for_a_faster_decoder() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        times = timed(rng, rng.lognormal(0, 0.5, 24), "AR(1)", second_run=0.9, coin=0.0)
        _, low, high, _ = speed(*times)
        covered += low <= 1 <= high
    assert covered < 100


def test_a_true_speed_is_covered_and_found() -> None:
    rng = np.random.default_rng(1)
    covered = decided = 0
    for _ in range(500):
        own, control = timed(rng, rng.lognormal(0, 0.5, 24), "random walk")
        _, low, high, _ = speed(own / 1.3, control)
        covered += low <= 1.3 <= high
        decided += low > 1
    assert covered >= 0.93 * 500
    assert decided >= 0.95 * 500
