"""A run says what it is about to do, and when it is over, to who watches it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from ttc_bench.errors import UserError
from ttc_bench.hooks.parameters import pipeline_title
from ttc_bench.hooks.preflight import able_points
from ttc_bench.policies.events import Events, Watcher
from ttc_bench.policies.telemetry import Telemetry
from ttc_bench.reporting.tracker import Tracker


def to_mlflow(tracker: Tracker) -> Watcher:
    """Return what notes in the run's record in MLflow how it was steered.

    Args:
        tracker: Where the run goes to.
    """
    changes = list[Mapping[str, Any]]()

    def note(kind: str, facts: Mapping[str, Any]) -> None:
        if tracker.run is not None and kind == "steered":
            changes.append({"at": time.time(), **facts})
            tracker.log("how the run was steered", partial(_log, tracker.run, changes), None)

    return note


def _log(run: str, changes: Sequence[Mapping[str, Any]]) -> None:
    import mlflow

    told = "; ".join(str(one["change"]) for one in changes if "change" in one)
    client = mlflow.MlflowClient()
    client.log_dict(run, {"changes": list(changes)}, "steered.json")
    client.set_tag(run, "steered", told[-MOST_SIGNS:])


MOST_SIGNS = 5000
"""No tag of MLflow may be longer."""


def sentence_of(error: Exception) -> str | None:
    """Return what an error says, in a line, if the words are this project's; others may quote.

    Args:
        error: What ended a run.
    """
    from ttc_bench.engines.hosting.secrets import Redactor

    if not isinstance(error, UserError):
        return None
    return Redactor()(" ".join(error.message.split()))


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
        points = able_points(pipeline, catalog)
        variants = sorted(points)
        if not variants:
            return
        model = catalog.load("params:model")
        names = ("max_usd", "max_requests", "concurrency")
        limits = {name: getattr(model, name) for name in names if hasattr(model, name)}
        own = catalog.load("params:aggregate").run_id or catalog.load("session_id")
        limit = catalog.load("run_settings").get("limit")
        self._events = catalog.load("events")
        title = pipeline_title(run_params)
        count = sum(map(len, points.values()))
        self._events.plan(title, variants, limits, run=own, limit=limit, points=count)
        self._telemetry = catalog.load("params:telemetry").build(catalog.load("engine").name)
        if self._telemetry is not None:
            self._events.watch(self._telemetry)
        self._events.watch(to_mlflow(catalog.load("tracker")))

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Tell the end."""
        self._end(None)

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Tell the end, and what brought it."""
        self._end(type(error).__name__, sentence_of(error))

    def _end(self, error: str | None, message: str | None = None) -> None:
        if self._events is not None:
            self._events.end(error, message)
            self._events = None
        if self._telemetry is not None:
            self._telemetry.close()
            self._telemetry = None
