"""Stage 5: tables become plots and one report."""

from ttc_bench.pipelines.report.pipeline import create_pipeline

__all__ = ["create_pipeline"]
