"""The outline of a violin."""

from __future__ import annotations

from typing import Any

from ttc_bench.reporting.drawing.figure import Axis

MOST_DOTS = 300
"""Values that are shown one by one; of more only the outline is."""


def density(values: Any, axis: Axis) -> tuple[Any, Any]:
    """Return a grid and the density there by a Gaussian kernel (Silverman 1986), its peak at 1.

    Args:
        values: Of shape (n,), not all the same.
        axis: The axis that they lie along; on a logarithmic one the kernel is, too.
    """
    import numpy as np

    data = np.log10(values) if axis.scale == "decades" else values
    width = max(1.06 * data.std() * len(data) ** -0.2, 0.02)
    if axis.limits:
        # Right and wrong answers are two heaps, not a slope between them.
        width = min(width, 0.06 * (axis.limits[1] - axis.limits[0]))
    low, high = data.min() - 2 * width, data.max() + 2 * width
    if axis.limits:
        low, high = max(low, axis.limits[0]), min(high, axis.limits[1])
    grid = np.linspace(low, high, 160)
    unique, count = np.unique(data, return_counts=True)
    heights = (count * np.exp(-0.5 * ((grid[:, None] - unique) / width) ** 2)).sum(axis=1)
    return (10**grid if axis.scale == "decades" else grid), heights / heights.max()
