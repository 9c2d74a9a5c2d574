"""Stage 1: benchmarks become job files."""

from ttc_bench.pipelines.ingest_benchmarks.pipeline import create_pipeline

__all__ = ["create_pipeline"]
