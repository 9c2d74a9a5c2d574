"""Wiring of the estimate: jobs, the models' prices and the journal become a table of costs."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from ttc_bench.pipelines.estimate.nodes import estimate
from ttc_bench.pipelines.ingest_benchmarks.pipeline import asked_only
from ttc_bench.policies import VARIANTS


def create_pipeline(**_: object) -> Pipeline:
    """Return ingest -> estimate; the pipeline to estimate is a parameter."""
    settings = ["params:seed", "params:timing"]
    points = [f"params:{name}" for name in VARIANTS]
    return asked_only() + Pipeline(
        [
            node(
                estimate,
                inputs=[
                    "params:estimate",
                    "asked_jobs",
                    "unasked_engine",
                    "journal",
                    *settings,
                    *points,
                ],
                outputs="cost_estimate",
                name="estimate",
                tags="estimate",
            )
        ]
    )
