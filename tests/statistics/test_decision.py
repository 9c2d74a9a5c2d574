"""Verdicts and named variants: what they rest on, and how often luck alone names one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, norm
from statsmodels.stats.contingency_tables import mcnemar

from ttc_bench.statistics import Settings, compare
from ttc_bench.statistics.decision import (
    EQUAL,
    Candidate,
    best,
    best_within,
    cheapest,
    fastest,
    interval_alone,
    least_for,
    pairs_for_margin,
    quality,
    shown_as_good,
    tango,
    tango_score,
)
from ttc_bench.statistics.speed import Ratio

SETTINGS = Settings()


def constrained_score(gains: int, losses: int, pairs: int, difference: float) -> float:
    """The score statistic with the likelihood maximised numerically under the null."""

    def loss(q: float) -> float:
        p, rest = q + difference, 1 - 2 * q - difference
        terms = ((gains, p), (losses, q), (pairs - gains - losses, rest))
        return -sum(n * math.log(max(share, 1e-300)) for n, share in terms if n)

    low, high = max(0.0, -difference), (1 - difference) / 2
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12})
    variance = pairs * (2 * found.x + difference * (1 - difference))
    return (gains - losses - pairs * difference) / math.sqrt(variance)


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 60))
def test_tangos_ends_are_where_the_score_test_stops_rejecting(g: int, s: int, same: int) -> None:
    pairs = g + s + same + 1
    low, high = tango(g, s, pairs)
    assert -1 <= low <= (g - s) / pairs <= high <= 1
    z = norm.isf(0.025)
    for end, sign in ((low, 1), (high, -1)):
        if abs(end) < 1 - 1e-6:
            assert constrained_score(g, s, pairs, end) == pytest.approx(sign * z, abs=2e-3)
    assert tango(s, g, pairs) == pytest.approx((-high, -low), abs=1e-6)


def test_tango_without_a_differing_pair_has_its_closed_form() -> None:
    z2 = norm.isf(0.025) ** 2
    for pairs in (24, 100, 400):
        assert tango(0, 0, pairs)[1] == pytest.approx(z2 / (pairs + z2))


def test_tangos_ends_are_the_published_ones_and_at_0_mcnemars_statistic() -> None:
    """Complete response of 161 patients (Cavo 2012), in Fagerland et al., Statistical Analysis of
    Contingency Tables (2017), 8.6; neither scipy nor statsmodels has the interval."""
    assert tango(6, 16, 161) == pytest.approx((-0.1240, -0.0054), abs=5e-5)
    for gains, losses, same in ((6, 16, 139), (1, 7, 13), (0, 3, 21), (40, 20, 100)):
        table = [[same, gains], [losses, 0]]
        squared = mcnemar(table, exact=False, correction=False).statistic
        score = tango_score(gains, losses, gains + losses + same, 0.0)
        assert score**2 == pytest.approx(squared)


def verdict_of(own: np.ndarray, base: np.ndarray, family: int = 1, same: bool = False) -> str:
    table = np.column_stack([own] * family)
    versus = compare(table, np.column_stack([base] * family), None, SETTINGS, 1.0)[0]
    return quality(own, base, same, versus, SETTINGS).word


def pairs_of(rng: np.random.Generator, n: int, gain: float, disagreement: float) -> tuple:
    """Right or wrong answers of a baseline of 0.6 and of a variant that is better by the gain."""
    up, down = (disagreement + gain) / 2, (disagreement - gain) / 2
    base = (rng.random(n) < 0.6).astype(float)
    flip = np.where(base == 0, rng.random(n) < up / 0.4, rng.random(n) < down / 0.6)
    return np.where(flip, 1 - base, base), base


@pytest.mark.parametrize("n", [100, 400])
@pytest.mark.parametrize("disagreement", [0.06, 0.10])
def test_what_is_worse_by_the_margin_is_called_as_good_at_most_rarely(
    n: int, disagreement: float
) -> None:
    rng = np.random.default_rng(n)
    words = [verdict_of(*pairs_of(rng, n, -0.05, disagreement)) for _ in range(400)]
    # 2.5% is the size; 5% is three standard errors above it.
    assert np.mean([word in EQUAL for word in words]) <= 0.05


def test_what_agrees_on_98_of_100_is_shown_to_be_as_good_by_some_hundred_questions() -> None:
    rng = np.random.default_rng(3)
    share = [
        np.mean([verdict_of(*pairs_of(rng, n, 0.0, 0.02)) in EQUAL for _ in range(200)])
        for n in (24, 250)
    ]
    assert share[0] == 0
    assert share[1] >= 0.8


@pytest.mark.parametrize(("margin", "disagreement"), [(0.05, 0.02), (0.1, 0.05), (0.02, 0.02)])
def test_the_questions_that_a_margin_takes_show_it_in_four_of_five_draws(
    margin: float, disagreement: float
) -> None:
    """The verdicts of drawn answers agree with the sum over all counts."""
    n, rng = pairs_for_margin(margin, disagreement), np.random.default_rng(7)
    assert shown_as_good(n, margin, disagreement) >= 0.8 > shown_as_good(n // 2, margin, 0.02)
    settings = Settings(equal_within=margin)
    flips = rng.choice([0.0, 1.0, -1.0], (400, n), p=[1 - disagreement, *[disagreement / 2] * 2])
    counts = [((row > 0).sum(), (row < 0).sum()) for row in flips]
    ends = np.array([tango(*each, n) for each in counts])
    shown = (ends[:, 0] >= -margin) & (ends[:, 1] <= margin)
    assert shown.mean() == pytest.approx(shown_as_good(n, margin, disagreement), abs=0.06)
    base = np.where(flips[0] > 0, 0.0, 1.0)
    (versus,) = compare((base + flips[0])[:, None], base[:, None], None, settings, 1.0)
    assert (quality(base + flips[0], base, False, versus, settings).word == "as good") == shown[0]


def test_a_margin_takes_more_questions_the_smaller_it_is_and_the_more_they_disagree() -> None:
    needs = [[pairs_for_margin(m, d) for d in (0.01, 0.02, 0.05, 0.1)] for m in (0.1, 0.05, 0.02)]
    assert needs == sorted(needs)
    assert all(row == sorted(row) for row in needs)
    assert needs[1][1] == pytest.approx(155, abs=5), "0.05 at 2% disagreement"
    assert needs[2][1] == pytest.approx(670, abs=20), "0.02 at 2% disagreement"
    assert pairs_for_margin(0.001, 0.1) > 1e5, "answered at once, too"


def clustered_flips(
    rng: np.random.Generator, clusters: int, size: int, likeness: float, p: float, down: float
) -> np.ndarray:
    """Draw differences of right and wrong answers whose clusters tend to agree.

    With chance ``likeness`` a question takes the draw of its cluster, else one of its own; a draw
    is -1 with chance ``down``, +1 with ``p - down``, else 0.
    """
    shape = (clusters, size)
    chances = [1 - p, p - down, down]
    shared = rng.choice([0.0, 1.0, -1.0], (clusters, 1), p=chances)
    own = rng.choice([0.0, 1.0, -1.0], shape, p=chances)
    return np.where(rng.random(shape) < likeness, shared, own).ravel()


@pytest.mark.parametrize(("clusters", "size"), [(22, 5), (40, 10)])
@pytest.mark.parametrize("likeness", [0.0, 0.5])
def test_with_clusters_tangos_interval_keeps_its_size(
    clusters: int, size: int, likeness: float
) -> None:
    """Worse by the margin is called as good rarely, and the interval covers what is true."""
    rng, codes = np.random.default_rng(clusters), np.repeat(np.arange(clusters), size)
    good = covered = 0
    rounds = 300
    for _ in range(rounds):
        flips = clustered_flips(rng, clusters, size, likeness, p=0.11, down=0.08)
        base = np.where(flips > 0, 0.0, 1.0)
        own = base + flips
        (versus,) = compare(own[:, None], base[:, None], codes, SETTINGS, 1.0)
        verdict = quality(own, base, False, versus, SETTINGS, codes)
        good += verdict.word in EQUAL
        covered += verdict.alone[0] <= -0.05 <= verdict.alone[1]
    assert good / rounds <= 0.05
    assert covered / rounds >= 0.93


def graded_pairs(rng: np.random.Generator, n: int, gain: float) -> tuple[np.ndarray, np.ndarray]:
    """Rewards like graph F1: between 0 and 1, many of them 1, the variant better by the gain."""
    base = np.minimum(1.0, rng.beta(4, 2, n) + 0.25 * (rng.random(n) < 0.3))
    own = np.clip(base + gain + rng.normal(0, 0.08, n), 0.0, 1.0)
    return own, base


def test_graded_rewards_get_the_same_treatment() -> None:
    """Equal ones are as good from few questions on, worse ones are told, and luck names none."""
    rng, rounds = np.random.default_rng(11), 150
    shift = float(np.mean([np.subtract(*graded_pairs(rng, 4000, 0.0)).mean() for _ in range(20)]))
    words = {
        (n, gain): [verdict_of(*graded_pairs(rng, n, gain - shift)) for _ in range(rounds)]
        for n in (24, 100)
        for gain in (0.0, -0.1, 0.1)
    }
    for n in (24, 100):
        assert np.mean([word in ("better", "worse") for word in words[n, 0.0]]) <= 0.1
        assert np.mean([word in EQUAL for word in words[n, -0.1]]) <= 0.05
        assert np.mean([word == "better" for word in words[n, 0.1]]) >= 0.9
    assert np.mean([word in EQUAL for word in words[100, 0.0]]) >= 0.8


def test_more_questions_make_no_worse_variant_of_one_that_is_as_good() -> None:
    """A loss of 1.5% is open on few questions, and within 0.05 on all larger numbers of them."""
    words = []
    for n in (100, 400, 2000, 20_000):
        base = np.ones(n)
        own = np.where(np.arange(n) % 200 < 3, 0.0, base)
        words.append(verdict_of(own, base))
    assert words == ["as good" if word in EQUAL else word for word in words]
    assert words[1:] == ["as good"] * 3
    base = np.ones(400)
    assert verdict_of(np.where(np.arange(400) < 60, 0.0, base), base) == "worse"
    assert verdict_of(base, np.where(np.arange(400) < 12, 0.0, base)) == "better", "by how little"


def test_identical_says_what_may_still_differ() -> None:
    base = np.array([1.0, 0.0] * 12)
    (versus,) = compare(base[:, None], base[:, None], None, SETTINGS, 1.0)
    verdict = quality(base, base, True, versus, SETTINGS)
    assert verdict.word == "identical"
    assert verdict.differ_high == pytest.approx(0.117, abs=0.001)
    exact = binomtest(0, len(base), alternative="less").proportion_ci(0.95, method="exact")
    assert verdict.differ_high == pytest.approx(exact.high)


@pytest.mark.parametrize(("clusters", "high"), [(60, 0.049), (30, 0.095), (12, 0.221), (1, 0.95)])
def test_identical_clusters_are_no_more_than_their_number(clusters: int, high: float) -> None:
    base, codes = np.array([1.0, 0.0] * 30), np.arange(60) % clusters
    (versus,) = compare(base[:, None], base[:, None], codes, SETTINGS, 1.0)
    verdict = quality(base, base, True, versus, SETTINGS, codes)
    assert (verdict.word, verdict.differ_high) == ("identical", pytest.approx(high, abs=0.001))
    assert verdict.alone == pytest.approx(tango(0, 0, clusters))


@pytest.mark.parametrize(("share", "sizes"), [(0.05, (5, 5)), (0.1, (1, 9)), (0.2, (2, 10))])
def test_what_may_still_differ_holds_where_clusters_differ_as_a_whole(
    share: float, sizes: tuple[int, int]
) -> None:
    """Of draws without a difference, the bound is too low in at most 5 of 100 draws, all told."""
    rng, missed, called = np.random.default_rng(4), 0, 0
    for _ in range(400):
        codes = np.repeat(np.arange(40), rng.integers(sizes[0], sizes[1] + 1, 40))
        if (rng.random(40) < share).any():
            continue  # One cluster of 40 that differs is seen, and is never as good.
        base = np.ones(len(codes))
        (versus,) = compare(base[:, None], base[:, None], codes, SETTINGS, 1.0)
        missed += quality(base, base, True, versus, SETTINGS, codes).differ_high < share
        called += quality(base, base, False, versus, SETTINGS, codes).word in EQUAL
    # 5% by the level; 400 draws of it read above 8.5% in one of 1,000.
    assert missed <= 34
    assert called <= 34


@pytest.mark.parametrize("values", [[], [0.3], [1.0], [0.3, 0.1], [1.0, 0.0, 1.0]])
def test_one_cluster_bounds_a_difference_by_what_it_can_be(values: list[float]) -> None:
    differences, codes = np.array(values), np.zeros(len(values), int)
    low, high = interval_alone(differences, 0.95, codes)
    assert -1 <= low <= high <= 1
    assert high - low > 1.5
    if len(values) < 2 and not set(values) & {1.0}:
        assert interval_alone(differences, 0.95) == (low, high) == (-1.0, 1.0)


def test_numbers_that_are_no_counts_are_refused() -> None:
    assert tango(0, 0, 0) == (-1.0, 1.0)
    for counts in ((1, 1, 1), (-1, 0, 2), (math.nan, 0, 2), (1, 0, 0)):
        with pytest.raises(ValueError, match="are no counts"):
            tango(*counts)
    for margin, disagreement in ((0.0, 0.1), (math.nan, 0.1), (0.05, 1.1)):
        with pytest.raises(ValueError, match="no number shows"):
            pairs_for_margin(margin, disagreement)


def suite(rng: np.random.Generator, n: int, gains: list[float]) -> list[Candidate]:
    """Variants on one baseline's questions; for costs and speeds see `test_luck_and_power`."""
    base = (rng.random(n) < 0.5).astype(float)
    own = []
    for gain in gains:
        flips = rng.random(n)
        up, down = 0.15 + gain / 2, 0.15 - gain / 2
        share = np.where(base == 0, up / 0.5, max(0.0, down) / 0.5)
        own.append(np.where(flips < share, 1 - base, base))
    table = np.column_stack(own)
    family = compare(table, np.broadcast_to(base[:, None], table.shape), None, SETTINGS, 1.0)
    return [
        Candidate(
            str(i),
            quality(own[i], base, False, versus, SETTINGS).word,
            versus.difference or 0.0,
        )
        for i, versus in enumerate(family)
    ]


