"""Cascade: ask the small model first, the large one when the small one is unsure."""

from ttc_bench.pipelines.cascade.pipeline import create_pipeline

__all__ = ["create_pipeline"]
