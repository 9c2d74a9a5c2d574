"""Tables of the catalog, read by DuckDB where they lie: never a second copy, never a write.

Every path comes from the catalog and lies in the project's folder; DuckDB itself is locked to that
folder, and credentials are not among what is read.
"""

from __future__ import annotations

import atexit
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttc_bench.benchmarks.base import question_of
from ttc_bench.dashboard.columns import ANEW, NOT_ANEW, faults
from ttc_bench.errors import DataError, UserError
from ttc_bench.ratings.pairs import ANSWERED
from ttc_bench.types import DataFrame, Job

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from kedro.io import DataCatalog

Values = tuple[tuple[Any, ...], ...]
"""What columns are to be equal to, one of several for each."""

Where = Mapping[str, Any]
"""What columns are to be equal to; a list stands for any of its values, ``None`` for no limit."""


MOST_LOOKS = 10
"""Times that a table is read anew which is replaced each time while it is read."""

MOST_TABLES = 32
"""Tables that are kept in memory, each as long as its files stay as they are."""


@dataclass(frozen=True)
class Place:
    """A file or a folder of the catalog, as it is now.

    Attributes:
        path: Where it lies.
        stamp: What changes whenever it is written; what is kept of it is kept under this.
    """

    path: Path
    stamp: tuple[Any, ...]


