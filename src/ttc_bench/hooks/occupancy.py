"""Two runs in one project: the second is refused where it would write what the first one uses."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from ttc_bench.errors import UserError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Occupant:
    """A run, and the files of the project that it uses.

    Attributes:
        run: Names of its pipelines.
        pid: Its process.
        since: When it began, in local time.
        writes: Files and folders that it writes, as the catalog has them.
        reads: The same for what it reads.
    """

    run: str
    pid: int
    since: str
    writes: tuple[str, ...]
    reads: tuple[str, ...]

    def shared_with(self, other: Occupant) -> list[str]:
        """Return what one of the two writes and the other one uses."""
        own = {*_overlaps(self.writes, other.writes + other.reads)}
        return sorted(own | {*_overlaps(self.reads, other.writes)})


class Occupancy:
    """Keeps a file for each run of a project, locked as long as its process lives.

    The lock of a file ends with its process, however that ends: what a dead one left is removed by
    the next run. Runs that share no file but the journal, which takes several writers, go on beside
    each other: nodes that are deployed apart do.
    """

    _folder = Path()
    _held: tuple[Path, IO[str]] | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Note where the project keeps its data."""
        self._folder = Path(context.project_path) / "data" / ".runs"

    @hook_impl(tryfirst=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Enter this run among those of the project.

        Raises:
            UserError: If another one is there that uses what this one writes, or the reverse.
        """
        self._leave()  # A run of this process that was interrupted told no hook of its end.
        writes = _paths(catalog, pipeline.all_outputs())
        if not writes:
            return
        own = Occupant(
            ", ".join(run_params.get("pipeline_names") or ()) or "__default__",
            os.getpid(),
            datetime.now().isoformat(sep=" ", timespec="seconds"),
            writes,
            _paths(catalog, pipeline.inputs()),
        )
        try:
            self._enter(own)
        except OSError as error:
            logger.warning("two runs at once would not be noticed: %s", error)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Leave the project to others."""
        self._leave()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Leave the project to others."""
        self._leave()

    def _enter(self, own: Occupant) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            for other in _others(self._folder):
                if shared := own.shared_with(other):
                    raise UserError(_refusal(other, shared))
            descriptor, name = tempfile.mkstemp(".json", dir=self._folder)
            file = os.fdopen(descriptor, "w")
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(json.dumps(asdict(own)))
            file.flush()
            self._held = Path(name), file

    def _leave(self) -> None:
        if self._held is not None:
            path, file = self._held
            path.unlink(missing_ok=True)
            file.close()
            self._held = None


def _others(folder: Path) -> Iterator[Occupant]:
    """Yield the runs whose processes live; remove what is left of others."""
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(FileNotFoundError), path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                facts = json.loads(file.read())
                lists = {name: tuple(facts[name]) for name in ("writes", "reads")}
                yield Occupant(**{**facts, **lists})
            else:
                path.unlink(missing_ok=True)


def _refusal(other: Occupant, shared: list[str]) -> str:
    more = f" and {len(shared) - 1} more" if len(shared) > 1 else ""
    return (
        f"another run is at work in this project: {other.run}, process {other.pid}, since"
        f" {other.since}; both use {shared[0]}{more}, and their results would mix. Wait until it is"
        " done or end it, or run in a copy of the project."
    )


def _paths(catalog: CatalogProtocol[Any, Any], names: set[str]) -> tuple[str, ...]:
    """Return where data sets lie, but for handles: their stores see to several users themselves."""
    from ttc_bench.datasets import HandleDataset

    places = set()
    for name in names:
        dataset = catalog.get(name)
        path = getattr(dataset, "_filepath", None) or getattr(dataset, "_path", None)
        if path is not None and not isinstance(dataset, HandleDataset):
            places.add(str(path))
    return tuple(sorted(places))


def _overlaps(own: tuple[str, ...], others: tuple[str, ...]) -> Iterator[str]:
    """Yield each path of ``own`` that another one is, lies in or holds."""
    for path in map(Path, own):
        for other in map(Path, others):
            if path == other or path in other.parents or other in path.parents:
                yield str(path)
                break
