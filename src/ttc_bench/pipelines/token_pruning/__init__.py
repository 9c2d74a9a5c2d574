"""Token pruning: drop prompt tokens that carry little information."""

from ttc_bench.pipelines.token_pruning.pipeline import create_pipeline

__all__ = ["create_pipeline"]
