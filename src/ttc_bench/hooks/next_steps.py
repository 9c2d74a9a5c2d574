"""What to open next: the last lines of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import click
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from ttc_bench.errors import GateError
from ttc_bench.reporting.mlflow_runs import BEST_FIRST
from ttc_bench.reporting.tracker import without_login

PAGES = {
    "report_html": "the report: decision, tables, plots",
    "changes_html": "what changed",
    "gate_verdicts": "the ruling, for programs",
    "gate_junit": "the same, for what shows test results",
}
"""Datasets that are files to open, and what they are."""

WIDTH = 30
"""Of the column of places; an address is longer, and has a line for itself."""


class NextSteps:
    """Names what a run has made to be looked at, once all of it is there."""

    _context: Any = None
    """Kedro's context, with the configuration that kedro-mlflow adds to it."""
    _run: tuple[str, str] | None = None
    """Ids of the experiment and of the run in MLflow, if it is tracked."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Keep what knows the folder of the project and the address of MLflow."""
        self._context = context

    @hook_impl(trylast=True)
    def before_pipeline_run(self) -> None:
        """Note the run that kedro-mlflow opened: it is closed before there is anything to open."""
        import mlflow

        run = mlflow.active_run()
        self._run = (run.info.experiment_id, run.info.run_id) if run else None

    @hook_impl
    def on_pipeline_error(
        self, error: Exception, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Say what to open after a verdict, too, for which the run ends as one that fails."""
        if isinstance(error, GateError):
            self.after_pipeline_run(pipeline, catalog)

    @hook_impl(trylast=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Say what to open."""
        made = pipeline.all_outputs()
        pages = {name: text for name, text in PAGES.items() if name in made}
        if not pages:
            return
        folder = self._context.project_path
        lines = [
            (os.path.relpath(catalog[name]._filepath, folder), text) for name, text in pages.items()
        ]
        is_there = catalog.load("tracker").reason is None
        if self._run and is_there and "mlflow_runs" in made:
            lines += _tracked(self._context.mlflow, *self._run)
        if "report_html" in made:
            lines.append(("kedro dashboard", "all of it, with every answer, to look around in"))
            lines.append(("kedro viz run", "the graph, with a preview of each table"))
        click.echo("Open next:")
        for place, text in lines:
            click.echo(f"  {place:<{WIDTH}}  {text}".rstrip())


def _tracked(config: Any, experiment: str, run: str) -> Iterator[tuple[str, str]]:
    """Yield how to reach MLflow, and where it compares the variants of the run."""
    address = str(config.server.mlflow_tracking_uri)
    if not address.startswith("http"):
        yield "kedro mlflow ui", "starts MLflow, which compares the variants of this run at"
        address = f"http://{config.ui.host}:{config.ui.port}"
    yield comparison_link(address, experiment, run), ""


def comparison_link(address: str, experiment: str, run: str) -> str:
    """Return where MLflow shows the nested runs of a run side by side; a login is left out.

    Args:
        address: That of the user interface.
        experiment: Id of the experiment.
        run: Id of the run whose nested runs are compared.
    """
    asked = {
        "searchFilter": f"tags.`mlflow.parentRunId` = '{run}'",
        # In order of time MLflow would fold them into their parent.
        "orderByKey": f"metrics.`{BEST_FIRST}`",
        "orderByAsc": "false",
        "compareRunsMode": "CHART",
    }
    query = urlencode(asked, quote_via=quote)
    return f"{without_login(address)}/#/experiments/{experiment}/runs?{query}"
