"""Rows that may resemble each other, and their sums."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
else:
    Floats = Integers = Any


class Clusters(NamedTuple):
    """Values summed by cluster, each of shape (clusters, columns).

    Attributes:
        sums: Sum of each cluster.
        sizes: Values in each cluster; 0 where a column has none of it.
    """

    sums: Floats
    sizes: Floats


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
        values: Shape (rows, columns); NaN is missing.
        clusters: The cluster of each row, as any integers; ``None`` makes each row its own.
    """
    import numpy as np

    present = ~np.isnan(values)
    filled = np.where(present, values, 0.0)
    if clusters is None or not len(values):
        return Clusters(filled, present.astype(float))
    codes, index = np.unique(clusters, return_inverse=True)
    order = np.argsort(index, kind="stable")
    starts = np.searchsorted(index[order], np.arange(len(codes)))
    sums, sizes = (np.add.reduceat(part[order], starts, axis=0) for part in (filled, present * 1.0))
    return Clusters(sums, sizes)
