"""Catalog datasets of the project: job files, the journal of completions, the warehouse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset
from pydantic import ValidationError

from ttc_bench.errors import DataError, UserError
from ttc_bench.policies.journal import Journal
from ttc_bench.types import Job


class JobsDataset(AbstractDataset[list[Job], list[Job]]):
    """Jobs as JSONL, one job a line, so that any run can be replayed on identical inputs.

    Args:
        filepath: The file.
        allow_empty: Whether a file without jobs is acceptable (a benchmark that the run does
            not select), or an error.
        metadata: Anything for tools such as kedro-viz.
    """

    def __init__(
        self, filepath: str, allow_empty: bool = False, metadata: dict[str, Any] | None = None
    ) -> None:
        self._filepath = Path(filepath)
        self._allow_empty = allow_empty
        self.metadata = metadata

    def load(self) -> list[Job]:
        """Return the jobs.

        Raises:
            DataError: If the file is missing or empty, or a record is malformed: the message
                names file, line and field.
        """
        if not self._filepath.exists():
            raise DataError(
                f"no job file {self._filepath}: run `kedro run --pipeline=ingest_benchmarks` first."
            )
        jobs = list(self._jobs())
        if not jobs and not self._allow_empty:
            raise DataError(
                f"job file {self._filepath} holds no job:"
                " run `kedro run --pipeline=ingest_benchmarks` to make it anew."
            )
        return jobs

    def save(self, data: list[Job]) -> None:
        """Write the jobs, replacing the file in one step."""
        try:
            self._filepath.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._filepath.with_suffix(".tmp")
            lines = "".join(job.model_dump_json() + "\n" for job in data)
            temporary.write_text(lines, encoding="utf-8")
            temporary.replace(self._filepath)
        except OSError as error:
            raise UserError(
                f"cannot write the job file {self._filepath}: {error.strerror}."
                " Make its folder writable or change its path in the catalog."
            ) from error

    def _jobs(self) -> Iterator[Job]:
        with self._filepath.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield Job.model_validate(json.loads(line))
                except ValidationError as error:
                    first = error.errors()[0]
                    field = ".".join(str(part) for part in first["loc"])
                    raise DataError(
                        f"{self._filepath}, line {number}, field {field!r}: {first['msg']}."
                    ) from error
                except ValueError as error:
                    raise DataError(
                        f"{self._filepath}, line {number}: not valid JSON ({error})."
                    ) from error

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class JournalDataset(AbstractDataset[Any, Journal]):
    """The journal of completions: loading opens it for appending, saving is not possible.

    Args:
        filepath: The JSONL file; made if missing.
        metadata: Anything for tools such as kedro-viz.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self._journal: Journal | None = None
        self.metadata = metadata

    def load(self) -> Journal:
        """Return the journal, opened once per run."""
        if self._journal is None:
            self._journal = Journal(self._filepath)
        return self._journal

    def save(self, data: Any) -> None:
        """Refuse: the journal is only ever appended to.

        Raises:
            UserError: Always.
        """
        raise UserError("the journal cannot be an output of a node: it is only appended to.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class WarehouseDataset(AbstractDataset[Path, Any]):
    """The DuckDB file in which dbt keeps its models, and what earlier runs left there.

    Args:
        filepath: The file; it need not exist yet.
        metadata: Anything for tools such as kedro-viz.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        """Return the path of the file, in a folder that exists.

        Raises:
            UserError: If the folder cannot be made.
        """
        try:
            self._filepath.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot make the folder of the warehouse {self._filepath}: {error.strerror}."
                " Make the folder above it writable or change its path in the catalog."
            ) from error
        return self._filepath

    def save(self, data: Any) -> None:
        """Refuse: dbt writes into the file.

        Raises:
            UserError: Always.
        """
        raise UserError("the warehouse cannot be an output of a node: dbt writes into it.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
