"""Wiring of what is tracked later."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

import ttc_bench.pipelines.aggregate.pipeline as aggregate
import ttc_bench.pipelines.report.pipeline as report
from ttc_bench.pipelines.track.nodes import open_run, settings_of


def create_pipeline(**_: object) -> Pipeline:
    """Return the tables of the last run -> report -> its run in MLflow."""
    begun = [
        node(settings_of, ["all_scores", "kept_settings"], "tracked_settings", name="settings_of"),
        node(open_run, ["all_scores", "tracked_settings"], "opened_tracker", name="open_run"),
    ]
    own = {"run_settings": "tracked_settings", "tracker": "opened_tracker"}
    logged = Pipeline([*aggregate.tracked(), *report.create_pipeline().nodes], inputs=own)
    return Pipeline([*begun, *logged.nodes], tags="track")
