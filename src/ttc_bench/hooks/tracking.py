"""MLflow as this project uses it: system metrics on, and any tracking server by one line."""

from __future__ import annotations

import contextlib
import copy
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol, MemoryDataset
from kedro.pipeline import Pipeline

from ttc_bench.errors import UserError
from ttc_bench.hooks.mlflow_store import begin_experiment, check_server, settle_store, turn
from ttc_bench.hooks.open_runs import OpenRun, end_killed
from ttc_bench.hooks.parameters import used_by
from ttc_bench.hooks.shared_run import outside_id
from ttc_bench.measured import NOT_MEASURED
from ttc_bench.reporting.mlflow_runs import changed, loggable
from ttc_bench.reporting.tracker import (
    EMBEDDED,
    RUN,
    SEND,
    Tracker,
    server_of,
    sqlite_address,
    tag_of,
)

logger = logging.getLogger(__name__)

SQLITE = "sqlite:///"
"""What an SQLite store's path stands behind; an absolute path adds its own slash."""

RUNS = Path("data", ".runs")
"""Where a project keeps what it knows of runs at work."""

INTERVAL_S = 5
"""Seconds between two readings of the system metrics."""

SWITCH = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"

BESIDE = "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING"
"""Whether traces are sent by threads, which a run would wait for twice, for a second each time."""

REPEATS = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


RETRIES = 5
"""Times that a request to a server is repeated, over a minute: as long as it takes to come back."""

PATIENCE_S = 60
"""Seconds for an answer of a server."""


