"""Intervals of quantiles that assume nothing about how values are spread."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from ttc_bench.statistics.clusters import Floats, Integers
from ttc_bench.statistics.distributions import binomial_quantile
from ttc_bench.statistics.intervals import means_of
from ttc_bench.statistics.power import design_effect


class QuantileInterval(NamedTuple):
    """Ends of the interval of a quantile; NaN where there are too few values to bound it."""

    low: float
    high: float


def quantile_interval(
    values: Floats,
    share: float,
    clusters: Integers | None = None,
    confidence: float = 0.95,
) -> QuantileInterval:
    """Return the interval of a quantile between two of the values in order.

    The number of values below the true quantile is binomial, whatever their distribution, so two
    ranks bound it with at least the confidence asked for. Clusters widen the binomial by their
    design effect, as in Woodruff, "Confidence intervals for medians and other position measures"
    (1952). Without clusters it is the interval of `scipy.stats.quantile_test`.

    Args:
        values: Shape (rows,); NaN is missing.
        share: Which quantile, in (0, 1).
        clusters: The cluster of each row; ``None`` makes each row its own.
        confidence: Level of the interval.
    """
    import numpy as np

    known = ~np.isnan(values)
    ordered = np.sort(values[known])
    n = len(ordered)
    if not n:
        return QuantileInterval(np.nan, np.nan)
    widened = 1.0
    if clusters is not None and n > 1:
        below = (values[known] <= np.quantile(ordered, share)).astype(float)[:, None]
        widened = float(design_effect(means_of(below, clusters[known]), means_of(below))[0])
    size = max(1, int(n / widened))
    low, high = _ranks(size, share, confidence)
    # Ranks among the values that the clusters are worth, as ranks among all.
    first, last = low * n // size, math.ceil(high * n / size)
    return QuantileInterval(
        float(ordered[first - 1]) if low >= 1 and first >= 1 else np.nan,
        float(ordered[last - 1]) if high <= size and last <= n else np.nan,
    )


@lru_cache(maxsize=4096)
def _ranks(n: int, share: float, confidence: float) -> tuple[int, int]:
    """Return the ranks, from 1, of the values that bound a quantile; 0 and n + 1 are outside."""
    tail = (1 - confidence) / 2
    return binomial_quantile(tail, n, share), binomial_quantile(1 - tail, n, share) + 1
