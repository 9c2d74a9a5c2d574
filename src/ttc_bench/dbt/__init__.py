"""The dbt project of the marts, and how to run it on a table of scores."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextvars import copy_context
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ttc_bench.errors import DataError, UserError
from ttc_bench.metrics.base import LONG_COLUMNS
from ttc_bench.types import DataFrame

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult
    from dbt.contracts.graph.manifest import Manifest
    from duckdb import DuckDBPyConnection

PROJECT = Path(__file__).parent

SOURCES = "runs"
"""Schema of the sources in the warehouse."""

TAKEN = frozenset({"main", "temp", "system", "information_schema", "pg_catalog", SOURCES})
"""Names of DuckDB's own databases and schemas and of that one: none is left for a database."""

MOST_MANIFESTS = 8
"""Parsed projects that are kept: each is a megabyte, and a change of any file makes another."""

MOST_ROWS = 3
"""Rows that are told of those that do not pass a test."""

IN_USE = "set lock"
"""What DuckDB says of a file that another process has open."""

DIGEST_BYTES = 32
"""Of a SHA-256, which stands before a kept project."""


def marts() -> list[str]:
    """Return the names of the marts, which are what other stages read: a file each."""
    return sorted(path.stem for path in (PROJECT / "models" / "marts").glob("*.sql"))


def build(warehouse: Path, run: Callable[[Path], None]) -> dict[str, DataFrame]:
    """Run and test the dbt project and return its marts by name.

    Args:
        warehouse: The DuckDB file, with its sources written. All models but ``history`` are made
            anew; dbt's own files go to a temporary folder.
        run: Runs dbt on it: `run_build`, or that of `ttc_bench.dbt.ahead`.

    Raises:
        DataError: If a model or a test fails; the message names it.
        UserError: If another process has the warehouse open.
    """
    run(warehouse)
    with _opened(warehouse, read_only=True) as connection:
        return {name: connection.table(name).df() for name in marts()}


def run_build(warehouse: Path) -> None:
    """Run and test the dbt project on the sources in the warehouse.

    Raises:
        DataError: If there are none, or if a model or a test fails; the message names it.
        UserError: If another process has the warehouse open.
    """
    _check_sources(warehouse)
    with tempfile.TemporaryDirectory() as folder:
        # Nobody reads the manifest and results that dbt would write there, half a second long.
        invoke("build --no-write-json", warehouse, Path(folder))


def name_fault(warehouse: Path) -> str:
    """Return why a file cannot be the warehouse, in a line; empty where it can.

    DuckDB calls a database by its file up to the first dot, whatever the case of its letters.
    """
    name = warehouse.name.partition(".")[0]
    if name.lower() not in TAKEN:
        return ""
    return (
        f"the warehouse {warehouse}: DuckDB calls a database by its file, and {name!r} is"
        f" a name of its own. Take any but {', '.join(sorted(TAKEN))}, such as warehouse.duckdb."
    )


def write_sources(tables: Mapping[str, DataFrame], warehouse: Path) -> None:
    """Write the sources into the warehouse, as the tables of its schema ``runs``.

    Raises:
        UserError: If another process has the warehouse open, or its name is taken.
    """
    import pyarrow as pa

    if fault := name_fault(warehouse):
        raise UserError(fault)
    with _opened(warehouse) as connection:
        connection.execute(f"drop schema if exists {SOURCES} cascade")
        connection.execute(f"create schema {SOURCES}")
        for name, table in tables.items():
            short = table.drop(columns=[c for c in LONG_COLUMNS if c in table])
            connection.register("source", pa.Table.from_pandas(short, preserve_index=False))
            connection.execute(f"create table {SOURCES}.{name} as from source")
        _read_history(connection)


def _check_sources(warehouse: Path) -> None:
    """Raise unless the warehouse is one, and the sources are in it."""
    if warehouse.exists():
        with _opened(warehouse, read_only=True) as connection:
            if _tables(connection, SOURCES):
                return
    raise DataError(
        f"the warehouse {warehouse} holds nothing that dbt could read: the scores are stored, and"
        " `kedro run --pipeline=aggregate` writes them there."
    )


