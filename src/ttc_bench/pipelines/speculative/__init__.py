"""Speculative decoding: cheap drafts, verified by the target in one pass."""

from ttc_bench.pipelines.speculative.pipeline import create_pipeline

__all__ = ["create_pipeline"]
