"""Bootstrap intervals of means; over paired differences they are paired intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Interval(NamedTuple):
    """A mean with its interval; the ends are ``None`` where one value cannot tell them."""

    mean: float
    low: float | None
    high: float | None


def mean_interval(
    values: Sequence[float], confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Return the mean with its bias-corrected and accelerated bootstrap interval.

    Source: Efron, "Better bootstrap confidence intervals" (1987), as in `scipy.stats.bootstrap`.

    Args:
        values: At least one value.
        confidence: Level of the interval.
        resamples: Bootstrap resamples.
        seed: Seed of the resampling.

    Raises:
        ValueError: If there is no value.
    """
    import numpy as np
    from scipy.stats import bootstrap

    if not values:
        raise ValueError("the mean of no values is not defined")
    data = np.asarray(values, dtype=float)
    mean = float(data.mean())
    if len(data) == 1:
        return Interval(mean, None, None)
    if np.ptp(data) == 0:
        return Interval(mean, mean, mean)
    # Where nearly all values are equal the acceleration of BCa is 0/0.
    for method in ("BCa", "percentile"):
        low, high = bootstrap(
            (data,),
            np.mean,
            confidence_level=confidence,
            n_resamples=resamples,
            method=method,
            rng=np.random.default_rng(seed),
        ).confidence_interval
        if np.isfinite(low) and np.isfinite(high):
            break
    return Interval(mean, float(low), float(high))