def _read_history(connection: DuckDBPyConnection) -> None:
    """Read every block of what is kept over runs: dbt would tell of a damaged one in its words."""
    if "history" in _tables(connection, "main"):
        connection.execute("select sum(hash(history)) from main.history").fetchone()


def _tables(connection: DuckDBPyConnection, schema: str) -> set[str]:
    """Return the names of the tables of a schema."""
    query = "select table_name from information_schema.tables where table_schema = ?"
    return {name for (name,) in connection.execute(query, [schema]).fetchall()}


@contextlib.contextmanager
def _opened(warehouse: Path, read_only: bool = False) -> Iterator[DuckDBPyConnection]:
    """Open the warehouse; what is wrong with its file is told, now or when a block is read."""
    import duckdb

    of_files = (duckdb.IOException, duckdb.FatalException, duckdb.InternalException,
                duckdb.SerializationException)  # fmt: skip
    try:
        with duckdb.connect(str(warehouse), read_only) as connection:
            yield connection
    except duckdb.Error as error:
        # Damage that a checksum shows has no class of its own.
        if not isinstance(error, of_files) and type(error) is not duckdb.Error:
            raise
        raise _fault(warehouse, str(error)) from error


def _fault(warehouse: Path, said: str) -> UserError:
    if IN_USE in said:
        return UserError(
            f"the warehouse {warehouse} is in use by another process, and DuckDB lets only one"
            " write: end that one (a second run, or a DuckDB shell), then run"
            " `kedro run --pipeline=aggregate`; the scores are stored."
        )
    reason = said.split("\n", 1)[0].rstrip(".")
    return DataError(
        f"the warehouse {warehouse} cannot be opened ({reason}): it is damaged, or of another"
        " DuckDB. Move it away, and a new one begins with `kedro run --pipeline=aggregate`; the"
        " scores are stored."
    )


