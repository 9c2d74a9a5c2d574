"""Paired comparisons: difference, simultaneous interval, effect, verdict, what would decide it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ttc_bench.statistics.clusters import Floats, Integers
from ttc_bench.statistics.intervals import Flags, means_of
from ttc_bench.statistics.power import design_effect, pairs_for_power, pairs_to_exclude

Verdict = Literal["better", "worse", "cheaper", "dearer", "as good", "undecided"]


@dataclass(frozen=True)
class Settings:
    """How sure a comparison has to be.

    Attributes:
        confidence: Chance that all intervals of a family hold at once.
        power: Chance of deciding a difference of the margin, for the pairs needed.
        equal_within: Share of a metric's scale that is too small to matter: the margin.
    """

    confidence: float = 0.95
    power: float = 0.8
    equal_within: float = 0.05


@dataclass(frozen=True)
class Comparison:
    """What one side minus the other says; a figure that does not exist is ``None``.

    Attributes:
        n_pairs: Rows that both sides have.
        n_clusters: Clusters among them.
        difference: Mean of first minus second.
        low: Lower end of its interval, which holds at once with those of its family.
        high: Upper end.
        p_value: Two-sided, of no difference, by the method of the interval.
        p_adjusted: The p-value times the number of comparisons of its family (Bonferroni): below
            1 - confidence where the interval excludes 0, and nowhere else.
        test: Method of interval and p-value, ``padded_t`` or ``skewness_t``; see
            `ttc_bench.statistics.intervals`.
        effect_size: Cohen's g for binary scores, else dz.
        effect: ``cohen_g`` or ``cohen_dz``.
        spread: Standard deviation of the differences; ``None`` for fewer than two.
        design: By how much clusters widen the variance of the mean.
        level: 1 minus the level of its own interval.
    """

    n_pairs: int
    n_clusters: int
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    p_adjusted: float | None
    test: str
    effect_size: float | None
    effect: str
    spread: float | None
    design: float
    level: float


def compare(
    first: Floats,
    second: Floats,
    clusters: Integers | None = None,
    settings: Settings | None = None,
    width: float = math.inf,
) -> list[Comparison]:
    """Compare two tables column by column, over the rows that both sides have.

    The columns are one family: with K that have two pairs or more, each interval is of level
    1 - (1 - confidence) / K, so that all hold at once (Bonferroni), and it is the test.

    Args:
        first: Scores of shape (rows, columns); NaN is missing.
        second: Scores of the same shape.
        clusters: The cluster of each row; ``None`` makes each row its own.
        settings: How sure to be.
        width: Width of the range of the scores.
    """
    import numpy as np

    chosen = settings or Settings()
    differences = np.asarray(first - second, dtype=float)
    means = means_of(differences, clusters, (-width, width))
    alone = means_of(differences)
    family = max(1, int((means.clusters > 1).sum()))
    level = (1 - chosen.confidence) / family
    _, low, high = means.intervals(1 - level)
    p_values, binary = means.p_values(), _are_binary(first, second)
    spread = alone.error * np.sqrt(alone.clusters)
    figures = {
        "difference": means.mean,
        "low": low,
        "high": high,
        "p_value": p_values,
        "p_adjusted": np.minimum(1.0, family * p_values),
        "effect_size": np.where(binary, cohen_g(differences), cohen_dz(means.mean, spread)),
        "spread": spread,
    }
    # Of the values themselves: what an interval is padded with is no likeness of clusters.
    design = design_effect(means_of(differences, clusters), alone)
    return [
        Comparison(
            n_pairs=int(alone.clusters[column]),
            n_clusters=int(means.clusters[column]),
            **{name: _known(values[column]) for name, values in figures.items()},
            test="padded_t" if means.padded[column] else "skewness_t",
            effect="cohen_g" if binary[column] else "cohen_dz",
            design=float(design[column]),
            level=level,
        )
        for column in range(differences.shape[1])
    ]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _are_binary(first: Floats, second: Floats) -> Flags:
    import numpy as np

    missing = np.isnan(first - second)
    plain = [((side == 0) | (side == 1) | missing).all(axis=0) for side in (first, second)]
    binary: Flags = plain[0] & plain[1] & ~missing.all(axis=0)
    return binary


def cohen_dz(mean: Floats, spread: Floats) -> Floats:
    """Return the mean over the standard deviation of paired differences, of any shape.

    Source: Cohen, "Statistical power analysis" (1988), 2.3.5; NaN where nothing varies.
    """
    import numpy as np

    effect: Floats = mean / np.where(spread > 0, spread, np.nan)
    return effect


def cohen_g(differences: Floats) -> Floats:
    """Return by how much the share of gains among the pairs that differ exceeds one half.

    Source: Cohen, "Statistical power analysis" (1988), 5.2; NaN where no pair differs.

    Args:
        differences: Shape (pairs, columns), each 1, 0, -1, or NaN for a missing one.
    """
    import numpy as np

    differing = (np.abs(differences) == 1).sum(axis=0)
    effect: Floats = (differences == 1).sum(axis=0) / np.where(differing, differing, np.nan) - 0.5
    return effect


def judge(
    comparison: Comparison, scale: float, higher_is_better: bool, settings: Settings | None = None
) -> Verdict:
    """Return what the interval of a comparison allows one to say of its first side.

    It is better or worse, of a cost cheaper or dearer, exactly where the interval excludes 0, and
    as good where all of it lies within the margin (``equal_within`` times ``scale``). Costs that do
    not differ at all have an interval of no width, however few they are: they are as good once
    there are enough clusters to rule out that a share ``equal_within`` of them differs (rule of
    three). All else is undecided.

    Args:
        comparison: What `compare` says.
        scale: Width of the metric's range; for one without a range, the size of its values.
        higher_is_better: Direction of the metric; of a cost it is false.
        settings: How sure to be.
    """
    chosen = settings or Settings()
    low, high = comparison.low, comparison.high
    if low is None or high is None:
        return "undecided"
    if low > 0 or high < 0:
        if higher_is_better:
            return "better" if low > 0 else "worse"
        return "dearer" if low > 0 else "cheaper"
    if low == high:
        enough = pairs_to_exclude(chosen.equal_within, chosen.confidence)
        return "as good" if comparison.n_clusters >= enough else "undecided"
    margin = chosen.equal_within * scale
    return "as good" if -margin <= low and high <= margin else "undecided"


def pairs_needed(
    comparison: Comparison,
    scale: float,
    settings: Settings | None = None,
    asked: int | None = None,
) -> int | None:
    """Return how many pairs would show a difference of the margin, at the spread that was seen.

    Not of the difference that was seen: in a small sample that is mostly chance. Clusters are
    taken to grow in number at the size and likeness they have.

    Args:
        comparison: What `compare` says.
        scale: As for `judge`.
        settings: How sure to be.
        asked: Pairs that were asked for, if more than are compared: so large a share of further
            ones is taken to be lost, too.

    Returns:
        More pairs than there are; ``None`` where too few tell the spread, or there is no scale.
    """
    chosen = settings or Settings()
    if comparison.spread is None:
        return None
    margin = chosen.equal_within * scale
    pairs = (
        pairs_for_power(margin / comparison.spread, comparison.level, chosen.power)
        if comparison.spread
        else pairs_to_exclude(chosen.equal_within, chosen.confidence)
    )
    if pairs is None:
        return None
    needed = max(math.ceil(pairs * comparison.design), comparison.n_pairs + 1)
    return math.ceil(needed * (asked or comparison.n_pairs) / comparison.n_pairs)
