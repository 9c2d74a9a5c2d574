"""Wiring of stage 5."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from ttc_bench.pipelines.report.nodes import TABLES, TRACKED, drawing, log_report, write_report
from ttc_bench.reporting.plots import PICTURES


def create_pipeline(**_: object) -> Pipeline:
    """Return the tables of the aggregate stage -> pictures -> report."""
    pictures = [
        node(
            drawing(picture.name),
            inputs=list(picture.tables),
            outputs=[picture.name, f"{picture.name}_interactive"],
            name=f"draw_{picture.name}",
        )
        for picture in PICTURES
    ]
    shown = ("parameters", "all_scores", *TABLES, *(picture.name for picture in PICTURES))
    report = node(
        write_report,
        inputs={name: name for name in shown},
        outputs="report_html",
        name="write_report",
    )
    both = (name for p in PICTURES for name in (p.name, f"{p.name}_interactive"))
    tracked = node(
        log_report,
        inputs={name: name for name in ("report_html", *TRACKED, *both)},
        outputs="mlflow_report",
        name="log_report",
    )
    return Pipeline([*pictures, report, tracked], tags="report")
