"""What changed between any two runs or models, with intervals."""

from ttc_bench.pipelines.compare.pipeline import create_pipeline

__all__ = ["create_pipeline"]
