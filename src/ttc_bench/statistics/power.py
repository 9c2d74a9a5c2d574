"""How many pairs a statement would need."""

from __future__ import annotations

import math

from ttc_bench.statistics.clusters import Floats
from ttc_bench.statistics.distributions import (
    noncentral_t_below,
    normal_edge,
    normal_tail,
    t_edge,
)
from ttc_bench.statistics.intervals import Means, least_pairs

_LARGE = 5000
"""From so many pairs on the t distribution is the normal one to three digits."""

DISAGREEMENT = 0.3
"""Share of questions on which two equal variants disagree if nothing better is known."""


def paired_power(effect: float, pairs: int, alpha: float = 0.05) -> float:
    """Return the chance that a two-sided paired t-test finds an effect.

    Source: Cohen 1988; `statsmodels.stats.power.TTestPower`.

    Args:
        effect: Mean over standard deviation of the differences.
        pairs: At least 2.
        alpha: Chance of a false finding.
    """
    shift = abs(effect) * math.sqrt(pairs)
    if pairs >= _LARGE:
        edge = normal_edge(alpha / 2)
        return normal_tail(edge - shift) + normal_tail(edge + shift)
    edge = float(t_edge(alpha / 2, pairs - 1))
    above, below = (noncentral_t_below(-edge, pairs - 1, way) for way in (-shift, shift))
    # Far from the edge the noncentral distribution underflows to NaN: nothing is left there.
    return float(above if math.isfinite(above) else shift > edge) + (
        float(below) if math.isfinite(below) else 0.0
    )


def pairs_for_power(effect: float, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Return the fewest pairs with which a paired t-test finds an effect.

    Args:
        effect: Mean over standard deviation of the differences; infinite where they are equal.
        alpha: Chance of a false finding.
        power: Chance of finding the effect.

    Returns:
        The pairs, at least `ttc_bench.statistics.intervals.least_pairs`; ``None`` for no effect.
    """
    least = least_pairs(alpha)
    if effect == 0 or math.isnan(effect):
        return None
    if math.isinf(effect):
        return least
    normal = (normal_edge(alpha / 2) + normal_edge(1 - power)) / effect
    # The t-test needs a little more than the normal one: z**2 / 2 pairs (Guenther 1981).
    pairs = max(2, math.ceil(normal**2))
    if pairs < _LARGE:
        while paired_power(effect, pairs, alpha) < power:
            pairs += 1
    return max(pairs, least)


def pairs_to_exclude(share: float, confidence: float = 0.95) -> int:
    """Return after how many equal pairs a share of ``share`` or more differing ones is ruled out.

    Source: the exact form of the rule of three (Hanley and Lippman-Hand 1983).

    Args:
        share: Share of pairs that may differ unseen, in (0, 1).
        confidence: Level of the statement.

    Raises:
        ValueError: If the share is not in (0, 1).
    """
    if not 0 < share < 1:
        raise ValueError(f"a share of {share:g} is not between 0 and 1")
    return math.ceil(math.log(1 - confidence) / math.log(1 - share))


def design_effect(clustered: Means, alone: Means) -> Floats:
    """Return by how much clusters widen the variance of the mean, at least 1, by column.

    Values that do not vary, or are all of one cluster, do not tell how alike those of a cluster
    are: then it is the most that it can be with clusters of equal size, which is that size.

    Source: Kish, "Survey Sampling" (1965); the variance of the mean is the cluster-robust one.

    Args:
        clustered: Means of some values with their clusters.
        alone: Means of the same values, each its own cluster.
    """
    import numpy as np

    known = (alone.error > 0) & (clustered.error > 0)
    ratio = np.divide(clustered.error, alone.error, out=np.ones_like(alone.error), where=known)
    untold = ~(alone.error > 0) | np.isnan(clustered.error)
    size = alone.clusters / np.maximum(clustered.clusters, 1)
    effect: Floats = np.maximum(1.0, np.where(untold, size, ratio**2))
    return effect


def least_gain(
    pairs: int, comparisons: int = 1, disagreement: float = DISAGREEMENT, power: float = 0.8
) -> float:
    """Return the least gain of the share of right answers that a sample is likely to show.

    That is a gain whose interval, simultaneous over the comparisons at 95% and padded as in
    `ttc_bench.statistics.intervals`, lies above 0 with the power, by a normal approximation that is
    at most 0.03 too high. Questions are taken to be of all difficulties: where equal variants
    disagree on a share d, unequal ones do on d (1 + 2 gain^2), and never on less than the gain.

    Args:
        pairs: Questions that both sides answer.
        comparisons: Variants that are compared with the baseline.
        disagreement: The share d.
        power: Chance of showing the gain.

    Returns:
        The gain; 1 where not even that is shown so often.
    """
    from scipy.optimize import brentq

    edge, sure = t_edge(0.025 / comparisons, pairs + 1), normal_edge(1 - power)

    def reserve(gain: float) -> float:
        share = max(gain, disagreement * (1 + 2 * gain**2))
        centre, square = gain * pairs / (pairs + 2), (share * pairs + 2) / (pairs + 2)
        # The two padded values widen the interval, but not the spread of its centre.
        spread = math.sqrt(pairs * (share - gain**2)) / (pairs + 2)
        return float(centre - edge * math.sqrt((square - centre**2) / (pairs + 1)) - sure * spread)

    return 1.0 if reserve(1.0) < 0 else float(brentq(reserve, 0.0, 1.0, xtol=1e-4))
