"""Elastic batching: decode many prompts together under a token budget."""

from ttc_bench.pipelines.elastic_batch.pipeline import create_pipeline

__all__ = ["create_pipeline"]
