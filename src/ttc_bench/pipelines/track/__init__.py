"""What is on disk of the last run goes to MLflow: its server was away, or is another one now."""

from ttc_bench.pipelines.track.pipeline import create_pipeline

__all__ = ["create_pipeline"]