class Store:
    """What a project has measured.

    Args:
        folder: The project's folder.
        env: The environment of the configuration; ``None`` is Kedro's own choice.

    Attributes:
        run: The folder of an earlier run among those kept, whose scores are then read in place of
            the last run's; ``None`` is the last run.
    """

    def __init__(self, folder: Path, env: str | None = None) -> None:
        self.folder = folder.resolve()
        self.run: str | None = None
        self._env = env

    @lru_cache(maxsize=MOST_TABLES)  # noqa: B019  (a store lives as long as the process)
    def at(self, run: str) -> Store:
        """Return the store of an earlier run: its scores are that run's, all else is the same."""
        other = copy(self)
        # One configuration and one connection for all of them.
        other._catalog, other._duckdb, other.run = self._catalog, self._duckdb, run
        atexit.register(other.__dict__.pop, "_duckdb", None)
        return other

    @cached_property
    def _config(self) -> Any:
        from kedro.framework import project

        known = project.PACKAGE_NAME
        if known != "ttc_bench":  # To look for settings takes longer than most pages.
            project.configure_project("ttc_bench")
        settings = project.settings
        source = str(self.folder / settings.CONF_SOURCE)
        arguments = {**settings.CONFIG_LOADER_ARGS, "env": self._env}
        return settings.CONFIG_LOADER_CLASS(conf_source=source, **arguments)

    @cached_property
    def _catalog(self) -> DataCatalog:
        from kedro.io import DataCatalog

        return DataCatalog.from_config(self._config["catalog"])

    @cached_property
    def _duckdb(self) -> DuckDBPyConnection:
        import duckdb

        connection = duckdb.connect()
        # Whatever a query says, no other folder is read and nothing comes from a network.
        connection.execute(f"set allowed_directories = [{_quoted(str(self.folder), chr(39))}]")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        # What outlives the interpreter is told by DuckDB as a leak, in the terminal.
        atexit.register(self.__dict__.pop, "_duckdb", None)
        return connection

    def parameters(self, name: str) -> Any:
        """Return a group of parameters as it stands in the configuration."""
        files = _stamp(Path(self._config.conf_source), "*.y*ml")
        return self._parameters(files).get(name) or {}

    @lru_cache(maxsize=1)  # noqa: B019
    def _parameters(self, _: tuple[Any, ...]) -> Mapping[str, Any]:
        """Return all parameters; reading them takes longer than most pages."""
        parameters: Mapping[str, Any] = self._config["parameters"]
        return parameters

    def place(self, name: str, part: str = "") -> Place:
        """Return where a data set lies, or one part of a partitioned one.

        Raises:
            UserError: If it lies outside of the project.
        """
        if name == "all_scores" and self.run is not None:
            name, part = "kept_scores", self.run
        dataset = self._catalog.get(name)
        own = getattr(dataset, "_filepath", None) or getattr(dataset, "_path", None)
        whole = self._within((self.folder / str(own)).resolve(), self.folder)
        path = self._within((whole / part).resolve(), whole)
        return Place(path, _stamp(path))

    def name_of(self, name: str) -> str:
        """Return the path of a data set as people are told of it: from the project's folder."""
        return self._short(self.place(name).path)

    def _within(self, path: Path, folder: Path) -> Path:
        """Return a path that a folder of the project holds, links followed.

        Raises:
            UserError: If it lies elsewhere.
        """
        if not path.is_relative_to(folder):
            where = "the project" if folder == self.folder else self._short(folder)
            raise UserError(f"{path.name} lies outside of {where}; only what is within is read.")
        return path

    def parts(self, name: str) -> list[str]:
        """Return the names of the Parquet files of a partitioned data set."""
        return self.files(name, ".parquet")

    def files(self, name: str, suffix: str) -> list[str]:
        """Return the names of the files of a folder of the catalog, in alphabetical order."""
        folder = self.place(name).path
        return sorted(str(path.relative_to(folder)) for path in folder.rglob(f"*{suffix}"))

    def columns(self, name: str, part: str = "") -> list[str]:
        """Return the names of the columns of a table.

        Raises:
            DataError: If it is not there, or cannot be read.
        """
        schemas = self._schemas(self.place(name, part)).values()
        return list(dict.fromkeys(column for one in schemas for column in one))

    def table(
        self,
        name: str,
        columns: Sequence[str] = (),
        where: Where | None = None,
        part: str = "",
        distinct: bool = False,
    ) -> DataFrame:
        """Return rows of a table of the catalog.

        Args:
            name: Name of the data set.
            columns: The columns; none are all.
            where: Which rows.
            part: Name of a part of a partitioned data set.
            distinct: Whether equal rows are returned once.

        Returns:
            A table that is shared: it must not be changed in place.

        Raises:
            DataError: If it is not there, or cannot be read.
        """
        chosen = ", ".join(map(_quoted, columns)) or "*"
        conditions, values = ["true"], list[Any]()
        for column, value in (where or {}).items():
            if value is not None:
                conditions.append(f"list_contains(?, {_quoted(column)})")
                values.append(tuple(value) if isinstance(value, list) else (value,))
        kind = "select distinct" if distinct else "select"
        source = f"read_parquet(?, union_by_name = true) where {' and '.join(conditions)}"
        query = f"{kind} {chosen} from {source}"
        asked = (*columns, *(where or ())) if columns else ()
        for _ in range(MOST_LOOKS):
            place = self.place(name, part)
            try:
                return self._checked(place, name, asked, query, tuple(values))
            except DataError:
                # What a run put another in place of, while it was read, is read as it is by now.
                if self.place(name, part) == place:
                    raise
        return self._checked(self.place(name, part), name, asked, query, tuple(values))

    def _checked(
        self, place: Place, name: str, asked: tuple[str, ...], query: str, values: Values
    ) -> DataFrame:
        """Return rows of files whose columns are as expected."""
        schemas = self._schemas(place)
        everywhere = {column for there in schemas.values() for column in there}
        for file, there in schemas.items():
            # A file of a folder may lack what others have: it is null there.
            own = [column for column in asked if column in there or column not in everywhere]
            if fault := next(faults(name, own if asked else (), there), None):
                raise DataError(
                    f"{self._short(file)} {fault} It is of another version, or no such table."
                    f" {self._remedy(file)}"
                )
        return self._rows(place, query, values)

    @lru_cache(maxsize=MOST_TABLES)  # noqa: B019  (a store lives as long as the process)
    def _schemas(self, place: Place) -> Mapping[Path, Mapping[str, Any]]:
        """Return the types of the columns of each file at a place, by their names."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        schemas = dict[Path, Mapping[str, Any]]()
        for file in self._files(place):
            try:
                schema = pq.read_schema(file)
            except (OSError, pa.ArrowException) as error:
                raise DataError(self._unreadable(file, error)) from error
            schemas[file] = {field.name: field.type for field in schema}
        return schemas

    def _files(self, place: Place) -> list[Path]:
        """Return the files at a place, all of which lie within the project.

        Raises:
            DataError: If there is none.
        """
        files = sorted(place.path.rglob("*.parquet")) if place.path.is_dir() else [place.path]
        files = [self._within(file.resolve(), self.folder) for file in files]
        if not files or not place.path.exists():
            raise DataError(
                f"{self._short(place.path)} is not there yet: make a run first, e.g. by"
                " `kedro run --pipeline=speculative`."
            )
        return files

    @lru_cache(maxsize=MOST_TABLES)  # noqa: B019
    def _rows(self, place: Place, query: str, values: Values) -> DataFrame:
        import duckdb

        # A cursor of its own: pages of several people are made at the same time.
        parameters = [[str(file) for file in self._files(place)], *map(list, values)]
        try:
            rows = self._duckdb.cursor().sql(query, params=parameters)
            return _frame(rows.to_arrow_table())
        except duckdb.Error as error:
            raise DataError(self._unreadable(place.path, error)) from error

    def _unreadable(self, path: Path, error: Exception) -> str:
        """Return what is told of a file that cannot be read."""
        if isinstance(error, FileNotFoundError):
            return f"{self._short(path)} is not there. {self._remedy(path)}"
        why = " ".join(str(error).split("\n", 1)[0].split()).replace(f"{self.folder}/", "")
        return (
            f"{self._short(path)} cannot be read: a run is writing it at this moment, or it is"
            f" damaged ({why.rstrip('.')}). If this stays, remove the file. {self._remedy(path)}"
        )

    def _remedy(self, path: Path) -> str:
        return NOT_ANEW if path.is_relative_to(self.place("kept_scores").path) else ANEW

    def job(self, name: str) -> Job:
        """Return a question by its id.

        Raises:
            DataError: If it is not among the jobs, or these cannot be read.
        """
        jobs, faults = self._jobs(self.place("jobs"))
        if name in jobs:
            return jobs[name]
        raise DataError(
            f"{name} is not among the questions that are stored now. {self.stored_questions()}"
            f" {' '.join(faults[:1])}".rstrip()
        )

    def stored_questions(self) -> str:
        """Return which questions are stored now, and how those of another run come back.

        Every run writes its own as it begins, one that comes to nothing, too.

        Raises:
            DataError: If they cannot be read.
        """
        names = Counter(job.benchmark for job in self.jobs())
        now = ", ".join(f"{n} of {name}" for name, n in sorted(names.items())) or "none"
        return (
            f"Stored are the questions of the run that was begun last ({now}), even if it failed."
            " The command of the earlier run, given again, brings its own back, and replays what"
            " is computed."
        )

    def jobs(self) -> list[Job]:
        """Return all questions that are stored, without those whose line is damaged.

        Raises:
            DataError: If they cannot be read.
        """
        return list(self._jobs(self.place("jobs"))[0].values())

    @lru_cache(maxsize=2)  # noqa: B019
    def _jobs(self, place: Place) -> tuple[dict[str, Job], list[str]]:
        """Return each job by its id, and what is wrong with lines that are none."""
        from ttc_bench.datasets import job_of

        jobs, faults = dict[str, Job](), list[str]()
        try:
            # Texts hold other line breaks than the one that ends a record.
            lines = place.path.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError as error:
            raise DataError(self._unreadable(place.path, error)) from error
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                job = job_of(json.loads(line))
                jobs[job.id] = job
            except (ValueError, RecursionError):
                faults.append(f"Line {number} of {self._short(place.path)} is no job. {ANEW}")
        return jobs, faults

    def answers(self) -> DataFrame:
        """Return the stored responses whose question is stored as it was asked of them.

        Jobs are those of the last run, responses those that each variant gave last: another run's
        may stand under the same id.

        Returns:
            Columns `ttc_bench.ratings.pairs.ANSWERED`.

        Raises:
            DataError: If responses or jobs are not there, or cannot be read.
        """
        responses, now = self.table("stored_responses", ANSWERED), self._asked_now()
        then = self._asked_then()
        keys = zip(*(responses[name] for name in ("policy", "variant", "job_id")), strict=True)
        is_asked = [key[-1] in now and then.get(key) in (None, now[key[-1]]) for key in keys]
        return responses[is_asked]

    def _asked_now(self) -> dict[str, str]:
        return {job.id: question_of(job) for job in self.jobs()}

    def _asked_then(self) -> dict[tuple[Any, ...], str]:
        """Return what each variant was asked, as far as its scores tell."""
        if not self.parts("stored_scores") or "question" not in self.columns("stored_scores"):
            return {}
        names = ("policy", "variant", "job_id", "question")
        scores = self.table("stored_scores", names).dropna(subset="question")
        return {tuple(key): question for *key, question in scores.itertuples(index=False)}

    def json(self, name: str, part: str = "") -> Any:
        """Return what a JSON file of the catalog holds.

        Raises:
            DataError: If it is not there, or cannot be read.
        """
        place = self.place(name, part)
        try:
            return json.loads(place.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(self._unreadable(place.path, error)) from error

    def _short(self, path: Path) -> str:
        return str(path.relative_to(self.folder))


@lru_cache(maxsize=4)
def opened(folder: Path, env: str | None = None) -> Store:
    """Return the store of a project: one for all pages and people, and all that is kept of it.

    (Streamlit runs the script of a page anew at every click, so that nothing stays there.)
    """
    return Store(folder, env)


def _frame(table: Any) -> DataFrame:
    """Return a table of Arrow with the types that the catalog loads it with."""
    import pandas as pd
    import pyarrow as pa

    # Lists stay Python objects: pandas cannot read back the Arrow type of a list by its name.
    frame: DataFrame = table.to_pandas(
        types_mapper=lambda kind: None if pa.types.is_list(kind) else pd.ArrowDtype(kind)
    )
    return frame


def _stamp(path: Path, names: str = "*.parquet") -> tuple[Any, ...]:
    """Return sizes and times of the files at a path, of a folder those of such names."""
    files = sorted(path.rglob(names)) if path.is_dir() else [path]
    stats = list[tuple[Any, ...]]()
    for file in files:
        # One that is replaced meanwhile is gone for a moment.
        with suppress(OSError):
            stat = file.stat()
            stats.append((str(file), stat.st_mtime_ns, stat.st_size))
    return tuple(stats)


def _quoted(name: str, sign: str = '"') -> str:
    return sign + name.replace(sign, 2 * sign) + sign
