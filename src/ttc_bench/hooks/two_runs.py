"""Files of two runs that lie side by side: a run says so where it leaves them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import click
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

STAGE = "reporting"
"""Namespace of the nodes that say what the scores amount to."""


class TwoRuns:
    """Knows which files of a report a run has written, and which are of an earlier one."""

    _catalog: Any = None
    _outputs: Collection[str] = ()
    """What the run is to write of them."""
    _written: set[str]

    def __init__(self) -> None:
        self._written = set()

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Note what the run is to write."""
        self._catalog, self._written = catalog, set()
        own = (node for node in pipeline.nodes if node.namespace == STAGE)
        self._outputs = sorted({name for node in own for name in node.outputs})

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Note what it has written."""
        if dataset_name in self._outputs and self._file(dataset_name):
            self._written.add(dataset_name)

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Tell of a run that failed."""
        self.broke_off()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Tell of a report that the run did not write, and of which it wrote the tables."""
        self._outputs = ()
        report = self._file("report_html")
        if "all_scores" in self._written and "report_html" not in self._written and report:
            click.echo(
                f"{report.name} and its plots are of an earlier run: `kedro run --pipeline=report`"
                " makes them of this one.",
                err=True,
            )

    def broke_off(self) -> None:
        """Tell that a run leaves some files of its own beside those that it did not come to."""
        left = [name for name in self._outputs if name not in self._written and self._file(name)]
        if self._written and left:
            first = self._file(left[0])
            assert first is not None
            click.echo(
                f"{first.parent.name} holds files of two runs now, {len(self._written)} of this"
                f" one and {len(left)} of an earlier one, until a run comes to its end.",
                err=True,
            )
        self._outputs = ()

    def _file(self, name: str) -> Path | None:
        """Return the file of a dataset, if there is one."""
        path = getattr(self._catalog.get(name), "_filepath", None) if self._catalog else None
        return Path(path) if path is not None and Path(path).is_file() else None


TWO_RUNS = TwoRuns()
"""Of this process: Kedro tells no hook that a run was interrupted."""
