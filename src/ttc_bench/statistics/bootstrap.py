"""Bootstrap intervals of the means of many columns at once, resampling whole clusters."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
else:
    Floats = Integers = Any

_BLOCK = 4_000_000
"""Most cells of a matrix of resamples held at once (32 MB)."""

_TIE = 1e-12
"""Resampled means this close to the mean, relative to the largest value, count as equal to it."""


class Clusters(NamedTuple):
    """Values summed by cluster.

    Attributes:
        sums: Sum of each cluster, of shape (clusters, columns).
        sizes: Values in each cluster, of shape (clusters, 1) or (clusters, columns).
    """

    sums: Floats
    sizes: Floats


class Intervals(NamedTuple):
    """A mean per column with its interval, each of shape (columns,); NaN is undefined."""

    mean: Floats
    low: Floats
    high: Floats


def cluster_codes(names: Sequence[Hashable]) -> Integers:
    """Return one integer per name, equal where the names are."""
    import numpy as np

    codes: dict[Hashable, int] = {}
    return np.array([codes.setdefault(name, len(codes)) for name in names], dtype=np.int64)


def clusters_of(
    tasks: Sequence[Hashable], least: int
) -> tuple[Literal["task", "job"], Integers | None]:
    """Return what a cluster is, and the cluster of each job.

    Source: with few clusters, cluster methods are too sure of themselves; "few" starts between
    20 and 50 (Cameron and Miller, "A practitioner's guide to cluster-robust inference", 2015).

    Args:
        tasks: Task type of each job.
        least: Fewest task types that can be clusters.

    Returns:
        ``task`` and integers; or ``job`` and ``None`` where there are fewer task types, and each
        job is its own cluster.
    """
    return ("job", None) if len(set(tasks)) < least else ("task", cluster_codes(tasks))


def by_cluster(values: Floats, clusters: Integers | None = None) -> Clusters:
    """Sum the rows of each cluster.

    Args:
        values: Shape (rows, columns), no NaN.
        clusters: The cluster of each row, as any integers; ``None`` makes each row its own.
    """
    import numpy as np

    if clusters is None:
        return Clusters(values, np.ones((len(values), 1)))
    found, index = np.unique(clusters, return_inverse=True)
    if len(found) == len(values):
        return Clusters(values, np.ones((len(values), 1)))
    order = np.argsort(index, kind="stable")
    sizes = np.bincount(index)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    return Clusters(np.add.reduceat(values[order], starts, axis=0), sizes[:, None].astype(float))


def without_gaps(
    values: Floats, clusters: Integers | None = None
) -> Iterator[tuple[Floats, Integers | None, list[int]]]:
    """Yield blocks of columns that lack nothing, the cluster of each row, and which they are.

    Columns of one block have the same rows; where each row is its own cluster, as many rows.

    Args:
        values: Shape (rows, columns); NaN is missing.
        clusters: The cluster of each row.
    """
    import numpy as np

    known = ~np.isnan(values)
    patterns: dict[object, list[int]] = {}
    for column in range(values.shape[1]):
        own = known[:, column]
        patterns.setdefault(own.sum() if clusters is None else own.tobytes(), []).append(column)
    for columns in patterns.values():
        rows = known[:, columns]
        block = values[:, columns].T[rows.T].reshape(len(columns), -1).T
        yield block, None if clusters is None else clusters[rows[:, 0]], columns


def mean_intervals(
    values: Floats,
    clusters: Integers | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Intervals:
    """Return the mean of each column with its BCa bootstrap interval.

    Whole clusters are drawn with replacement; bias and acceleration come from leaving out one
    cluster at a time. Without clusters and for one column this is `scipy.stats.bootstrap`, to
    the draw. Columns with as many clusters share the resamples, so 2,000 resamples of 1,000 rows
    cost one matrix product, however many columns there are.

    Source: Efron, "Better bootstrap confidence intervals" (1987); clusters as in Field and
    Welsh, "Bootstrapping clustered data" (2007).

    Args:
        values: Shape (rows, columns); NaN is missing.
        clusters: The cluster of each row; ``None`` makes each row its own.
        confidence: Level of the intervals.
        resamples: Bootstrap resamples.
        seed: Seed of the resampling.

    Returns:
        The intervals. A column without values has only NaN, the ends are NaN where there is one
        cluster, and both equal the mean where all clusters have the same.
    """
    import numpy as np

    found = Intervals(*(np.full(values.shape[1], np.nan) for _ in Intervals._fields))
    alike: dict[int, list[tuple[list[int], Clusters]]] = {}
    for block, own, columns in without_gaps(np.asarray(values, dtype=float), clusters):
        data = by_cluster(block, own)
        alike.setdefault(len(data.sizes), []).append((columns, data))
    for count, parts in alike.items():
        if count:
            columns = [column for own_columns, _ in parts for column in own_columns]
            part = _intervals(
                _side_by_side([data for _, data in parts]), confidence, resamples, seed
            )
            for end, own_end in zip(found, part, strict=True):
                end[columns] = own_end
    return found


def _side_by_side(parts: Sequence[Clusters]) -> Clusters:
    """Return clusters that are as many as one table; only their sizes may differ by column."""
    import numpy as np

    if len(parts) == 1:
        return parts[0]
    sizes = [np.broadcast_to(part.sizes, part.sums.shape) for part in parts]
    return Clusters(np.hstack([part.sums for part in parts]), np.hstack(sizes))


def _intervals(data: Clusters, confidence: float, resamples: int, seed: int) -> Intervals:
    import numpy as np

    mean = data.sums.sum(axis=0) / data.sizes.sum(axis=0)
    if len(data.sizes) == 1:
        nothing = np.full(mean.shape, np.nan)
        return Intervals(mean, nothing, nothing)
    low, high = _bca(data, mean, confidence, resamples, seed)
    same = np.ptp(data.sums / data.sizes, axis=0) == 0
    return Intervals(mean, np.where(same, mean, low), np.where(same, mean, high))


def _bca(
    data: Clusters, mean: Floats, confidence: float, resamples: int, seed: int
) -> tuple[Floats, Floats]:
    import numpy as np
    from scipy.special import ndtr, ndtri

    draws = _draws(len(data.sizes), resamples, seed)
    drawn = np.concatenate([counts @ data.sums / (counts @ data.sizes) for counts in draws])
    tie = _TIE * np.abs(data.sums / data.sizes).max(axis=0)
    below = (drawn < mean - tie).mean(axis=0)
    not_above = (drawn <= mean + tie).mean(axis=0)
    bias = ndtri((below + not_above) / 2)
    acceleration = _acceleration(data)
    drawn.sort(axis=0)
    ends = []
    for share in ((1 - confidence) / 2, (1 + confidence) / 2):
        z = bias + ndtri(share)
        with np.errstate(all="ignore"):
            level = ndtr(bias + z / (1 - acceleration * z))
        # Where nearly all values are equal the acceleration is 0/0: the percentile is left.
        ends.append(_quantiles(drawn, np.where(np.isfinite(level), level, share)))
    return ends[0], ends[1]


def _draws(clusters: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Yield how often each cluster was drawn, as blocks of shape (some resamples, clusters)."""
    import numpy as np

    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // clusters)
    for start in range(0, resamples, rows):
        block = min(rows, resamples - start)
        drawn = rng.integers(0, clusters, (block, clusters))
        drawn += clusters * np.arange(block)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=block * clusters)
        yield counts.reshape(block, clusters).astype(float)


def _acceleration(data: Clusters) -> Floats:
    import numpy as np

    without = (data.sums.sum(axis=0) - data.sums) / (data.sizes.sum(axis=0) - data.sizes)
    gaps = without.mean(axis=0) - without
    with np.errstate(all="ignore"):
        found: Floats = (gaps**3).sum(axis=0) / (6 * (gaps**2).sum(axis=0) ** 1.5)
    return found


def _quantiles(ordered: Floats, levels: Floats) -> Floats:
    """Return one quantile per column of sorted columns, between neighbours in proportion."""
    import numpy as np

    place = np.clip(levels, 0.0, 1.0) * (len(ordered) - 1)
    lower = np.floor(place).astype(int)
    upper = np.minimum(lower + 1, len(ordered) - 1)
    columns = np.arange(ordered.shape[1])
    below, above = ordered[lower, columns], ordered[upper, columns]
    found: Floats = below + (place - lower) * (above - below)
    return found
