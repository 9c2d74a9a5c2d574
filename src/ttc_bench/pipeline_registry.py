"""Project pipelines: the stages, one per policy, and the full suite."""

from __future__ import annotations

import importlib
import pkgutil

from kedro.pipeline import Pipeline

import ttc_bench.pipelines
import ttc_bench.pipelines.aggregate.pipeline as aggregate
import ttc_bench.pipelines.ingest_benchmarks.pipeline as ingest_benchmarks
import ttc_bench.pipelines.report.pipeline as report
from ttc_bench.pipelines.generate.pipeline import engine_pipeline, policy_pipeline
from ttc_bench.policies import policies
from ttc_bench.types import BASELINE


def register_pipelines() -> dict[str, Pipeline]:
    """Return every pipeline by name; ``__default__`` is the full suite.

    A folder in ``ttc_bench/pipelines`` is a stage; a policy is registered in a file of
    ``ttc_bench/policies`` and gets a pipeline from the benchmarks to the report.
    """
    stages = {
        module.name: importlib.import_module(f"ttc_bench.pipelines.{module.name}").create_pipeline()
        for module in pkgutil.iter_modules(ttc_bench.pipelines.__path__)
    }
    complete = {policy: complete_pipeline([BASELINE[0], policy]) for policy in policies()}
    return {**stages, **complete, "__default__": complete_pipeline(policies())}


def complete_pipeline(chosen: list[str]) -> Pipeline:
    """Return ingest -> generate -> score -> aggregate -> report for some policies."""
    runs = sum((policy_pipeline(policy) for policy in dict.fromkeys(chosen)), Pipeline([]))
    scores = sorted(name for name in runs.outputs() if name.endswith(".scores"))
    return (
        ingest_benchmarks.create_pipeline()
        + engine_pipeline()
        + runs
        + aggregate.create_pipeline(inputs=scores, stored=("mlflow_runs", "mlflow_report"))
        + report.create_pipeline()
    )
