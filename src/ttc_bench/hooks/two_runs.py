"""Files of two runs that lie side by side: it is told, and no report is made of them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

import click
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from ttc_bench.errors import UserError

STAGE = "reporting"
"""Namespace of the nodes that say what the scores amount to."""

SCORES, REPORT = "all_scores", "report_html"
"""The first of their files, from which all others are made, and the last one."""

LEDGER = ".written.json"
"""File beside the scores: of which scores each other file is made, by the dataset's name."""

EARLIER = "earlier"
"""Stands for the scores of files that were there before there was a ledger."""

ANEW = "`kedro run --pipelines=aggregate,report` makes all of one."


class TwoRuns:
    """Knows of which scores each file of a report is made."""

    _catalog: Any = None
    _outputs: Collection[str] = ()
    """What the run is to write of them."""
    _written: set[str]
    _ledger: dict[str, str]

    def __init__(self) -> None:
        self._written, self._ledger, self._lock = set(), {}, Lock()

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Note what the run is to write.

        Raises:
            UserError: If what it finds is of several runs.
        """
        self._catalog, self._written = catalog, set()
        self._ledger = self._read()
        own = (node for node in pipeline.nodes if node.namespace == STAGE)
        self._outputs = sorted({name for node in own for name in node.outputs})
        found = [name for name in sorted(pipeline.inputs()) if name in self._ledger]
        if older := [name for name in found if self._ledger[name] != self._ledger[SCORES]]:
            more = f" and {len(older) - 1} more" if len(older) > 1 else ""
            raise UserError(
                f"{older[0]}{more} in {self._path(SCORES).parent.name}: made from other scores than"
                f" those beside them (a run broke off, or was asked for a part). {ANEW}"
            )

    @hook_impl
    def before_dataset_saved(self, dataset_name: str) -> None:
        """Note that what lies there is from now on of other scores, were they not finished."""
        if dataset_name != SCORES or SCORES not in self._outputs:
            return
        from ttc_bench.pipelines.aggregate import create_pipeline

        every = {*create_pipeline().all_outputs(), *self._outputs}
        unknown = {name: EARLIER for name in every - self._ledger.keys() if self._has(name)}
        with self._lock:
            self._write({**unknown, SCORES: uuid4().hex})

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Note what it has written."""
        if dataset_name not in self._outputs or not self._has(dataset_name):
            return
        with self._lock:
            self._written.add(dataset_name)
            if SCORES in self._ledger:
                self._write({dataset_name: self._ledger[SCORES]})

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Tell of a run that failed."""
        self.broke_off()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Tell of a report that the run did not write, and of which it wrote the tables."""
        self._outputs = ()
        is_older = REPORT not in self._written and self._has(REPORT)
        if SCORES in self._written and is_older:
            click.echo(
                f"{self._path(REPORT).name} and its plots are of an earlier run: `kedro run"
                " --pipeline=report` makes them of this one.",
                err=True,
            )

    def broke_off(self) -> None:
        """Tell that a run leaves some files of its own beside those that it did not come to."""
        left = [name for name in self._outputs if name not in self._written and self._has(name)]
        if self._written and left:
            click.echo(
                f"{self._path(left[0]).parent.name} holds files of two runs now,"
                f" {len(self._written)} of this one and {len(left)} of an earlier one: {ANEW}",
                err=True,
            )
        self._outputs = ()

    def _path(self, name: str) -> Path:
        """Return where the file of a dataset is, or would be; nowhere is a folder."""
        dataset = self._catalog.get(name) if self._catalog else None
        return Path(getattr(dataset, "_filepath", "") or ".")

    def _has(self, name: str) -> bool:
        return self._path(name).is_file()

    def _read(self) -> dict[str, str]:
        """Return the ledger; nothing where there is none, or none of the scores that lie there."""
        try:
            found = json.loads((self._path(SCORES).parent / LEDGER).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) and SCORES in found else {}

    def _write(self, changes: dict[str, str]) -> None:
        """Write changes into the ledger, beside those that another process has made meanwhile."""
        self._ledger = {**self._ledger, **self._read(), **changes}
        place = self._path(SCORES).parent / LEDGER
        beside = place.with_name(f"{LEDGER}.{os.getpid()}")
        with contextlib.suppress(OSError):  # What it saves next tells a disk that is full.
            place.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps(self._ledger, sort_keys=True), encoding="utf-8")
            beside.replace(place)


TWO_RUNS = TwoRuns()
"""Of this process: Kedro tells no hook that a run was interrupted."""
