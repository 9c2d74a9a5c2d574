"""Self-consistency: sample several chains of thought and vote on the answer."""

from ttc_bench.pipelines.self_consistency.pipeline import create_pipeline

__all__ = ["create_pipeline"]
