"""Wiring of the preview: jobs and the model's chat template become a text."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

import ttc_bench.pipelines.ingest_benchmarks.pipeline as ingest_benchmarks
from ttc_bench.pipelines.preview.nodes import preview


def create_pipeline(**_: object) -> Pipeline:
    """Return ingest -> preview."""
    return ingest_benchmarks.create_pipeline() + Pipeline(
        [
            node(
                preview,
                inputs=["jobs", "engine", "params:preview"],
                outputs="preview_text",
                name="preview",
                tags="preview",
            )
        ]
    )
