"""Stage 3: responses and jobs become scores."""

from ttc_bench.pipelines.score.pipeline import create_pipeline

__all__ = ["create_pipeline"]
