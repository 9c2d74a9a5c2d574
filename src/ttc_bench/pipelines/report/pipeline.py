"""Wiring of stage 5."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node
from kedro.pipeline.node import Node

from ttc_bench.pipelines.report.nodes import TABLES, TRACKED, log_report, write_report
from ttc_bench.reporting.plots import plots


def create_pipeline(**_: object) -> Pipeline:
    """Return the tables of the aggregate stage -> plots -> report."""
    drawn = [
        node(plot.draw, inputs=list(plot.tables), outputs=plot.outputs, name=f"draw_{plot.name}")
        for plot in plots()
    ]
    drawn_from = (table for plot in plots() for table in plot.tables)
    pictures = (plot.name for plot in plots())
    shown = ("run_settings", "all_scores", *TABLES, *drawn_from, *pictures)
    report = node(
        write_report,
        inputs={name: name for name in shown},
        outputs="report_html",
        name="write_report",
    )
    return Pipeline(
        [*drawn, report, tracked()],
        tags="report",
        namespace="reporting",
        prefix_datasets_with_namespace=False,
    )


def tracked() -> Node:
    """Return what goes to MLflow of plots, tables and report."""
    asked = ("report_html", "tracker", "run_settings", "all_scores")
    both = (name for plot in plots() for name in plot.outputs)
    inputs = {name: name for name in (*asked, *TRACKED, *both)}
    return node(log_report, inputs=inputs, outputs="mlflow_report", name="log_report")
