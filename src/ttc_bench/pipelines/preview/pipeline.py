"""Wiring of the preview: jobs and the model's chat template become a text."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from ttc_bench.pipelines.ingest_benchmarks.pipeline import asked_only
from ttc_bench.pipelines.preview.nodes import preview


def create_pipeline(**_: object) -> Pipeline:
    """Return ingest -> preview."""
    return asked_only() + Pipeline(
        [
            node(
                preview,
                inputs=["asked_jobs", "unasked_engine", "params:preview"],
                outputs="preview_text",
                name="preview",
                tags="preview",
            )
        ]
    )
