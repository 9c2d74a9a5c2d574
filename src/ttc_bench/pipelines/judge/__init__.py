"""A language model as judge: optional, billed apart, never part of another pipeline."""

from ttc_bench.pipelines.judge.pipeline import create_pipeline

__all__ = ["create_pipeline"]
