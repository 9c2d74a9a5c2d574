"""Which run of MLflow is the last run's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ttc_bench.errors import DataError
from ttc_bench.reporting.kept_runs import key_of
from ttc_bench.reporting.mlflow_runs import loggable
from ttc_bench.reporting.tracker import RUN, Tracker, run_named, tag_of
from ttc_bench.types import DataFrame


def settings_of(
    all_scores: DataFrame, kept_settings: Mapping[str, Callable[[], Mapping[str, Any]]]
) -> dict[str, Any]:
    """Return the parameters of the run that the scores are of; those of this command may differ.

    Raises:
        DataError: If that run was not kept.
    """
    key = key_of(*(str(all_scores[name].iloc[0]) for name in ("run_id", "config", "model")))
    if key not in kept_settings:
        raise DataError(
            f"the settings of the run {key} are not among those kept: `kedro run"
            " --pipelines=aggregate,report` sums up the stored scores and tracks them."
        )
    return dict(kept_settings[key]()["parameters"])


def open_run(all_scores: DataFrame, settings: Mapping[str, Any]) -> Tracker:
    """Return where to log: the run in MLflow that was begun for these scores, or a new one."""
    import mlflow

    name = str(all_scores["run_id"].iloc[0])
    if (run := run_named(name)) is None:
        with mlflow.start_run(run_name=name, nested=True, tags={RUN: tag_of(name)}) as opened:
            mlflow.log_params(loggable(settings))
        run = opened.info.run_id
    return Tracker(run)
