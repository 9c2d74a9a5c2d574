"""Baseline: one plain greedy completion, what every policy is compared with."""

from ttc_bench.pipelines.baseline.pipeline import create_pipeline

__all__ = ["create_pipeline"]
