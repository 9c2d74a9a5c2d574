"""Make the embedded reference models from nothing."""

from ttc_bench.pipelines.train_reference.pipeline import create_pipeline

__all__ = ["create_pipeline"]
