"""What people said of answers, summed up."""

from ttc_bench.pipelines.human_evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
