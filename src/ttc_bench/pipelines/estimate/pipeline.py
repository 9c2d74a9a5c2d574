"""Wiring of the estimate: jobs, the models' prices and the journal become a table of costs."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

import ttc_bench.pipelines.ingest_benchmarks.pipeline as ingest_benchmarks
from ttc_bench.pipelines.estimate.nodes import estimate
from ttc_bench.pipelines.generate.pipeline import engine_pipeline


def create_pipeline(**_: object) -> Pipeline:
    """Return ingest -> estimate; the pipeline to estimate is a parameter."""
    return (
        ingest_benchmarks.create_pipeline()
        + engine_pipeline()
        + Pipeline(
            [
                node(
                    estimate,
                    inputs=["jobs", "engine", "journal", "parameters"],
                    outputs="cost_estimate",
                    name="estimate",
                    tags="estimate",
                )
            ]
        )
    )
