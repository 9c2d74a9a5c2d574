"""MLflow as this project uses it: system metrics on, and any tracking server by one line."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol

from ttc_bench.hooks.mlflow_store import settle_store
from ttc_bench.params import flat

EMBEDDED = ("sqlite:", "file:")
"""Stores that live in the project: they need a place for their artifacts."""

SQLITE = "sqlite:///"
"""What an SQLite store's path stands behind; an absolute path adds its own slash."""

INTERVAL_S = 5
"""Seconds between two readings of the system metrics."""

SWITCH = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"


class Tracking:
    """Prepares the configuration before kedro-mlflow reads it; one monitor for the whole run."""

    _switch = "true"
    _project = Path()
    _caller_run: str | None = None
    """The run that the caller had opened before kedro's, and closes again."""
    _is_named = False
    """Whether ``mlflow.yml`` says which run it is, or how it is called."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Turn system metrics on unless the environment says otherwise, and settle artifacts."""
        import mlflow

        opened = mlflow.active_run()
        self._caller_run = opened.info.run_id if opened else None
        os.environ.setdefault(SWITCH, "true")
        os.environ.setdefault("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", str(INTERVAL_S))
        self._project = Path(context.project_path)
        config = with_place(context.config_loader["mlflow"], self._project)
        context.config_loader["mlflow"] = config
        self._is_named = any(((config.get("tracking") or {}).get("run") or {}).values())
        uri = str((config.get("server") or {}).get("mlflow_tracking_uri") or "")
        if uri.startswith(SQLITE):
            experiment = (config.get("tracking") or {}).get("experiment") or {}
            place = (experiment.get("create_experiment_kwargs") or {}).get("artifact_location")
            store, name = Path(uri.removeprefix(SQLITE)), str(experiment.get("name"))
            settle_store(store, name, self._project, place)

    @hook_impl
    def after_catalog_created(self, catalog: CatalogProtocol[Any, Any]) -> None:
        """Add the dataset ``logged_files``: where what MLflow calls the source of a table lies."""
        catalog["logged_files"] = {
            name: os.path.relpath(catalog[name]._filepath, self._project)
            for name in ("jobs", "all_scores")
            if name in catalog
        }

    @hook_impl(trylast=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Name the run and log all settings; turn the switch off once its monitor runs.

        kedro-mlflow logs a typed parameter as one text, so each setting is logged under its own
        name too. It opens the run again before every node, and MLflow would start one more monitor
        each time: a suite of sixty nodes runs out of connections to the store.
        """
        import mlflow

        if run := mlflow.active_run():
            given = catalog.load("run_settings")
            settings = flat(given)
            if run.info.run_id != self._caller_run and not self._is_named:
                name = run_name(run_params.get("pipeline_names") or (), given.get("limit"))
                mlflow.set_tag("mlflow.runName", name)
            # The recipe of the models is no setting of a run, and its stages are too long.
            mlflow.log_params({k: v for k, v in settings.items() if "train_reference" not in k})
        self._switch = os.environ.get(SWITCH, self._switch)
        os.environ[SWITCH] = "false"

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        """Put the switch back for the next run of this process, and leave no run open.

        What kedro-mlflow opens again before every node it closes once: the next run of the process
        would go on in this one.
        """
        self._forget_run()
        end_runs("FINISHED", but=self._caller_run)

    @hook_impl(trylast=True)
    def on_pipeline_error(self) -> None:
        """Put the switch back; see `after_pipeline_run`."""
        self._forget_run()

    def _forget_run(self) -> None:
        from kedro_mlflow.framework.hooks.mlflow_hook import mlflow_hook

        os.environ[SWITCH] = self._switch
        # The next run of this process may be one that is not tracked, and kedro-mlflow would open
        # this one again before its nodes.
        mlflow_hook.run_id = None


def run_name(pipelines: Sequence[str], limit: int | None) -> str:
    """Return the name of a run in MLflow: what ran, on how much, and when.

    Args:
        pipelines: Names of the pipelines; none is the full suite.
        limit: Most jobs of a benchmark.
    """
    what = "+".join(pipelines or ["all policies"])
    much = "no limit" if limit is None else f"limit {limit}"
    return f"{what}, {much}, {datetime.now():%Y-%m-%d %H:%M}"


def end_runs(status: str, but: str | None = None) -> None:
    """End the open runs of this process with a status, down to the one that stays open."""
    import mlflow

    while (run := mlflow.active_run()) and run.info.run_id != but:
        mlflow.end_run(status)


def with_place(config: dict[str, Any], project: Path) -> dict[str, Any]:
    """Return the configuration of MLflow with places for its store and artifacts.

    The embedded store keeps its artifacts in the project. Its own path is made absolute: MLflow
    keeps the store of a name open for the life of a process, so that a second project run in the
    same one would be written into the first. A tracking server has its own place, and a folder of
    this machine would leave others without the artifacts.

    Args:
        config: What ``mlflow.yml`` says.
        project: The project's folder.
    """
    settled = copy.deepcopy(config)
    server = settled.get("server") or {}
    uri = str(server.get("mlflow_tracking_uri") or "")
    if uri.startswith(SQLITE):
        server["mlflow_tracking_uri"] = f"{SQLITE}{project / uri.removeprefix(SQLITE)}"
    if not uri.startswith(EMBEDDED):
        experiment = (settled.get("tracking") or {}).get("experiment") or {}
        (experiment.get("create_experiment_kwargs") or {}).pop("artifact_location", None)
    return settled
