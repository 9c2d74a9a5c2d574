"""Statistics where SQL is the wrong tool."""

from ttc_bench.statistics.clusters import cluster_codes, clusters_of
from ttc_bench.statistics.comparison import Comparison, Settings, compare, judge, pairs_needed
from ttc_bench.statistics.intervals import (
    Interval,
    level_of_each,
    mean_interval,
    mean_intervals,
    mean_of_independent,
)
from ttc_bench.statistics.power import least_gain
from ttc_bench.statistics.quantiles import quantile_interval
from ttc_bench.statistics.speed import Ratio, relative_speed, speed

__all__ = [
    "Comparison",
    "Interval",
    "Ratio",
    "Settings",
    "cluster_codes",
    "clusters_of",
    "compare",
    "judge",
    "least_gain",
    "level_of_each",
    "mean_interval",
    "mean_intervals",
    "mean_of_independent",
    "pairs_needed",
    "quantile_interval",
    "relative_speed",
    "speed",
]
