"""How many pairs a statement would need."""

from __future__ import annotations

import math

from ttc_bench.statistics.bootstrap import Clusters, Floats

_LARGE = 5000
"""From so many pairs on the t distribution is the normal one to three digits."""


def paired_power(effect: float, pairs: int, alpha: float = 0.05) -> float:
    """Return the chance that a two-sided paired t-test finds an effect.

    Source: Cohen 1988; `statsmodels.stats.power.TTestPower`.

    Args:
        effect: Mean over standard deviation of the differences.
        pairs: At least 2.
        alpha: Chance of a false finding.
    """
    from scipy.stats import nct, norm, t

    shift = abs(effect) * math.sqrt(pairs)
    if pairs >= _LARGE:
        edge = norm.ppf(1 - alpha / 2)
        return float(norm.sf(edge - shift) + norm.cdf(-edge - shift))
    edge = t.ppf(1 - alpha / 2, pairs - 1)
    above, below = nct.sf(edge, pairs - 1, shift), nct.cdf(-edge, pairs - 1, shift)
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
        The pairs, never fewer than `pairs_for_permutation`; ``None`` for no effect.
    """
    from scipy.stats import norm

    least = pairs_for_permutation(alpha)
    if effect == 0 or math.isnan(effect):
        return None
    if math.isinf(effect):
        return least
    normal = float(norm.ppf(1 - alpha / 2) + norm.ppf(power)) / effect
    # The t-test needs a little more than the normal one: z**2 / 2 pairs (Guenther 1981).
    pairs = max(2, math.ceil(normal**2))
    if pairs < _LARGE:
        while paired_power(effect, pairs, alpha) < power:
            pairs += 1
    return max(pairs, least)


def pairs_for_permutation(alpha: float) -> int:
    """Return the fewest pairs of which a two-sided sign-flip test can reach ``alpha``."""
    return math.ceil(1 - math.log2(alpha))


def pairs_for_half_width(spread: float, half_width: float, confidence: float = 0.95) -> int:
    """Return the fewest pairs whose interval of the mean is as narrow as wanted.

    Args:
        spread: Standard deviation of the differences.
        half_width: Largest distance of the interval's ends from the mean, above 0.
        confidence: Level of the interval.
    """
    from scipy.stats import norm

    z = float(norm.ppf((1 + confidence) / 2))
    return max(2, math.ceil((z * spread / half_width) ** 2))


def pairs_to_exclude(share: float, confidence: float = 0.95) -> int:
    """Return after how many equal pairs a share of ``share`` or more differing ones is ruled out.

    Source: the exact form of the rule of three (Hanley and Lippman-Hand 1983).

    Args:
        share: Share of pairs that may differ unseen, in (0, 1).
        confidence: Level of the statement.
    """
    return math.ceil(math.log(1 - confidence) / math.log(1 - share))


def design_effect(clusters: Clusters, values: Floats) -> Floats:
    """Return by how much clusters widen the variance of the mean, at least 1, by column.

    Source: Kish, "Survey Sampling" (1965); the variance of the mean is the cluster-robust one.

    Args:
        clusters: ``values`` summed by cluster.
        values: Shape (rows, columns), at least two rows.
    """
    import numpy as np

    groups, rows = len(clusters.sizes), len(values)
    if groups in (1, rows):
        return np.ones(values.shape[1])
    mean = values.mean(axis=0)
    gaps = clusters.sums - clusters.sizes * mean
    robust = groups / (groups - 1) * (gaps**2).sum(axis=0) / rows**2
    plain = values.var(axis=0, ddof=1) / rows
    ratio = np.divide(robust, plain, out=np.ones_like(plain), where=plain > 0)
    found: Floats = np.maximum(1.0, ratio)
    return found
