"""Wiring of stage 1: one box per benchmark, then all selected jobs in one file."""

from __future__ import annotations

from functools import partial

from kedro.pipeline import Pipeline, node

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.pipelines.ingest_benchmarks.nodes import ingest, merge


def create_pipeline(**_: object) -> Pipeline:
    """Return source -> ``{benchmark}.jobs`` for every benchmark, merged into ``jobs``."""
    names = list(BENCHMARKS)
    loads = [
        node(
            partial(ingest, name),
            inputs=[
                "params:benchmarks",
                "params:limit",
                "params:prompting",
                f"params:sources.{name}",
            ],
            outputs=f"{name}.jobs",
            name="ingest",
            namespace=name,
        )
        for name in names
    ]
    merged = node(
        merge,
        inputs=["params:benchmarks", *(f"{name}.jobs" for name in names)],
        outputs="jobs",
        name="merge_jobs",
    )
    return Pipeline([*loads, merged], tags="ingest_benchmarks")
