"""Catalog datasets of the project: job files, and handles of what is extended in place."""

from __future__ import annotations

import json
import logging
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from html import escape
from itertools import islice
from operator import getitem
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import HTMLPreview, TablePreview
from kedro_datasets.pandas import ParquetDataset
from kedro_datasets.partitions import PartitionedDataset
from kedro_datasets.text import TextDataset
from kedro_datasets.yaml import YAMLDataset
from pydantic import ValidationError

from ttc_bench.benchmarks.scoring.kept import Kept
from ttc_bench.engines import EngineParams
from ttc_bench.engines.base import Engine
from ttc_bench.errors import DataError, UserError
from ttc_bench.params import yaml_faults
from ttc_bench.policies.events import Events
from ttc_bench.policies.journal import Journal
from ttc_bench.types import Job
from ttc_bench.workers import RayParams
from ttc_bench.workers.pool import Pool

logger = logging.getLogger(__name__)


ANEW = "`kedro run --pipeline=ingest_benchmarks` makes the file anew."
"""What to do with a damaged file of jobs."""


class JobsDataset(AbstractDataset[list[Job], list[Job]]):
    """Jobs as JSONL, one job a line, so that any run can be replayed on identical inputs.

    Args:
        filepath: The file.
        allow_empty: Whether a file without jobs is acceptable (a benchmark that the run does
            not select), or an error.
        allow_missing: Whether the jobs are of use as far as they are known: there may be no file,
            and so no jobs, and what another version has told of them beside is left out.
        metadata: Anything for tools such as kedro-viz.
    """

    def __init__(
        self,
        filepath: str,
        allow_empty: bool = False,
        allow_missing: bool = False,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = Path(filepath)
        self._allow_empty = allow_empty
        self._allow_missing = allow_missing
        self.metadata = metadata

    def load(self) -> list[Job]:
        """Return the jobs.

        Raises:
            DataError: If the file is missing or empty, or a record is malformed: the message
                names file, line and field.
        """
        if self._allow_missing and not self._filepath.exists():
            return []
        if not self._filepath.exists():
            raise DataError(
                f"no job file {self._filepath}: run `kedro run --pipeline=ingest_benchmarks` first."
            )
        jobs = self._read()
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

    def preview(self, nrows: int = 20) -> TablePreview:
        """Return the first jobs as kedro-viz shows a table: what is asked, and what is right.

        Args:
            nrows: Most jobs.
        """
        columns = ("id", "task", "difficulty", "question", "references", "max_tokens")
        rows = [
            [
                *(job.id, job.task, job.difficulty, job.messages[-1].content),
                *(" | ".join(map(str, job.references)), job.max_tokens),
            ]
            for job in islice(self._jobs(Counter()), nrows)
        ]
        return _preview(columns, rows)

    def _read(self) -> list[Job]:
        """Return all jobs.

        Raises:
            DataError: If one is malformed, or of another version: what a field asks for that this
                one does not know would not be asked.
        """
        partial: Counter[str] = Counter()
        jobs = list(self._jobs(partial))
        if not partial:
            return jobs
        names = ", ".join(sorted(partial))
        count = f"{max(partial.values())} of {len(jobs)} jobs"
        if not self._allow_missing:
            raise DataError(
                f"{self._filepath}: {count} hold what this version does not know ({names}), so that"
                " another one wrote them: make the file anew by"
                " `kedro run --pipeline=ingest_benchmarks`."
            )
        logger.warning("%s: %s are of another version, %s left out", self._filepath, count, names)
        return jobs

    def _jobs(self, partial: Counter[str]) -> Iterator[Job]:
        """Yield the jobs; count the fields that this version does not know, and leave them out."""
        # What is no UTF-8 is told with its line, and no text holds it.
        with self._filepath.open(encoding="utf-8", errors="surrogateescape") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    yield job_of(json.loads(line), partial)
                except ValidationError as error:
                    first = error.errors()[0]
                    field = ".".join(str(part) for part in first["loc"])
                    raise DataError(
                        f"{self._filepath}, line {number}, field {field!r}: {first['msg']}. {ANEW}"
                    ) from error
                except ValueError as error:
                    raise DataError(
                        f"{self._filepath}, line {number}: not valid JSON ({error}). {ANEW}"
                    ) from error

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


def job_of(record: Any, partial: Counter[str] | None = None) -> Job:
    """Return a record as a job, without the fields that a job does not have.

    Args:
        record: What a line of JSON holds.
        partial: Counts those fields, if there is one.

    Raises:
        ValidationError: If anything else is wrong.
    """
    try:
        return Job.model_validate(record)
    except ValidationError as error:
        unknown = {fault["loc"] for fault in error.errors() if fault["type"] == "extra_forbidden"}
        if not unknown:
            raise
        for *way, name in unknown:
            del reduce(getitem, way, record)[name]
        if partial is not None:
            partial.update({".".join(map(str, loc)) for loc in unknown})
        return Job.model_validate(record)


class TableDataset(ParquetDataset):  # type: ignore[misc]
    """A Parquet table, and a preview that holds whatever its columns hold, lists too."""

    def load(self) -> Any:
        """Return the table.

        Raises:
            DataError: If there is none, or it cannot be read: it was copied while it was written,
                say.
        """
        try:
            return super().load()
        except DatasetError as error:
            path, cause = self._get_load_path(), error.__cause__
            if isinstance(cause, FileNotFoundError):
                raise DataError(
                    f"there is no {path} yet: the stage before this one writes it, as `kedro run`"
                    " does."
                ) from error
            said = str(cause).split("\n", 1)[0].rstrip(".")
            raise DataError(
                f"{path} cannot be read ({said}): remove it, then run again what writes it."
            ) from error

    def preview(self, nrows: int = 20, columns: Sequence[str] | None = None) -> TablePreview:
        """Return the first rows as kedro-viz shows a table.

        Args:
            nrows: Most rows.
            columns: What is shown, as far as the table has it; ``None`` is all.
        """
        import pyarrow.parquet as pq

        with self._fs.open(str(self._get_load_path()), mode="rb") as file:
            table = pq.ParquetFile(file)
            names = [
                n for n in columns or table.schema_arrow.names if n in table.schema_arrow.names
            ]
            batch = next(table.iter_batches(max(1, nrows), columns=names), None)
        rows = batch.to_pylist()[:nrows] if batch is not None else []
        return _preview(names, [[_shown(row[name]) for name in names] for row in rows])


class OptionalTable(TableDataset):
    """A table that is empty where there is none: nobody has been asked for it yet."""

    def load(self) -> Any:
        """Return the table; without a file, one without columns."""
        import pandas as pd

        return super().load() if self.exists() else pd.DataFrame()


class KnownTables(PartitionedDataset):  # type: ignore[misc]
    """Tables of a folder by name, as far as they are there: none are no error."""

    def load(self) -> dict[str, Callable[[], Any]]:
        """Return what loads each table; nothing where there is none."""
        self._invalidate_caches()
        return dict(super().load()) if self._list_partitions() else {}


def _shown(value: Any) -> Any:
    """Return a value of a table as JSON holds it: what is no number and no text becomes text."""
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _preview(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> TablePreview:
    return TablePreview({"index": list(range(len(rows))), "columns": [*columns], "data": [*rows]})


class LinesDataset(TextDataset):  # type: ignore[misc]
    """A text file of which kedro-viz shows the first lines, its columns below each other."""

    def preview(self, nlines: int = 60) -> HTMLPreview:
        """Return the first lines.

        Args:
            nlines: Most lines.
        """
        with self._fs.open(str(self._get_load_path()), mode="r", encoding="utf-8") as lines:
            text = escape("".join(islice(lines, nlines)).strip("\n"))
        # Kedro-viz reads it as Markdown, in which names with underscores are emphasised.
        text = text.replace("_", "&#95;").replace("*", "&#42;")
        return HTMLPreview(f'<pre style="white-space: pre">{text}</pre>')


class RulesDataset(YAMLDataset):  # type: ignore[misc]
    """A YAML file in which no name stands twice: of two limits, the later one would replace."""

    def load(self) -> Any:
        """Return what the file holds.

        Raises:
            DataError: If it is not there, or no such YAML.
        """
        path = Path(str(self._get_load_path()))
        if not path.is_file():
            raise DataError(f"there is no file {path}.")
        if faults := yaml_faults(path):
            raise DataError("\n".join(faults))
        return super().load()


T = TypeVar("T")


class HandleDataset(AbstractDataset[Any, T]):
    """What nodes hold to read and extend it in place: opened once in a run, never saved."""

    def __init__(self, metadata: dict[str, Any] | None = None) -> None:
        self._opened: list[T] = []
        """The handle, once it is open; it may be ``None``."""
        self._lock = Lock()
        self.metadata = metadata

    @abstractmethod
    def _open(self) -> T: ...

    def load(self) -> T:
        """Return the handle, the same one for all nodes and threads."""
        with self._lock:
            if not self._opened:
                self._opened.append(self._open())
            return self._opened[0]

    def save(self, data: Any) -> None:
        """Refuse: whoever holds the handle writes through it.

        Raises:
            UserError: Always.
        """
        raise UserError("a handle cannot be an output of a node: its store is only appended to.")

    def _exists(self) -> bool:
        return True


class FileHandleDataset(HandleDataset[T]):
    """A handle of one file or folder.

    Args:
        filepath: Where it lies; it need not exist yet.
        metadata: Anything for tools such as kedro-viz.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(metadata)
        self._filepath = Path(filepath)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class JournalDataset(FileHandleDataset[Journal]):
    """The journal of completions, open for appending.

    Args:
        filepath: The JSONL file; made if missing.
        metadata: Anything for tools such as kedro-viz.
    """

    def _open(self) -> Journal:
        return Journal(self._filepath)


class EncodedDataset(FileHandleDataset[Kept]):
    """What the embedded encoder made of texts, kept over runs; it may be removed at any time.

    Args:
        filepath: The SQLite file; made if missing.
        metadata: Anything for tools such as kedro-viz.
    """

    def _open(self) -> Kept:
        return Kept(self._filepath)


class EventsDataset(HandleDataset[Events]):
    """What a run tells of itself, for who watches it; see `ttc_bench.policies.events`.

    Args:
        path: Folder of the files, one per run; made with the first event.
        metadata: Anything for tools such as kedro-viz.
    """

    def __init__(self, path: str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(metadata)
        self._path = Path(path)

    def _open(self) -> Events:
        return Events(self._path)

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._path)}


class StoreDataset(FileHandleDataset[Path]):
    """The path of what is kept over runs: the warehouse of dbt, the checkpoints of a training.

    Args:
        filepath: The file or folder; it need not exist yet.
        metadata: Anything for tools such as kedro-viz.
    """

    def _open(self) -> Path:
        """Return the path, in a folder that exists.

        Raises:
            UserError: If the folder cannot be made.
        """
        try:
            self._filepath.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot make the folder of {self._filepath}: {error.strerror}."
                " Make the folder above it writable or change its path in the catalog."
            ) from error
        return self._filepath


class EngineDataset(HandleDataset[Engine]):
    """The models of a run: weights are loaded when first used, and once for all policies.

    Args:
        params: Which engine, and its models.
        is_asked: Whether it is to make calls; where it is not, it needs no key.
    """

    def __init__(self, params: EngineParams, is_asked: bool = True) -> None:
        super().__init__({"kedro-viz": {"layer": "models"}})
        self._params, self._is_asked = params, is_asked

    def _open(self) -> Engine:
        return self._params.build() if self._is_asked else self._params.build_unasked()

    def _describe(self) -> dict[str, Any]:
        return self._params.model_dump(mode="json")


class WorkersDataset(HandleDataset[Pool | None]):
    """Ray's workers of a run, or ``None``: they start when first asked for and end with the run.

    Args:
        ray: Where they are, and how many.
        model: The models that each holds.
        journal: Where the run's journal is.
    """

    def __init__(self, ray: RayParams, model: EngineParams, journal: Path | None) -> None:
        super().__init__({"kedro-viz": {"layer": "models"}})
        self._ray, self._model, self._journal = ray, model, journal

    def _open(self) -> Pool | None:
        """Return the workers, started.

        Raises:
            UserError: If they cannot be.
        """
        if self._ray.workers == 0:
            return None
        if self._model.is_hosted:
            logger.warning(
                "parameter ray: the models are hosted, so this process makes all calls and its"
                " limits hold for all of them; Ray starts no workers"
            )
            return None
        pool = Pool(self._ray, self._model, self._journal)
        pool.start()
        return pool

    def close(self) -> None:
        """End the workers, if they were started."""
        while self._opened:
            if (pool := self._opened.pop()) is not None:
                pool.close()

    def _describe(self) -> dict[str, Any]:
        return self._ray.model_dump(mode="json")
