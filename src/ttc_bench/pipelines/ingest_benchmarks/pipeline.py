"""Wiring of stage 1: one box per benchmark, one for files of questions, then all selected jobs."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.benchmarks.questions import QUESTIONS
from ttc_bench.pipelines.ingest_benchmarks.nodes import ingest_node, ingest_questions, merge


def create_pipeline(**_: object) -> Pipeline:
    """Return source -> ``{benchmark}.jobs`` for all, files too, merged into ``jobs``."""
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
    names.append(QUESTIONS.name)
    inputs = ["params:limit", "params:questions", "params:seed"]
    loads.append(node(ingest_questions, inputs=inputs, outputs="jobs", name="ingest"))
    boxes = [
        Pipeline([load], namespace=name, parameters=set(load.inputs))
        for name, load in zip(names, loads, strict=True)
    ]
    merged = Pipeline(
        [node(merge, ["params:benchmarks", *(f"{n}_jobs" for n in names)], "jobs", name="merge")],
        inputs={f"{name}_jobs": f"{name}.jobs" for name in names},
    )
    return sum(boxes, merged).tag("ingest_benchmarks")


def asked_only() -> Pipeline:
    """Return the same into ``asked_jobs``, which is kept nowhere.

    For pipelines that answer nothing: stored answers go on belonging to the ``jobs`` of their run.
    """
    return Pipeline(create_pipeline(), outputs={"jobs": "asked_jobs"})
