"""Statistics where SQL is the wrong tool."""

from ttc_bench.statistics.intervals import Interval, mean_interval

__all__ = ["Interval", "mean_interval"]
