"""What a run would ask and how it would read answers, without a call."""

from ttc_bench.pipelines.preview.pipeline import create_pipeline

__all__ = ["create_pipeline"]
