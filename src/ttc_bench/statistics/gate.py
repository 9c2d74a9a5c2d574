"""Whether a limit is shown to be kept, shown to be broken, or neither yet.

Functions of numbers alone. A limit is kept where the whole interval of the figure keeps it, and
broken where the whole interval breaks it, so that a sample too small to tell says so. A value that
is NaN is missing; where all are, nothing is told (`UNKNOWN`), and a limit that is NaN is a
`ValueError`. All limits
have to be kept for a release, and each is tested at its own level: that all of them are kept is
then wrongly said no more often than one of them would be (an intersection-union test: Berger,
"Multiparameter hypothesis testing and acceptance sampling", Technometrics 24, 1982).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from ttc_bench.statistics.clusters import Floats, Integers
from ttc_bench.statistics.decision import design_of, interval_alone, tango
from ttc_bench.statistics.distributions import binomial_at_least, binomial_at_most
from ttc_bench.statistics.intervals import mean_intervals
from ttc_bench.statistics.quantiles import quantile_interval
from ttc_bench.statistics.speed import Ratio

Word = Literal["GO", "INCONCLUSIVE", "NO-GO"]
"""From the best to the worst."""

MOST = 10**6
"""Samples beyond which no number is told: the figure lies on its limit."""


@dataclass(frozen=True)
class Ruling:
    """What a sample says of one limit.

    Attributes:
        word: The verdict.
        figure: The figure seen.
        low: Lower end of its interval; NaN where the sample does not bound it.
        high: Upper end, likewise.
        n: Responses, or pairs of them, that it is of.
        needed: How many would decide at the figure seen; ``None`` where it is decided, or where
            `MOST` would not do.
        by_construction: Whether the figure is what it is without a sample, so that no interval
            says more.
    """

    word: Word
    figure: float
    low: float
    high: float
    n: int
    needed: int | None = None
    by_construction: bool = False


UNKNOWN = Ruling("INCONCLUSIVE", math.nan, math.nan, math.nan, 0)
"""Of a figure that no response has, or of a bill with a gap."""


def overall(words: Iterable[Word]) -> Word:
    """Return the verdict over all limits: one that is broken ends it, one that is open holds it."""
    given, order = set(words), get_args(Word)
    return max(given, key=order.index, default="INCONCLUSIVE")


def loss_at_most(
    own: Floats, base: Floats, limit: float, confidence: float, clusters: Integers | None = None
) -> Ruling:
    """Rule on how much worse rewards are than the baseline's: a test of non-inferiority.

    Args:
        own: Rewards of the variant in [0, 1], of shape (jobs,); NaN is missing.
        base: Those of the baseline on the same jobs.
        limit: Most that the mean may be below the baseline's.
        confidence: Level of the interval, see `ttc_bench.statistics.decision.interval_alone`.
        clusters: The cluster of each job; ``None`` makes each its own.
    """
    import numpy as np

    losses, clusters = _known(base - own, clusters)
    if not len(losses):
        return UNKNOWN
    ruling = _ruled(losses, interval_alone(losses, confidence, clusters), limit)
    if ruling.word != "INCONCLUSIVE" or not np.isin(losses, (-1.0, 0.0, 1.0)).all():
        return ruling
    # Where hardly any pair differs, an interval narrows faster than the root of the sample grows.
    design, more = design_of(losses, clusters), float((losses > 0).mean())
    fewer = float((losses < 0).mean())

    def decides(n: int) -> bool:
        size = n / design
        return _word(*tango(more * size, fewer * size, size, confidence), limit) != "INCONCLUSIVE"

    return replace(ruling, needed=_least(decides, len(losses) + 1))


def mean_at_most(
    values: Floats,
    limit: float,
    confidence: float,
    clusters: Integers | None = None,
    top: float = math.inf,
) -> Ruling:
    """Rule on a mean of values in [0, ``top``], such as a cost or a share."""
    values, clusters = _known(values, clusters)
    if not len(values):
        return UNKNOWN
    ends = mean_intervals(values[:, None], clusters, confidence, (0.0, top))
    return _ruled(values, (float(ends.low[0]), float(ends.high[0])), limit)


def share_at_most(
    hits: Floats, limit: float, confidence: float, clusters: Integers | None = None
) -> Ruling:
    """Rule on a share of hits, each 0 or 1."""
    ruling = mean_at_most(hits, limit, confidence, clusters, top=1.0)
    if ruling.word != "INCONCLUSIVE" or not ruling.n or not 0 < limit < 1:
        return ruling
    needed = values_needed(1 - ruling.figure, 1 - limit, confidence, ruling.n + 1)
    return replace(ruling, needed=needed)


def quantile_at_most(
    values: Floats, share: float, limit: float, confidence: float, clusters: Integers | None = None
) -> Ruling:
    """Rule on a quantile by its interval of ranks; ``needed`` counts independent values."""
    import numpy as np

    values, clusters = _known(values, clusters)
    if not len(values):
        return UNKNOWN
    low, high = quantile_interval(values, share, clusters, confidence)
    ruling = Ruling(_word(low, high, limit), float(np.quantile(values, share)), low, high,
                    len(values))  # fmt: skip
    if ruling.word != "INCONCLUSIVE":
        return ruling
    within = float((values <= limit).mean())
    return replace(ruling, needed=values_needed(within, share, confidence, len(values) + 1))


def ratio_at_most(ratio: Ratio, limit: float) -> Ruling:
    """Rule on the typical ratio of pairs, e.g. of times; ``limit`` is positive."""
    ruling = Ruling(_word(ratio.low, ratio.high, limit), *ratio)
    if ruling.word != "INCONCLUSIVE" or math.isnan(ratio.low):
        return ruling
    # The logs are what the interval is of: theirs narrows as the root of the sample grows.
    middle, gap = math.log(ratio.ratio), abs(math.log(ratio.ratio / limit))
    half = max(math.log(ratio.high) - middle, middle - math.log(ratio.low))
    return replace(ruling, needed=_needed(ratio.n_pairs, half, gap))


def ratio_at_least(ratio: Ratio, limit: float) -> Ruling:
    """Rule on such a ratio that has to be large, e.g. a speed."""
    ruling = ratio_at_most(ratio.inverse(), 1 / limit)
    return replace(ruling, figure=ratio.ratio, low=ratio.low, high=ratio.high)


def values_needed(within: float, share: float, confidence: float, least: int = 1) -> int | None:
    """Return how many independent values show on which side of a limit a quantile lies.

    Args:
        within: Share of the values that keep the limit, in [0, 1].
        share: The quantile, in (0, 1): it keeps the limit if at least so many values do.
        confidence: Level of the two-sided interval.
        least: The least number to say.
    """
    tail = (1 - confidence) / 2

    def decides(n: int) -> bool:
        inside = round(within * n)
        if within > share:
            return binomial_at_least(inside, n, share) <= tail
        return binomial_at_most(inside, n, share) <= tail

    return _least(decides, least)


def _least(decides: Callable[[int], bool], least: int) -> int | None:
    """Return the first number from ``least`` on that decides; ``None`` beyond `MOST`."""
    low, high = least - 1, least
    while not decides(high):
        low, high = high, 2 * high
        if low > MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high


def _known(values: Floats, clusters: Integers | None) -> tuple[Floats, Integers | None]:
    """Return the values that are not missing, and their clusters."""
    import numpy as np

    known = ~np.isnan(values)
    return values[known], None if clusters is None else clusters[known]


def _word(low: float, high: float, limit: float) -> Word:
    if math.isnan(limit):
        raise ValueError("a limit that is no number limits nothing")
    if high <= limit:
        return "GO"
    return "NO-GO" if low > limit else "INCONCLUSIVE"


def _ruled(values: Floats, ends: tuple[float, float], limit: float) -> Ruling:
    """Rule on a mean by the ends of its interval, which narrows as the root of the sample grows."""
    (low, high), figure, n = ends, float(values.mean()), len(values)
    ruling = Ruling(_word(low, high, limit), figure, low, high, n)
    if ruling.word != "INCONCLUSIVE":
        return ruling
    gap, half = abs(figure - limit), max(high - figure, figure - low)
    return replace(ruling, needed=_needed(n, half, gap))


def _needed(n: int, half: float, gap: float) -> int | None:
    """Return how many samples narrow an interval of ``n`` from its half to the gap to a limit."""
    if not gap or not math.isfinite(half):
        return None
    needed = max(math.ceil(n * (half / gap) ** 2), n + 1)
    return needed if needed <= MOST else None
