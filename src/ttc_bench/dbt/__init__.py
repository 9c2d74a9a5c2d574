"""The dbt project of the marts, and how to run it on a table of scores."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ttc_bench.errors import DataError, UserError
from ttc_bench.types import DataFrame

PROJECT = Path(__file__).parent

NOT_READ = ("samples", "null_reasons")
"""Columns of the scores that are long and that no model reads."""


def build(
    tables: Mapping[str, DataFrame], warehouse: Path, marts: Sequence[str]
) -> dict[str, DataFrame]:
    """Run and test the dbt project and return some of its models by name.

    Args:
        tables: The sources by name: ``scores`` and ``scaling_curves``.
        warehouse: The DuckDB file of the models. All models but ``history`` are made anew. The
            sources are kept beside it, so that its views can be read later; dbt's own files go
            to a temporary folder.
        marts: Names of the models to return.

    Raises:
        DataError: If a model or a test fails; the message names it.
        UserError: If another process has the warehouse open.
    """
    import duckdb

    _check_unlocked(warehouse)
    sources = write_sources(tables, warehouse.resolve().parent)
    with tempfile.TemporaryDirectory() as folder:
        invoke("build", sources, warehouse, Path(folder))
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return {name: connection.table(name).df() for name in marts}


def _check_unlocked(warehouse: Path) -> None:
    import duckdb

    try:
        duckdb.connect(str(warehouse)).close()
    except duckdb.IOException as error:
        if "lock" not in str(error).lower():
            raise
        raise UserError(
            f"the warehouse {warehouse} is in use by another process, and DuckDB lets only one"
            " write: end that one (a second run, or a DuckDB shell), then run"
            " `kedro run --pipeline=aggregate`; the scores are stored."
        ) from error


def write_sources(tables: Mapping[str, DataFrame], folder: Path) -> dict[str, str]:
    """Write the sources for DuckDB to read; return the environment that says where they are."""
    places = {}
    for name, table in tables.items():
        place = folder / f"{name}.parquet"
        table.drop(columns=[c for c in NOT_READ if c in table]).to_parquet(place)
        places[f"TTC_BENCH_{name.upper()}"] = str(place)
    return places


def invoke(command: str, variables: Mapping[str, str], warehouse: Path, work: Path) -> None:
    """Run a dbt command, e.g. ``build`` or ``docs generate``, on the project.

    Args:
        command: The command.
        variables: Environment that the project reads: where its sources are.
        warehouse: The DuckDB file.
        work: Folder for what dbt writes: ``target`` and ``logs``.

    Raises:
        DataError: If it fails; the message names each model and test that did.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    arguments = ["--quiet", "--no-use-colors", "--log-level-file", "none", *command.split()]
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
        with _environment({**variables, **settings}):
            result = dbtRunner().invoke(arguments)
    finally:
        # The adapter keeps the file open, and locked, as long as the process lives.
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if result.exception is not None:
        raise DataError(f"dbt could not run: {result.exception}") from result.exception
    if not result.success:
        outcomes: Any = result.result
        bad = [r for r in outcomes if str(r.status) not in ("success", "pass", "skipped")]
        raise DataError(
            "the scores do not pass the dbt project: "
            + "; ".join(f"{r.node.name}: {str(r.message).strip()}" for r in bad)
        )


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while: dbt reads paths from nowhere else."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