def test_luck_alone_names_a_variant_in_at_most_5_of_100_suites() -> None:
    """From answers to names; many more suites of 24 to 400 questions are in `test_comparison`."""
    rng = np.random.default_rng(24)
    drawn = [suite(rng, 24, [0.0] * 22) for _ in range(150)]
    assert np.mean([best(each) is not None for each in drawn]) <= 0.05


def test_a_true_gain_of_a_quarter_is_named_at_100_questions() -> None:
    rng = np.random.default_rng(1)
    named = [best(suite(rng, 100, [0.25] + [0.0] * 21)) for _ in range(150)]
    assert np.mean([c is not None and c.name == "0" for c in named]) >= 0.8


def test_a_true_gain_of_a_tenth_takes_some_hundred_questions() -> None:
    """Named beside 21 equal ones at 100 questions seldom; other sizes: `test_luck_and_power`."""
    rng = np.random.default_rng(100)
    named = [best(suite(rng, 100, [0.1] + [0.0] * 21)) for _ in range(100)]
    assert 0.02 <= np.mean([c is not None and c.name == "0" for c in named]) <= 0.25
    assert np.mean([c is not None and c.name != "0" for c in named]) <= 0.05


def test_named_are_only_those_that_are_no_worse() -> None:
    quick, cheap = Ratio(2.0, 1.5, 2.5, 24), {"tokens": Ratio(0.5, 0.4, 0.6, 24)}
    worse = Candidate("worse", "worse", -0.3, quick, cheap, {"usd": 0.1})
    unknown = Candidate("unknown", "undecided", 0.1, quick, cheap, {"usd": 0.1})
    slow = Candidate("slow", "as good", 0.0, Ratio(1.1, 0.9, 1.2, 24), {}, {"usd": 0.5})
    equal = Candidate("equal", "identical", 0.0, Ratio(1.4, 1.2, 1.6, 24), cheap, {"usd": 0.2})
    better = Candidate("better", "better", 0.2, None, {}, {"usd": 2.0})
    everyone = [worse, unknown, slow, equal, better]
    baseline = Candidate("baseline", "undecided", 0.0, spends={"usd": 1.0})
    assert fastest(everyone) is equal
    assert cheapest(everyone, "tokens") is equal
    assert best(everyone) is better
    assert best_within(everyone, baseline, {"usd": 3.0}) is better
    assert best_within(everyone, baseline, {"usd": 1.0}) is baseline
    assert best_within(everyone, baseline, {"usd": 0.5}) is equal
    assert best_within(everyone, baseline, {"usd": 0.1}) is None
    nan = math.nan
    blind = Candidate("blind", "better", 0.3, costs=cheap, spends={"usd": nan}, reward_low=0.9)
    good = Candidate("good", "as good", 0.0, spends={"usd": 0.3}, reward_low=0.6)
    bad = Candidate("bad", "worse", -0.1, spends={"usd": 0.2}, reward_low=0.5)
    assert best_within([blind], baseline, {"usd": 3.0}) is baseline
    assert least_for([blind, good], "usd", 0.5) is good
    assert least_for([good, blind], "usd", 0.5) is good
    assert least_for([blind], "usd", 0.5) is None
    assert best_within([bad, good], baseline, {}, 0.5) is good
    assert best_within([bad], baseline, {}, 0.5) is None
    assert best_within([bad, good], baseline, {"usd": 1.0}, 0.5) is good
    assert best_within([bad], baseline, {"usd": 0.5}, 0.5) is bad, "the baseline is too dear"
    untold = Candidate("baseline", "undecided", 0.0, reward_low=nan)
    assert best_within([bad], untold, {}) is untold
    assert fastest([worse, unknown, slow]) is None
    assert cheapest([worse, unknown, slow], "tokens") is None
