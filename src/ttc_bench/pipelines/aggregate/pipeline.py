"""Wiring of stage 4."""

from __future__ import annotations

from collections.abc import Sequence

from kedro.pipeline import Pipeline, node
from kedro.pipeline.node import Node

from ttc_bench.dbt import marts
from ttc_bench.pipelines.aggregate.nodes import (
    build_marts,
    check_valid_share,
    collect_known,
    collect_stored,
    confidence,
    find_floors,
    log_runs,
    log_traces,
    name_run,
    show,
    write_sources,
)
from ttc_bench.reporting.comparisons import comparisons
from ttc_bench.reporting.decision import decide
from ttc_bench.reporting.kept_runs import keep_run
from ttc_bench.reporting.speeds import speeds
from ttc_bench.reporting.verdicts import verdicts


def create_pipeline(
    inputs: Sequence[str] | None = None,
    stored: Sequence[str] = ("mlflow_runs", "mlflow_traces"),
    **_: object,
) -> Pipeline:
    """Return scores -> dbt marts -> intervals -> decision -> table and MLflow.

    Args:
        inputs: Names of the scores datasets; ``None`` takes every table of scores that is stored.
        stored: Datasets that are written before too many failures end the run.
    """
    # A node's own input names have no dots: Kedro keeps those for namespaces.
    names = {name.replace(".", "_"): name for name in inputs or ()}
    collect = (
        node(collect_stored, "stored_scores", "collected_scores", name="collect_scores")
        if inputs is None
        else node(collect_known, list(names), "collected_scores", name="collect_scores")
    )
    nodes = [collect, *_history(), *_figures(), *_told(stored)]
    # A namespace folds the stage into one box in kedro-viz; its datasets keep their names.
    return Pipeline(
        nodes,
        inputs=names,
        tags="aggregate",
        namespace="reporting",
        prefix_datasets_with_namespace=False,
    )


def _history() -> list[Node]:
    """Return what names the scores of the run and keeps them with those of earlier ones."""
    return [
        node(
            name_run,
            inputs=["collected_scores", "session_id", "run_settings", "params:aggregate"],
            outputs="all_scores",
            name="name_run",
        ),
        # Of nodes that may come next, Kedro takes the first by name: dbt begins before figures are
        # drawn, and is waited for after those that need no mart.
        node(
            write_sources,
            inputs=["all_scores", "params:aggregate", "warehouse"],
            outputs=["scaling_curves", "warehouse_sources"],
            name="dbt_sources",
        ),
        node(
            build_marts,
            inputs=["warehouse_sources", "warehouse"],
            outputs={name: name for name in marts()},
            name="marts",
        ),
    ]


def _figures() -> list[Node]:
    """Return what the scores allow one to say, from intervals to the decision."""
    of_scores = {
        "intervals": confidence,
        "speeds": speeds,
        "comparisons": comparisons,
    }
    return [
        *(
            node(function, ["all_scores", "params:aggregate"], output, name=function.__name__)
            for output, function in of_scores.items()
        ),
        node(
            find_floors,
            inputs=["known_jobs", "all_scores", "encoded"],
            outputs="floors",
            name="floors",
        ),
        node(
            verdicts,
            inputs=["all_scores", "speeds", "params:aggregate"],
            outputs="verdicts",
            name="verdicts",
        ),
        node(decide, inputs=["verdicts", "params:decide"], outputs="decision", name="decide"),
    ]


def _told(stored: Sequence[str]) -> list[Node]:
    """Return what prints, tracks and checks the figures."""
    return [
        node(
            show,
            inputs=[
                "bench_summary",
                "intervals",
                "speeds",
                "floors",
                "verdicts",
                "decision",
                "all_scores",
                "params:aggregate",
            ],
            outputs="summary_table",
            name="show",
        ),
        node(
            keep_run,
            inputs=[
                "all_scores",
                "run_settings",
                "run_pipeline",
                "run_name",
                "earlier_settings",
                "summary_table",
            ],
            outputs=["kept_scores", "kept_settings"],
            name="keep_run",
        ),
        *tracked(),
        node(
            check_valid_share,
            inputs=["bench_summary", "params:min_valid_share", *stored],
            outputs=None,
            name="check_valid_share",
        ),
    ]


def tracked() -> list[Node]:
    """Return what goes to MLflow of the tables, and of the responses behind them."""
    return [
        node(
            log_runs,
            inputs=[
                "all_scores",
                "bench_summary",
                "policy_vs_baseline",
                "intervals",
                "verdicts",
                "decision",
                "summary_table",
                "run_settings",
                "logged_files",
                "tracker",
            ],
            outputs="mlflow_runs",
            name="log_runs",
        ),
        node(
            log_traces,
            inputs=["all_scores", "known_jobs", "known_responses", "mlflow_runs", "tracker"],
            outputs="mlflow_traces",
            name="log_traces",
        ),
    ]
