"""A run says what it is about to do, and when it is over, to who watches it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from ttc_bench.policies.events import Events, Watcher
from ttc_bench.policies.telemetry import Telemetry

logger = logging.getLogger(__name__)


def _to_mlflow() -> Watcher:
    """Return what notes in the MLflow run that is open now, if one is, how a run was steered."""
    import mlflow

    run, changes = mlflow.active_run(), list[Mapping[str, Any]]()

    def note(kind: str, facts: Mapping[str, Any]) -> None:
        if run is not None and kind == "steered":
            changes.append({"at": time.time(), **facts})
            told = "; ".join(str(one["change"]) for one in changes if "change" in one)
            try:
                client = mlflow.MlflowClient()
                client.log_dict(run.info.run_id, {"changes": changes}, "steered.json")
                client.set_tag(run.info.run_id, "steered", told[-MOST_SIGNS:])
            except Exception as error:  # It raises many classes where a server is away.
                logger.warning("MLflow took no note of how the run was steered: %s", error)

    return note


MOST_SIGNS = 5000
"""No tag of MLflow may be longer."""


class Live:
    """Writes the first and the last event of a run that generates responses."""

    _events: Events | None = None
    _telemetry: Telemetry | None = None

    @hook_impl(trylast=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Tell the plan, once all checks have passed."""
        self._end("the run before it in this process told no end")
        variants = {n.namespace for n in pipeline.nodes if n.namespace and "generate" in n.tags}
        if not variants:
            return
        model = catalog.load("params:model")
        names = ("max_usd", "max_requests", "concurrency")
        limits = {name: getattr(model, name) for name in names if hasattr(model, name)}
        title = ", ".join(run_params.get("pipeline_names") or ()) or "__default__"
        self._events = catalog.load("events")
        self._events.plan(title, sorted(map(str, variants)), limits)
        self._telemetry = catalog.load("params:telemetry").build(catalog.load("engine").name)
        if self._telemetry is not None:
            self._events.watch(self._telemetry)
        self._events.watch(_to_mlflow())

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Tell the end."""
        self._end(None)

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Tell the end, and what brought it."""
        self._end(type(error).__name__)

    def _end(self, error: str | None) -> None:
        if self._events is not None:
            self._events.end(error)
            self._events = None
        if self._telemetry is not None:
            self._telemetry.close()
            self._telemetry = None
