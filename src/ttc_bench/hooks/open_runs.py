"""Runs of MLflow whose process was killed: nobody else would ever say there that they are over."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import IO

SUFFIX = ".mlflow"
"""Of a file that is named after a run and locked as long as its process lives."""


class OpenRun:
    """Marks the run of this process as open, however the process ends."""

    _marked: tuple[Path, IO[str]] | None = None

    def enter(self, folder: Path, run: str) -> None:
        """Mark a run; where nothing can be written, nobody will know that it was killed.

        Args:
            folder: Where the project keeps what it knows of its runs.
            run: Id of the run.
        """
        self.leave()
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{run}{SUFFIX}"
            file = path.open("w")
            fcntl.flock(file, fcntl.LOCK_EX)
            self._marked = path, file

    def leave(self) -> None:
        """Mark it no more: it has ended in MLflow, too."""
        if self._marked is not None:
            path, file = self._marked
            path.unlink(missing_ok=True)
            file.close()
            self._marked = None


def end_killed(folder: Path, address: str) -> None:
    """End the runs of a project in MLflow whose processes live no more.

    Args:
        folder: See `OpenRun.enter`.
        address: Address of MLflow's store.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    for run in _dead(folder):
        client = MlflowClient(address)
        with contextlib.suppress(MlflowException):  # It may have been deleted there.
            if client.get_run(run).info.status == "RUNNING":
                client.set_terminated(run, "KILLED")


def _dead(folder: Path) -> Iterator[str]:
    """Yield the runs that are marked by nobody who lives; their marks go."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        with contextlib.suppress(OSError), path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield path.stem
            path.unlink(missing_ok=True)
