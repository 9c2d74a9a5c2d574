"""Best of n: sample several answers and keep the one that scores best."""

from ttc_bench.pipelines.best_of_n.pipeline import create_pipeline

__all__ = ["create_pipeline"]
