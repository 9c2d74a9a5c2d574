"""One run of many processes: an orchestrator gives its id, and they share a run in MLflow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from ttc_bench.hooks.mlflow_store import turn
from ttc_bench.reporting.tracker import RUN, run_named, tag_of

VARIABLES = ("TTC_BENCH_RUN_ID", "AIRFLOW_CTX_DAG_RUN_ID")
"""Environment variables that give the id of a run, the first one before the second."""


def outside_id() -> str | None:
    """Return the id of the run that this process is a part of, if it was given one."""
    ids = (os.environ.get(name, "").strip() for name in VARIABLES)
    return next(filter(None, ids), None)


class SharedRun:
    """Goes on in the run of MLflow that another part of the same run has begun."""

    _project = Path()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Note the project's folder."""
        self._project = Path(context.project_path)

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Tell kedro-mlflow which run it opens, before it does, if that is tracked."""
        from kedro_mlflow.framework.hooks.mlflow_hook import mlflow_hook
        from kedro_mlflow.framework.hooks.utils import _assert_mlflow_enabled

        config, name = mlflow_hook.mlflow_config, outside_id()
        names = run_params.get("pipeline_names") or ["__default__"]
        if name is None or config.tracking.run.id or not _assert_mlflow_enabled(names, config):
            return
        experiment = config.tracking.experiment._experiment.experiment_id
        with turn(self._project):
            config.tracking.run.id = run_named(name) or _begun(name, experiment)


def _begun(name: str, experiment: str) -> str:
    """Return the id of a new run in MLflow, which is not open here."""
    import mlflow

    run = mlflow.MlflowClient().create_run(experiment, run_name=name, tags={RUN: tag_of(name)})
    return str(run.info.run_id)
