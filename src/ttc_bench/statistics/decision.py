"""What a sample allows one to decide: as good for less, better, or nothing yet.

Functions of numbers alone. A variant is told apart from the baseline by intervals that hold at
once for all variants, so a variant that only luck put first is named in at most 1 - confidence of
all suites, for each aim and benchmark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ttc_bench.statistics.clusters import Floats, Integers
from ttc_bench.statistics.comparison import Comparison, Settings
from ttc_bench.statistics.distributions import binomial_chance, binomial_quantile, normal_edge
from ttc_bench.statistics.intervals import mean_intervals, means_of
from ttc_bench.statistics.power import design_effect
from ttc_bench.statistics.speed import Ratio

Word = Literal["identical", "as good", "better", "worse", "undecided"]

EQUAL: tuple[Word, ...] = ("identical", "as good", "better")
"""Words of a quality that is shown to be no worse than the baseline's."""

DIFFERING = 0.02
"""Share of questions on which a variant that is as good may be right where the baseline is wrong,
or the other way round, for the questions that showing it takes."""

_ENDS = (1e-9, 1 - 1e-9)
"""Counts beyond these quantiles are rarer than one in a billion."""

CostWord = Literal["cheaper", "dearer", "undecided"]


def tango(
    gains: float, losses: float, pairs: float, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the score interval of the difference of two paired shares.

    Unlike intervals of the mean it keeps its size where hardly any pair differs, which is where
    "as good" is said.

    Source: Tango, "Equivalence test and confidence interval for the difference in proportions for
    the paired-sample design", Statistics in Medicine 17 (1998).

    Args:
        gains: Pairs that the first side alone has right.
        losses: Pairs that the second side alone has right.
        pairs: All pairs; with clusters, all three over the design effect.
        confidence: Level of the interval.

    Returns:
        Its ends, in [-1, 1]: these themselves where there is no pair.

    Raises:
        ValueError: If a count is negative, or more pairs differ than there are.
    """
    from scipy.optimize import brentq

    if not (gains >= 0 and losses >= 0 and gains + losses <= pairs * (1 + 1e-9)):
        raise ValueError(f"of {pairs:g} pairs, {gains:g} gains and {losses:g} losses are no counts")
    if not pairs:
        return -1.0, 1.0
    z, observed = normal_edge((1 - confidence) / 2), (gains - losses) / pairs

    def score(difference: float) -> float:
        return float(tango_score(gains, losses, pairs, difference))

    def end(edge: float, sign: int) -> float:
        # At the edge itself the variance vanishes; a hair inside, the score is beyond any z.
        far = edge - math.copysign(1e-9, edge)
        if abs(observed - edge) < 1e-9:
            return edge
        return float(brentq(lambda d: score(d) - sign * z, min(observed, far), max(observed, far)))

    return end(-1.0, 1), end(1.0, -1)


def tango_score(gains: Any, losses: Any, pairs: float, difference: float) -> Any:
    """Return Tango's score statistic of a true difference, for counts of any shape; see `tango`.

    It is infinite where the counts are impossible under that difference.
    """
    import numpy as np

    b = 2 * pairs * difference - (gains - losses) * difference - gains - losses
    c = -losses * difference * (1 - difference)
    share = (np.sqrt(np.maximum(0.0, b * b - 8 * pairs * c)) - b) / (4 * pairs)
    variance = pairs * (2 * share + difference * (1 - difference))
    gap = gains - losses - pairs * difference
    with np.errstate(all="ignore"):
        return np.where(variance > 0, gap / np.sqrt(variance), np.where(gap, gap * np.inf, 0.0))


def pairs_for_margin(
    margin: float, disagreement: float, confidence: float = 0.95, power: float = 0.8
) -> int:
    """Return about how many questions show that an equally good variant is as good.

    Its right and wrong answers differ from the baseline's on a share of the questions, as often
    for the better as for the worse. The chance that all of Tango's interval lies within the margin
    is summed over all counts; it grows with the questions but for small steps, of which the search
    may miss some.

    Args:
        margin: Least difference that matters, in (0, 1).
        disagreement: Share of the questions on which the two differ, in [0, 1].
        confidence: Level of the interval.
        power: Chance of showing it.

    Raises:
        ValueError: If the margin is not in (0, 1), or the disagreement not in [0, 1].
    """
    if not (0 < margin < 1 and 0 <= disagreement <= 1):
        raise ValueError(f"no number shows a margin of {margin:g} at {disagreement:g} disagreement")
    low, high = 1, 2
    while shown_as_good(high, margin, disagreement, confidence) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        is_enough = shown_as_good(middle, margin, disagreement, confidence) >= power
        low, high = (low, middle) if is_enough else (middle, high)
    return high


def shown_as_good(
    pairs: int, margin: float, disagreement: float, confidence: float = 0.95
) -> float:
    """Return the chance that an equally good variant is shown to be so; see `pairs_for_margin`."""
    import numpy as np

    z = normal_edge((1 - confidence) / 2)
    least, most = (binomial_quantile(end, pairs, disagreement) for end in _ENDS)
    # Of many counts some stand for all.
    step = 1 + (most - least) // 400
    differing = np.arange(least, most + 1, step)[:, None]
    ends = zip(_ENDS, (least, most), strict=True)
    fewest, largest = (binomial_quantile(end, count, 0.5) for end, count in ends)
    gains = np.arange(fewest, largest + 1, step)
    losses = differing - gains
    is_within = (tango_score(gains, losses, pairs, -margin) >= z) & (
        tango_score(gains, losses, pairs, margin) <= -z
    )
    chances = binomial_chance(differing, pairs, disagreement)
    chances = chances * binomial_chance(gains, differing, 0.5)
    return float(chances[is_within & (losses >= 0)].sum()) * step**2


def cost_word(ratio: Ratio) -> CostWord:
    """Return what the interval of a ratio of costs allows one to say of its first side."""
    return "cheaper" if ratio.high < 1 else "dearer" if ratio.low > 1 else "undecided"


@dataclass(frozen=True)
class Quality:
    """What the answers of a variant are against the baseline's.

    Attributes:
        word: The verdict.
        differ_high: Share of further answers that may differ although none here does, those of a
            cluster being as alike as can be; 0 where one does.
        alone: Interval of the difference by itself, which "as good" rests on.
    """

    word: Word
    differ_high: float
    alone: tuple[float, float]


def quality(
    own: Floats,
    base: Floats,
    same: bool,
    versus: Comparison,
    settings: Settings,
    clusters: Integers | None = None,
) -> Quality:
    """Return the verdict on rewards, from the strongest statement that holds.

    Identical where every answer is; better where the interval that holds at once for all variants
    lies above 0; as good where the variant's own interval, Tango's for rewards of 0 and 1 and else
    that of the mean difference, lies within the margin (``equal_within``); worse where the first
    interval lies below 0. A loss that is shown, and shown to be smaller than what matters, is as
    good: the margin says so, and more questions must not make a worse variant of it.

    Args:
        own: Rewards of the variant in [0, 1], of shape (jobs,); NaN is missing.
        base: Those of the baseline on the same jobs.
        same: Whether all answers of both are equal, letter by letter.
        versus: The comparison of the two within its family.
        settings: How sure to be.
        clusters: The cluster of each job; ``None`` makes each its own.
    """
    import numpy as np

    known = ~np.isnan(own + base)
    codes = None if clusters is None else clusters[known]
    alone = interval_alone((own - base)[known], settings.confidence, codes)
    if same and versus.n_clusters:
        # Where clusters differ wholly or not at all, none of theirs differs as rarely as this.
        high = 1 - (1 - settings.confidence) ** (1 / versus.n_clusters)
        return Quality("identical", high, alone)
    if versus.low is None or versus.high is None:
        return Quality("undecided", 1.0, alone)
    if versus.low > 0:
        return Quality("better", 0.0, alone)
    margin = settings.equal_within
    if -margin <= alone[0] and alone[1] <= margin:
        return Quality("as good", 0.0, alone)
    return Quality("worse" if versus.high < 0 else "undecided", 0.0, alone)


def interval_alone(
    differences: Floats, confidence: float, clusters: Integers | None = None
) -> tuple[float, float]:
    """Return the interval of the mean of paired differences of rewards, by itself.

    Tango's where rewards are 0 or 1, with the counts over the design effect of clusters; else that
    of the mean. Too few jobs or clusters for any leave what a difference can be at all: (-1, 1).

    Args:
        differences: Shape (jobs,), in [-1, 1].
        confidence: Level of the interval.
        clusters: The cluster of each job; ``None`` makes each its own.
    """
    import numpy as np

    if not len(differences):
        return -1.0, 1.0
    if np.isin(differences, (-1.0, 0.0, 1.0)).all():
        gains, losses = float((differences > 0).sum()), float((differences < 0).sum())
        design = design_of(differences, clusters)
        return tango(gains / design, losses / design, len(differences) / design, confidence)
    ends = mean_intervals(differences[:, None], clusters, confidence, (-1.0, 1.0))
    low, high = float(ends.low[0]), float(ends.high[0])
    return (-1.0, 1.0) if math.isnan(low) else (low, high)


def design_of(values: Floats, clusters: Integers | None) -> float:
    """Return by how much clusters widen the variance of the mean of ``values``, at least 1."""
    if clusters is None:
        return 1.0
    clustered, alone = means_of(values[:, None], clusters), means_of(values[:, None])
    return float(design_effect(clustered, alone)[0])


@dataclass(frozen=True)
class Candidate:
    """A variant that may be named, by what is known of it against the baseline.

    Attributes:
        name: Its name.
        word: Verdict on its quality.
        difference: Mean reward minus the baseline's.
        speed: How many times as fast it is, timed side by side; ``None`` if it was not.
        costs: Ratio to the baseline's, by the name of the cost; of unknown ones there is none.
        spends: Mean of a response, by the name of the cost.
        spends_high: Upper end of the interval of that mean; one that is not told is the mean.
        reward_low: Lower end of the interval of its mean reward; without one, minus infinity.
    """

    name: str
    word: Word
    difference: float
    speed: Ratio | None = None
    costs: Mapping[str, Ratio] = field(default_factory=dict)
    spends: Mapping[str, float] = field(default_factory=dict)
    spends_high: Mapping[str, float] = field(default_factory=dict)
    reward_low: float = -math.inf

    def spend(self, cost: str) -> float:
        """Return the mean of a cost; infinite where it is not known."""
        mean = self.spends.get(cost, math.nan)
        return math.inf if math.isnan(mean) else mean

    def is_within(self, budgets: Mapping[str, float]) -> bool:
        """Return whether its means are known, and each is shown not to be over its budget."""
        highs = [(self.spends_high.get(cost, self.spend(cost)), most)
                 for cost, most in budgets.items() if self.spend(cost) < math.inf]  # fmt: skip
        return len(highs) == len(budgets) and all(
            high <= most or math.isclose(high, most) for high, most in highs
        )


def fastest(candidates: Sequence[Candidate]) -> Candidate | None:
    """Return the fastest of those that are shown to be faster and no worse, if any is."""
    fit = [
        (c.speed.ratio, c)
        for c in candidates
        if c.word in EQUAL and c.speed and cost_word(c.speed.inverse()) == "cheaper"
    ]
    return max(fit, key=lambda timed: timed[0], default=(0.0, None))[1]


def cheapest(candidates: Sequence[Candidate], cost: str) -> Candidate | None:
    """Return the cheapest of those that are shown to be cheaper and no worse, if any is."""
    fit = [
        c
        for c in candidates
        if c.word in EQUAL and cost in c.costs and cost_word(c.costs[cost]) == "cheaper"
    ]
    return min(fit, key=lambda c: c.costs[cost].ratio, default=None)


def best(candidates: Sequence[Candidate]) -> Candidate | None:
    """Return the best of those that are shown to be better, if any is."""
    fit = [c for c in candidates if c.word == "better"]
    return max(fit, key=lambda c: c.difference, default=None)


def best_within(
    candidates: Sequence[Candidate],
    baseline: Candidate,
    budgets: Mapping[str, float],
    least_reward: float = -math.inf,
) -> Candidate | None:
    """Return the best that budgets pay: one shown to be better, else the least that is as good.

    Where a least reward is asked for, who is shown to reach it is as good as is needed; but what is
    shown to be worse than the baseline is named only where a budget rules that out.

    Args:
        candidates: The variants.
        baseline: The baseline itself, which is named where it fits and nothing is better.
        budgets: Most that a response may cost on average, by the name of the cost: what the whole
            interval of its mean must keep, so that no luck of the questions puts it there.
        least_reward: What the interval of the mean reward must not go below.

    Returns:
        ``None`` where no variant that fits is shown to be good enough.
    """

    def fits(one: Candidate) -> bool:
        is_worth_it = one.reward_low >= least_reward or least_reward == -math.inf
        return is_worth_it and one.is_within(budgets)

    fit = [c for c in candidates if fits(c)]
    winner = best(fit)
    if winner or fits(baseline):
        return winner or baseline
    is_enough = math.isfinite(least_reward)
    excluded = "worse" if baseline.is_within(budgets) else None
    enough = [c for c in fit if c.word in EQUAL or (is_enough and c.word != excluded)]
    return min(
        enough, key=lambda c: ([c.spend(cost) for cost in budgets], -c.difference), default=None
    )


def least_for(
    candidates: Sequence[Candidate], cost: str, least_reward: float
) -> Candidate | None:  # fmt: skip
    """Return the cheapest of those that are shown to reach a mean reward, if any is.

    Args:
        candidates: The variants, the baseline among them.
        cost: Name of the cost; who does not tell it is not named.
        least_reward: What the interval of the mean reward must not go below.
    """
    fit = [c for c in candidates if c.reward_low >= least_reward and c.spend(cost) < math.inf]
    return min(fit, key=lambda c: c.spend(cost), default=None)
