"""Statistics where SQL is the wrong tool."""

from ttc_bench.statistics.bootstrap import cluster_codes, clusters_of, mean_intervals
from ttc_bench.statistics.comparison import (
    Comparison,
    Settings,
    adjust,
    compare,
    judge,
    pairs_needed,
)
from ttc_bench.statistics.intervals import Interval, mean_interval
from ttc_bench.statistics.quantiles import quantile_interval

__all__ = [
    "Comparison",
    "Interval",
    "Settings",
    "adjust",
    "cluster_codes",
    "clusters_of",
    "compare",
    "judge",
    "mean_interval",
    "mean_intervals",
    "pairs_needed",
    "quantile_interval",
]
