"""Benchmarks: one file each, registered where it is defined."""

from ttc_bench.benchmarks.base import BENCHMARKS, Benchmark, Prompting

__all__ = ["BENCHMARKS", "Benchmark", "Prompting"]
