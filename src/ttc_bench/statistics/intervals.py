"""Bootstrap interval of one mean; over paired differences it is a paired interval."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from ttc_bench.statistics.bootstrap import cluster_codes, mean_intervals


class Interval(NamedTuple):
    """A mean with its interval; the ends are ``None`` where one value cannot tell them."""

    mean: float
    low: float | None
    high: float | None


def mean_interval(
    values: Sequence[float],
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    clusters: Sequence[Hashable] | None = None,
) -> Interval:
    """Return the mean with its bias-corrected and accelerated bootstrap interval.

    Source: Efron, "Better bootstrap confidence intervals" (1987), as in `scipy.stats.bootstrap`;
    for many columns at once see `ttc_bench.statistics.bootstrap.mean_intervals`.

    Args:
        values: At least one value.
        confidence: Level of the interval.
        resamples: Bootstrap resamples.
        seed: Seed of the resampling.
        clusters: The cluster of each value; whole clusters are resampled. ``None`` makes each
            value its own.

    Raises:
        ValueError: If there is no value.
    """
    import numpy as np

    if not values:
        raise ValueError("the mean of no values is not defined")
    codes = None if clusters is None else cluster_codes(clusters)
    data = np.asarray(values, dtype=float)[:, None]
    mean, low, high = (
        float(end[0]) for end in mean_intervals(data, codes, confidence, resamples, seed)
    )
    return Interval(mean, None, None) if np.isnan(low) else Interval(mean, low, high)