class Tracking:
    """Prepares the configuration before kedro-mlflow reads it; one monitor for the whole run.

    kedro-mlflow opens the run. From there on it is this hook's: kedro-mlflow would open it again
    before each node and log the node's parameters one by one, hundreds of requests to a server, of
    which none may fail.
    """

    _switch = "true"
    _project = Path()
    _server: str | None = None
    _tracker = Tracker()
    _open = OpenRun()
    _caller_run: str | None = None
    """The run that the caller had opened before kedro's, and closes again."""
    _is_named = False
    """Whether ``mlflow.yml`` says which run it is, or how it is called."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Turn system metrics on unless the environment says otherwise, and settle artifacts.

        Raises:
            UserError: If the store cannot be read, or its server does not answer.
        """
        import mlflow

        opened = mlflow.active_run()
        self._caller_run = opened.info.run_id if opened else None
        os.environ.setdefault(SWITCH, "true")
        os.environ.setdefault(BESIDE, "false")
        os.environ.setdefault("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", str(INTERVAL_S))
        os.environ.setdefault(REPEATS, str(RETRIES))
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(PATIENCE_S))
        self._project = Path(context.project_path)
        config = with_place(context.config_loader["mlflow"], self._project)
        context.config_loader["mlflow"] = config
        self._is_named = any(((config.get("tracking") or {}).get("run") or {}).values())
        uri = str((config.get("server") or {}).get("mlflow_tracking_uri") or "")
        self._server = server_of(uri)
        check_server(uri)
        if opened is None and (uri.startswith(SQLITE) or self._server):
            _prepare(uri, (config.get("tracking") or {}).get("experiment") or {}, self._project)
            end_killed(self._project / RUNS, uri)

    @hook_impl
    def after_catalog_created(
        self, catalog: CatalogProtocol[Any, Any], parameters: dict[str, Any]
    ) -> None:
        """Add the datasets ``tracker`` and ``logged_files``.

        They are where nodes log to, and where what MLflow calls the source of a table lies.
        """
        self._tracker = Tracker(server=self._server)
        catalog["tracker"] = MemoryDataset(self._tracker, copy_mode="assign")
        catalog["logged_files"] = {
            name: os.path.relpath(catalog[name]._filepath, self._project)
            for name in ("jobs", "all_scores")
            if name in catalog
        }

    @hook_impl(trylast=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Name the run and log its settings; turn the switch off once its monitor runs.

        Of scores that are stored, the settings they were made with are logged with what they allow
        one to say.
        """
        import mlflow
        from kedro_mlflow.framework.hooks.mlflow_hook import mlflow_hook

        if run := mlflow.active_run():
            self._tracker.run = run.info.run_id
            given = _settings_of(pipeline, run_params, catalog.load("run_settings"))
            if run.info.run_id != self._caller_run and outside_id() is None:
                self._open.enter(self._project / RUNS, run.info.run_id)
            own = catalog.load("run_name")
            mlflow.set_tag(RUN, tag_of(own))
            if run.info.run_id != self._caller_run and not self._is_named:
                name = run_name(run_params.get("pipeline_names") or (), given)
                mlflow.set_tag("mlflow.runName", outside_id() or name)
            log_settings(run, loggable(given), own)
        mlflow_hook._is_mlflow_enabled, mlflow_hook.run_id = False, None
        self._switch = os.environ.get(SWITCH, self._switch)
        os.environ[SWITCH] = "false"

    @hook_impl(trylast=True)
    def after_pipeline_run(self, pipeline: Pipeline) -> None:
        """Close the run, put the switch back for the next one, and say what was not tracked.

        What an orchestrator runs by parts is finished by the part that holds all figures.
        """
        is_whole = outside_id() is None or "mlflow_runs" in pipeline.all_outputs()
        self._close("FINISHED" if is_whole else "RUNNING")

    @hook_impl(trylast=True)
    def on_pipeline_error(self) -> None:
        """See `after_pipeline_run`."""
        self._close("FAILED")

    def _close(self, status: str) -> None:
        os.environ[SWITCH] = self._switch
        end_runs(status, self._caller_run, self._tracker)
        self._open.leave()
        for line in self._tracker.told():
            logger.warning("%s", line)


def _prepare(uri: str, experiment: Mapping[str, Any], project: Path) -> None:
    """Make the store ready for this run and for those that begin at the same moment."""
    place = (experiment.get("create_experiment_kwargs") or {}).get("artifact_location")
    name = str(experiment.get("name") or "")
    with turn(project):
        if uri.startswith(SQLITE):
            store = Path(unquote(uri.removeprefix(SQLITE)))
            settle_store(store, name, project, place)
            with contextlib.suppress(OSError):
                store.parent.mkdir(parents=True, exist_ok=True)
        # kedro-mlflow asks the same next, with the credentials that a server may want, and tells.
        with contextlib.suppress(Exception):
            begin_experiment(uri, name, project, place)


def log_settings(run: Any, settings: dict[str, Any], name: str) -> None:
    """Log the settings that a run in MLflow does not have yet.

    Of parts that begin at the same moment the quickest logs them, which MLflow tells the others as
    a failure, whether its store is a file here or a server's.
    """
    import mlflow

    logged = run.data.params
    while True:
        try:
            mlflow.log_params(_agreed(settings, logged, name), run_id=run.info.run_id)
        except mlflow.MlflowException:
            before, logged = logged, mlflow.get_run(run.info.run_id).data.params
            if logged == before:
                raise
        else:
            return


def _agreed(
    settings: dict[str, Any], logged: Mapping[str, str], name: str
) -> dict[str, Any]:  # fmt: skip
    """Return settings that a run in MLflow does not have yet.

    Raises:
        UserError: If it has others: MLflow changes none, and they would be of two runs.
    """
    if key := changed(settings, logged):
        raise UserError(
            f"the run {name} has {key} {logged[key]} in MLflow, where it is {settings[key]} now:"
            " the parts of a run have the same settings; give this one another id."
        )
    return {key: settings[key] for key in settings if key not in logged}


def _settings_of(
    pipeline: Pipeline, run_params: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the settings that hold for a pipeline; which nodes miss outputs is not known yet."""
    is_open = run_params.get("only_missing_outputs")
    used = NOT_MEASURED if is_open else used_by(pipeline, settings)
    return {name: value for name, value in settings.items() if name in used}


def run_name(pipelines: Sequence[str], settings: Mapping[str, Any]) -> str:
    """Return the name of a run in MLflow: what ran, on how much if it says so, and when.

    Args:
        pipelines: Names of the pipelines; none is the full suite.
        settings: Its settings; ``limit`` are the most jobs of a benchmark.
    """
    parts = ["+".join(pipelines or ["all policies"])]
    if "limit" in settings:
        limit = settings["limit"]
        parts.append("no limit" if limit is None else f"limit {limit}")
    return ", ".join([*parts, f"{datetime.now():%Y-%m-%d %H:%M}"])


def end_runs(status: str, but: str | None = None, tracker: Tracker | None = None) -> None:
    """End the open runs of this process with a status, down to the one that stays open.

    Args:
        status: The status.
        but: Id of the run that stays open.
        tracker: Notes that a server is gone; without one that is nobody's concern any more.
    """
    import mlflow

    ends_in_haste = tracker is None or tracker.reason is not None
    with _repeats("0") if ends_in_haste else contextlib.nullcontext():
        while (run := mlflow.active_run()) and run.info.run_id != but:
            try:
                mlflow.end_run(status)
            except Exception as error:
                if tracker is not None:
                    tracker.lose(error)
                    tracker.untracked.setdefault("the end of the run", SEND)


@contextlib.contextmanager
def _repeats(count: str) -> Iterator[None]:
    """Repeat requests that fail so many times."""
    before = os.environ.get(REPEATS)
    os.environ[REPEATS] = count
    try:
        yield
    finally:
        if before is None:
            del os.environ[REPEATS]
        else:
            os.environ[REPEATS] = before


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
        path = project / unquote(uri.removeprefix(SQLITE))
        server["mlflow_tracking_uri"] = sqlite_address(str(path))
    if not uri.startswith(EMBEDDED):
        experiment = (settled.get("tracking") or {}).get("experiment") or {}
        (experiment.get("create_experiment_kwargs") or {}).pop("artifact_location", None)
    return settled
