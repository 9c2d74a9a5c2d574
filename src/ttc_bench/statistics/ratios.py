"""The ratio of what two sides pay in all on the same jobs, with its interval."""

from __future__ import annotations

import math

from ttc_bench.statistics.clusters import Floats, Integers
from ttc_bench.statistics.intervals import Contrasts
from ttc_bench.statistics.speed import Ratio

_STEPS = 64
"""Ratios that are tried at once; each of `_ROUNDS` narrows the place of an end by this factor."""

_ROUNDS = 4

_SAME = 1e-9
"""Relative distance of an end from the ratio at which they are one."""


def ratio_of_totals(
    own: Floats, base: Floats, clusters: Integers | None = None, confidence: float = 0.95
) -> Ratio:
    """Return what one side pays for every unit that the other pays on the same jobs.

    Args:
        own: Costs of the first side, of shape (jobs,).
        base: Costs of the second side.
        clusters: The cluster of each job; ``None`` makes each its own.
        confidence: Level of the interval.

    Returns:
        The ratio, see `ratios_of_totals`.
    """
    return ratios_of_totals(own[:, None], base[:, None], clusters, confidence)[0]


def ratios_of_totals(
    own: Floats, base: Floats, clusters: Integers | None = None, confidence: float = 0.95
) -> list[Ratio]:
    """Return what sides pay for every unit that others pay on the same jobs.

    The ratio of the sums, which is what a bill is made of. Its interval holds the ratios at which
    the mean of ``own - ratio * base`` may be 0, by the intervals of means: where costs are skewed
    and both sides pay the same, that difference is not skewed, so that luck alone calls none of
    them cheaper more often than the level says. The interval of the ratio's linear form (Cochran,
    "Sampling Techniques", 1977, 6.3) did so in up to 39 of 100 suites of 22 variants.

    Source: Fieller, "Some problems in interval estimation", Journal of the Royal Statistical
    Society B 16 (1954).

    Args:
        own: Costs of the first sides, of shape (jobs, pairs); jobs count where both sides are told.
        base: Costs of the second sides; NaN is missing.
        clusters: The cluster of each job; ``None`` makes each its own.
        confidence: Level of each interval.

    Returns:
        A ratio per pair; without an interval where there are too few jobs, or costs so skewed that
        what the second side pays may be nothing; infinite where it does pay nothing and the first
        side something; none where neither pays, or a cost is infinite.
    """
    import numpy as np

    told = ~np.isnan(own + base)
    own, base = (np.where(told, side, np.nan) for side in (own, base))
    paid, owed = (np.where(told, side, 0.0).sum(axis=0) for side in (own, base))
    counts = told.sum(axis=0)
    figures = np.full((3, len(counts)), np.nan)
    is_ratio = (counts > 0) & np.isfinite(paid + owed) & (owed > 0)
    is_endless = (counts > 0) & np.isfinite(paid + owed) & ~(owed > 0) & (paid > 0)
    for which, ends_of in ((is_ratio, _to_something), (is_endless, _to_nothing)):
        if which.any():
            contrasts = Contrasts(own[:, which], base[:, which], clusters)
            figures[:, which] = ends_of(contrasts, paid[which], owed[which], confidence)
    counts = np.where(is_ratio | is_endless, counts, 0)
    rows = zip(figures.T.tolist(), counts.tolist(), strict=True)
    return [Ratio(ratio, low, high, count) for (ratio, low, high), count in rows]


def _to_something(
    contrasts: Contrasts, paid: Floats, owed: Floats, confidence: float
) -> tuple[Floats, Floats, Floats]:
    import numpy as np

    ratio = paid / owed
    # The tangent is no exact inverse: sides that pay the same on every job have the ratio itself.
    low, high = (
        np.where(np.isclose(end, ratio, rtol=_SAME, atol=0.0), ratio, end)
        for end in _ends(contrasts, ratio, confidence)
    )
    return ratio, low, high


def _to_nothing(
    contrasts: Contrasts, paid: Floats, _: Floats, confidence: float
) -> tuple[Floats, Floats, Floats]:
    """Return ratios to sides that pay nothing: infinite, as their first sides pay at all.

    Every other ratio is excluded where the interval of the first side's mean excludes 0.
    """
    import numpy as np

    means = contrasts.of(np.zeros((1, len(paid)))).intervals(confidence)
    ends = np.where(means.low[0] > 0, np.inf, np.nan)
    return np.full(len(paid), np.inf), ends, ends


def _ends(contrasts: Contrasts, ratio: Floats, confidence: float) -> tuple[Floats, Floats]:
    """Return where the ratios that are excluded begin, on either side of those that are seen.

    Ratios are angles, so that none at all and infinitely many are as near as any other.

    Args:
        contrasts: The means of ``own - ratio * base``.
        ratio: The ratios of the totals, at which these means are 0, of shape (pairs,).
        confidence: Level of the interval.

    Returns:
        Both ends, the lower one 0 where no ratio is too small; NaN where there are none.
    """
    import numpy as np

    scale, seen = np.where(ratio == 0, 1.0, ratio), np.where(ratio == 0, 0.0, math.pi / 4)
    inner, outer = np.array([seen, seen]), np.array([0 * seen, 0 * seen + math.pi / 2])
    has_none = np.zeros(len(ratio), dtype=bool)
    for _ in range(_ROUNDS):
        angles = np.linspace(inner, outer, _STEPS + 1)
        tried = (scale * np.tan(angles)).reshape(-1, len(ratio))
        ends = contrasts.of(tried).intervals(confidence)
        excluded = ((ends.low > 0) | (ends.high < 0)).reshape(angles.shape)
        has_none |= np.isnan(ends.low).any(axis=0) | ~excluded[:, 1].any(axis=0)
        # Where no ratio is too small, both sides of its search come to lie at 0.
        first = np.where(excluded.any(axis=0), excluded.argmax(axis=0), _STEPS)
        inner, outer = (
            np.take_along_axis(angles, np.maximum(first - back, 0)[None], axis=0)[0]
            for back in (1, 0)
        )
    low, high = np.where(has_none, np.nan, scale * np.tan(inner))
    return np.where(has_none | excluded[:, 0].any(axis=0), low, 0.0), high
