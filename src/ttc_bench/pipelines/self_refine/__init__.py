"""Self-refine: critique and revise, or think for longer."""

from ttc_bench.pipelines.self_refine.pipeline import create_pipeline

__all__ = ["create_pipeline"]
