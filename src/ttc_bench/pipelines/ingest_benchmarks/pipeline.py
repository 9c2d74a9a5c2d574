"""Wiring of stage 1: one box per benchmark, then all selected jobs in one file."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.pipelines.ingest_benchmarks.nodes import ingest_node, merge


def create_pipeline(**_: object) -> Pipeline:
    """Return source -> ``{benchmark}.jobs`` for every benchmark, merged into ``jobs``."""
    names = list(BENCHMARKS)
    loads = [
        node(
            ingest_node(name),
            inputs=[
                "params:benchmarks",
                "params:limit",
                f"params:prompting.{name}",
                f"params:sources.{name}",
                "params:seed",
            ],
            outputs="jobs",
            name="ingest",
        )
        for name in names
    ]
    boxes = [
        Pipeline([load], namespace=name, parameters=set(load.inputs))
        for name, load in zip(names, loads, strict=True)
    ]
    merged = Pipeline(
        [node(merge, ["params:benchmarks", *(f"{n}_jobs" for n in names)], "jobs", name="merge")],
        inputs={f"{name}_jobs": f"{name}.jobs" for name in names},
    )
    return sum(boxes, merged).tag("ingest_benchmarks")