def load(database: str) -> None:
    """Load what every command needs: modules, the parsed project, and the schemas of settings.

    Args:
        database: Name of the database.

    Raises:
        DataError: If the project cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        # Reads the settings as any command does, and has nothing left to parse.
        _dbt("parse --no-write-json", work / f"{database}.duckdb", work, _manifest(database))


def invoke(command: str, warehouse: Path, work: Path) -> None:
    """Run a dbt command, e.g. ``build`` or ``docs generate``, on the project.

    Args:
        command: The command.
        warehouse: The DuckDB file, with its sources written.
        work: Folder for what dbt writes: ``target`` and ``logs``.

    Raises:
        DataError: If it fails; the message names each model and test that did.
        UserError: If another process has the warehouse open.
    """
    result = _dbt(command, warehouse, work, _manifest(warehouse.stem))
    if result.exception is not None:
        if IN_USE in str(result.exception):
            raise _fault(warehouse, IN_USE) from result.exception
        raise DataError(f"dbt could not run: {result.exception}") from result.exception
    if not result.success:
        outcomes: Any = result.result
        bad = [r for r in outcomes if str(r.status) not in ("success", "pass", "skipped")]
        raise DataError(
            "the scores do not pass the dbt project: "
            + "; ".join(sorted(f"{r.node.name}: {_reason(r, warehouse)}" for r in bad))
        )


def _reason(outcome: Any, warehouse: Path) -> str:
    """Return what dbt says of a failure, and for a test the first rows that did not pass."""
    text = " ".join(str(outcome.message).split())
    if str(outcome.status) != "fail":
        return text
    with _opened(warehouse, read_only=True) as connection:
        rows = connection.sql(outcome.node.compiled_code).limit(MOST_ROWS).df().to_dict("records")
    return f"{text}, such as {' and '.join(map(str, rows))}" if rows else text


@cache
def _manifest(database: str) -> Manifest:
    """Return the parsed project for a name of a database: dbt takes seconds to read it.

    It is kept for later processes in a folder of the user, under a digest of all that it comes
    from: it holds absolute paths.
    """
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumaro_encoder, extended_mashumuro_decoder

    name = f"{_digest(database)}.msgpack"
    with contextlib.suppress(Exception):  # Whatever is wrong with it, it can be made anew.
        return Manifest.from_msgpack(_kept(name), decoder=extended_mashumuro_decoder)
    manifest = _parsed(database)
    with contextlib.suppress(OSError, RuntimeError):  # There may be no such folder, nor a home.
        _keep(name, manifest.to_msgpack(extended_mashumaro_encoder))
    return manifest


atexit.register(_manifest.cache_clear)


def _kept_manifests() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "ttc_bench" / "dbt"


def _kept(name: str) -> bytes:
    """Return what `_keep` wrote.

    Raises:
        OSError: If there is no such file.
        RuntimeError: If the user has no home.
        ValueError: If the file holds anything else: one changed byte may well be a manifest, too.
    """
    written = (_kept_manifests() / name).read_bytes()
    digest, content = written[:DIGEST_BYTES], written[DIGEST_BYTES:]
    if digest != hashlib.sha256(content).digest():
        raise ValueError(name)
    return content


def _keep(name: str, content: bytes) -> None:
    """Write a file in one step, behind the digest of its content; remove the oldest ones beside it.

    Raises:
        OSError: If it cannot be written.
        RuntimeError: If the user has no home.
    """
    place = _kept_manifests() / name
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_suffix(f".{os.getpid()}")
    new.write_bytes(hashlib.sha256(content).digest() + content)
    new.replace(place)
    newest = sorted(place.parent.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in newest[MOST_MANIFESTS:]:
        path.unlink(missing_ok=True)


def _digest(database: str) -> str:
    """Return what tells manifests apart: database, versions, place and files of the project."""
    versions = [version(name) for name in ("dbt-core", "dbt-adapters", "dbt-duckdb")]
    digest = hashlib.sha256(repr((database, versions, str(PROJECT))).encode())
    for path in sorted(path for path in PROJECT.rglob("*") if path.is_file()):
        if path.suffix == ".pyc":
            continue
        digest.update(repr((str(path.relative_to(PROJECT)), path.read_bytes())).encode())
    return digest.hexdigest()


def _parsed(database: str) -> Manifest:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        result = _dbt("parse", work / f"{database}.duckdb", work)
    if result.exception is not None:
        raise DataError(f"dbt could not read its project: {result.exception}") from result.exception
    return cast("Manifest", result.result)


def _dbt(
    command: str, warehouse: Path, work: Path, manifest: Manifest | None = None
) -> dbtRunnerResult:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    # What failed is in the result, and is told once.
    silent = ["--log-level", "none", "--log-level-file", "none"]
    arguments = ["--quiet", "--no-use-colors", *silent, *command.split()]
    places = {
        "--project-dir": PROJECT,
        "--profiles-dir": PROJECT,
        "--target-path": work / "target",
        "--log-path": work / "logs",
    }
    for option, place in places.items():
        arguments += [option, str(place)]
    settings = {"TTC_BENCH_WAREHOUSE": str(warehouse), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    try:
        with _environment(settings):
            # What dbt leaves in its context would keep DuckDB's objects until the process ends.
            return _ended(copy_context().run(dbtRunner(manifest).invoke, arguments))
    finally:
        # The adapter keeps the file open, and locked, as long as the process lives.
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]


def _ended(result: dbtRunnerResult) -> dbtRunnerResult:
    """Return what dbt came to; a signal that it took for a fault goes on its way.

    Raises:
        BaseException: What ends the process, such as `KeyboardInterrupt`.
    """
    error = result.exception
    if error is not None and not isinstance(error, Exception):
        raise error
    return result


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while: dbt reads paths from nowhere else.

    Its own are those of the user's other projects: one names another target, one builds the models
    empty, one drops what is kept over runs.
    """
    replaced = {name for name in os.environ if name.startswith("DBT_")} | variables.keys()
    before = {name: os.environ.pop(name) for name in replaced if name in os.environ}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            os.environ.pop(name, None)
        os.environ.update(before)
