"""Wiring of the comparison of two runs."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from ttc_bench.pipelines.compare.nodes import show_changes, write_changes
from ttc_bench.reporting.plots.changes_plot import CHANGES_PLOT
from ttc_bench.reporting.run_changes import changed_answers, changed_settings, changes, load_runs
from ttc_bench.reporting.run_choice import choose_runs


def create_pipeline(**_: object) -> Pipeline:
    """Return two runs that were kept -> what changed, as tables, plot, text and HTML."""
    return Pipeline(
        [
            node(
                choose_runs,
                inputs=["kept_settings", "kept_scores", "params:compare"],
                outputs="compared_runs",
                name="choose_runs",
            ),
            node(
                load_runs,
                inputs=["kept_scores", "compared_runs", "params:aggregate"],
                outputs=["compared_scores", "not_compared"],
                name="load_runs",
            ),
            node(
                changes,
                inputs=["compared_scores", "params:aggregate"],
                outputs="run_changes",
                name="changes",
            ),
            node(changed_answers, "compared_scores", "changed_answers", name="changed_answers"),
            node(changed_settings, "compared_runs", "changed_settings", name="changed_settings"),
            node(
                CHANGES_PLOT.draw,
                inputs=list(CHANGES_PLOT.tables),
                outputs=CHANGES_PLOT.outputs,
                name="draw_changes",
            ),
            node(
                show_changes,
                inputs=["compared_runs", "run_changes", "changed_settings", "not_compared"],
                outputs="changes_table",
                name="show_changes",
            ),
            node(
                write_changes,
                inputs=[
                    "compared_runs",
                    "run_changes",
                    "changed_answers",
                    "changed_settings",
                    "not_compared",
                    "changes_plot",
                ],
                outputs="changes_html",
                name="write_changes",
            ),
        ],
        tags="compare",
    )
