"""Pictures of a run, each as a still and as an interactive one; one file per picture."""

from __future__ import annotations

from ttc_bench.reporting.plots import (
    latency_violins,
    quality_violins,
    quality_vs_cost,
    scaling_plot,
    task_heatmap,
)
from ttc_bench.reporting.plots.base import Picture

PICTURES: tuple[Picture, ...] = (
    quality_vs_cost.PICTURE,
    quality_violins.PICTURE,
    latency_violins.PICTURE,
    scaling_plot.PICTURE,
    task_heatmap.PICTURE,
)
"""All pictures, in the order in which a report shows them."""

__all__ = ["PICTURES", "Picture"]
