"""Speed from times that were measured in pairs, beside a control, on a machine that drifts."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ttc_bench.statistics.clusters import Floats


class Ratio(NamedTuple):
    """A ratio with its interval.

    Attributes:
        ratio: The ratio, NaN without a pair.
        low: Lower end; NaN where there are too few pairs for any (6 at 95%).
        high: Upper end.
        n_pairs: Pairs of which both sides are known.
    """

    ratio: float
    low: float
    high: float
    n_pairs: int

    def inverse(self) -> Ratio:
        """Return the ratio of the second side to the first: of a speed, that of the seconds."""
        return Ratio(1 / self.ratio, 1 / self.high, 1 / self.low, self.n_pairs)


def speed(own_s: Floats, control_s: Floats, confidence: float = 0.95) -> Ratio:
    """Return how many times as fast a variant is as the control that ran beside each job.

    Which of the two comes first is to be drawn at random for each job. Then the log ratios of two
    equally fast decoders are symmetric about 0 and independent in sign, however the machine
    drifts, which is all that Wilcoxon's interval asks for.

    Args:
        own_s: Seconds of the variant, of shape (jobs,); NaN is missing.
        control_s: Seconds of its own control on the same jobs.
        confidence: Level of the interval.
    """
    return paired_ratio(control_s, own_s, confidence)


def relative_speed(
    first: tuple[Floats, Floats], second: tuple[Floats, Floats], confidence: float = 0.95
) -> Ratio:
    """Return how many times as fast one variant is as another: the ratio of their ratios.

    Args:
        first: Seconds of the variant and of its own control, by job; NaN is missing.
        second: The same of the other variant, on the same jobs.
        confidence: Level of the interval.
    """
    return paired_ratio(first[1] / first[0], second[1] / second[0], confidence)


def paired_ratio(above: Floats, below: Floats, confidence: float = 0.95) -> Ratio:
    """Return the typical ratio of positive pairs with its interval.

    It is exp of the Hodges-Lehmann estimate of the log ratios, the median of the means of all
    pairs of them, between those of these means that Wilcoxon's signed-rank test at the level does
    not reject. The test's distribution is exact.

    Source: Hollander and Wolfe, "Nonparametric statistical methods" (1999), 3.2 and 3.3.

    Args:
        above: Positive values, of shape (pairs,); NaN is missing.
        below: The same, pair by pair.
        confidence: Level of the interval.

    Raises:
        ValueError: If a value is not positive.
    """
    import numpy as np

    if (above <= 0).any() or (below <= 0).any():
        raise ValueError("a ratio of values that are not positive is not defined")
    logs = np.log(above) - np.log(below)
    logs = logs[~np.isnan(logs)]
    n = len(logs)
    if not n:
        return Ratio(np.nan, np.nan, np.nan, 0)
    cut = _outside(n, (1 - confidence) / 2)
    means, last = _means_of_pairs(logs), n * (n + 1) // 2 - 1
    # Sorted at these places alone: of a thousand pairs there are half a million means.
    middle, ends = [last // 2, (last + 1) // 2], [cut - 1, last + 1 - cut] if cut else []
    means.partition([*middle, *ends])
    low, high = means[ends] if cut else (np.nan, np.nan)
    ratio, low, high = (float(np.exp(log)) for log in (means[middle].mean(), low, high))
    return Ratio(ratio, low, high, n)


def _means_of_pairs(values: Floats) -> Floats:
    """Return the means of all pairs of values, each value with itself, too."""
    import numpy as np

    return np.concatenate([values[place:] + value for place, value in enumerate(values)]) / 2


@lru_cache(maxsize=1024)
def _outside(n: int, tail: float) -> int:
    """Return how many of the ordered means are outside at each end, plus one; 0 for no interval.

    Args:
        n: Number of log ratios.
        tail: Largest chance of the sum of signed ranks to lie below.
    """
    import numpy as np

    chances = np.ones(1)
    for rank in range(1, n + 1):
        grown = np.zeros(len(chances) + rank)
        grown[: len(chances)] += chances / 2
        grown[rank:] += chances / 2
        chances = grown
    return int(np.searchsorted(np.cumsum(chances), tail, side="right"))
