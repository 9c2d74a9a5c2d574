"""Stage 4: scores become summaries, the printed table and MLflow runs."""

from ttc_bench.pipelines.aggregate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
