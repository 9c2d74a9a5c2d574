"""Quantiles and tails of the distributions that intervals rest on, by `scipy.special`.

`scipy.stats` tells the same behind checks that take longer than the figures, and takes most of a
second to import, which every process of a run would pay.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import partial
from typing import Any


def t_tail(point: Any, df: Any) -> Any:
    """Return the chance that a t statistic of some degrees of freedom lies above a point."""
    from scipy.special import stdtr

    return stdtr(df, -point)


def t_edge(tail: Any, df: Any) -> Any:
    """Return the point above which a t statistic lies with a chance of ``tail``."""
    from scipy.special import stdtrit

    return -stdtrit(df, tail)


def noncentral_t_below(point: float, df: float, shift: float) -> float:
    """Return the chance that a t statistic lies below a point where its mean is not 0.

    NaN where it is too far from it to be computed.
    """
    from scipy.special import nctdtr

    return float(nctdtr(df, shift, point))


def normal_tail(point: float) -> float:
    """Return the chance that a standard normal value lies above a point."""
    from scipy.special import ndtr

    return float(ndtr(-point))


def normal_edge(tail: float) -> float:
    """Return the point above which a standard normal value lies with a chance of ``tail``."""
    from scipy.special import ndtri

    return float(-ndtri(tail))


def binomial_chance(hits: Any, trials: Any, share: float) -> Any:
    """Return the chance of so many hits, of any shape; 0 where there cannot be so many."""
    import numpy as np
    from scipy.special import gammaln, xlog1py, xlogy

    misses = trials - hits
    with np.errstate(all="ignore"):
        ways = gammaln(trials + 1) - gammaln(hits + 1) - gammaln(misses + 1)
        chance = np.exp(ways + xlogy(hits, share) + xlog1py(misses, -share))
    return np.where((hits >= 0) & (misses >= 0), chance, 0.0)


def binomial_at_most(hits: int, trials: int, share: float) -> float:
    """Return the chance of so many hits or fewer."""
    from scipy.special import betaincc

    if hits < 0 or hits >= trials:
        return float(hits >= 0)
    return float(betaincc(hits + 1, trials - hits, share))


def binomial_at_least(hits: int, trials: int, share: float) -> float:
    """Return the chance of so many hits or more."""
    from scipy.special import betainc

    if hits <= 0 or hits > trials:
        return float(hits <= 0)
    return float(betainc(hits, trials - hits + 1, share))


def binomial_quantile(chance: float, trials: int, share: float) -> int:
    """Return the fewest hits of which there are so many or fewer with at least some chance."""
    below = partial(binomial_at_most, trials=trials, share=share)
    return bisect_left(range(trials), chance, key=below)
