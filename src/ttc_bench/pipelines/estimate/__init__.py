"""What a pipeline would ask of hosted models, and what that would cost, without a call."""

from ttc_bench.pipelines.estimate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
